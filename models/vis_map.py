"""The vis control: the input video blurred so far that colours and large shapes remain.

Constants and order of operations are those of the published Transfer2.5 inference code
(github.com/nvidia-cosmos/cosmos-transfer2.5), so a blur computed here is the blur its networks were trained on. Every
frame is computed on its own: the blur of a chunk equals that chunk of the clip's.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate


@dataclass(frozen=True, kw_only=True)
class Blur:
    """How one strength of the vis control shrinks a frame: before the bilateral filter, and again after it."""

    shrink_before_filter: int
    shrink_after_filter: int


BLURS: dict[str, Blur] = {
    "very_low": Blur(shrink_before_filter=1, shrink_after_filter=4),
    "low": Blur(shrink_before_filter=4, shrink_after_filter=4),
    "medium": Blur(shrink_before_filter=2, shrink_after_filter=10),
    "high": Blur(shrink_before_filter=1, shrink_after_filter=16),
    "very_high": Blur(shrink_before_filter=4, shrink_after_filter=16),
}
BILATERAL_DIAMETER = 30  # pixels
BILATERAL_SIGMA_COLOUR = 150.0
BILATERAL_SIGMA_SPACE = 100.0  # pixels


def vis_map(frames: np.ndarray, strength: str) -> np.ndarray:
    """Frames blurred so far that colours and large shapes remain.

    Takes and returns uint8 (frames, height, width, 3). Raises ValueError for an unknown strength and for frames too
    small to be shrunk by it.
    """
    if strength not in BLURS:
        raise ValueError(f"strength {strength!r} is unknown: use one of {', '.join(BLURS)}")
    blur = BLURS[strength]
    height, width = frames.shape[1:3]
    least = max(blur.shrink_before_filter, blur.shrink_after_filter)
    if min(height, width) < least:
        raise ValueError(
            f"frames of {width}x{height} can't be blurred with strength {strength}: {least} pixels at least"
        )
    blurred = np.empty_like(frames)
    for target, frame in zip(blurred, frames, strict=True):
        target[:] = _shrink_and_regrow(_smooth(frame, blur.shrink_before_filter), blur.shrink_after_filter)
    return blurred


def _smooth(frame: np.ndarray, shrink: int) -> np.ndarray:
    height, width = frame.shape[:2]
    small = cv2.resize(frame, (width // shrink, height // shrink), interpolation=cv2.INTER_AREA)
    smooth = cv2.bilateralFilter(small, BILATERAL_DIAMETER, BILATERAL_SIGMA_COLOUR, BILATERAL_SIGMA_SPACE)
    return cv2.resize(smooth, (width, height), interpolation=cv2.INTER_LINEAR)


def _shrink_and_regrow(frame: np.ndarray, shrink: int) -> np.ndarray:
    height, width = frame.shape[:2]
    pixels = torch.from_numpy(frame).permute(2, 0, 1)[None]
    small = _bicubic(pixels, (height // shrink, width // shrink))
    return _bicubic(small, (height, width))[0].permute(1, 2, 0).numpy()


def _bicubic(pixels: Tensor, size: tuple[int, int]) -> Tensor:
    """Resizes uint8 (1, 3, height, width); in float, as the kernel for uint8 also rounds between its two passes."""
    resized = interpolate(pixels.float(), size=size, mode="bicubic", antialias=True, align_corners=False)
    return resized.clamp(0, 255).round().to(torch.uint8)
