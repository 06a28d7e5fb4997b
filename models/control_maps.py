"""Controls computed from the input video itself: Canny edges and a strong blur ("vis"), and weight maps from masks.

Constants and order of operations are those of the published Transfer2.5 inference code
(github.com/nvidia-cosmos/cosmos-transfer2.5), so a control computed here is the control its networks were trained on.
Every frame is computed on its own: a map of a chunk equals that chunk of the clip's map. Edges are looked for in RGB,
not in grey, as there. Depth and segmentation need networks of their own and are not made here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from airshower.models.chunks import TEMPORAL_FACTOR

Setting = TypeVar("Setting")

# Canny's lower and upper hysteresis threshold by strength.
CANNY_THRESHOLDS: dict[str, tuple[int, int]] = {
    "very_low": (20, 50),
    "low": (50, 100),
    "medium": (100, 200),
    "high": (200, 300),
    "very_high": (300, 400),
}


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


def edge_map(frames: np.ndarray, strength: str) -> np.ndarray:
    """Canny edges of RGB frames, white on black.

    Takes and returns uint8 (frames, height, width, 3). Raises ValueError for an unknown strength.
    """
    low, high = _preset(CANNY_THRESHOLDS, strength)
    edges = np.empty_like(frames)
    for edge, frame in zip(edges, frames, strict=True):
        edge[:] = cv2.Canny(frame, low, high)[:, :, None]
    return edges


def vis_map(frames: np.ndarray, strength: str) -> np.ndarray:
    """Frames blurred so far that colours and large shapes remain.

    Takes and returns uint8 (frames, height, width, 3). Raises ValueError for an unknown strength and for frames too
    small to be shrunk by it.
    """
    blur = _preset(BLURS, strength)
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


def control_weight_maps(
    masks: Mapping[str, Tensor], weights: Mapping[str, float], latent_frames: int, patch_rows: int, patch_columns: int
) -> dict[str, Tensor]:
    """Where and how strongly each control steers, when at least one of them has a mask.

    `masks` holds values 0..1 of shape (frames, height, width), and only the controls that are masked; `weights` names
    every control. Returns float32 (1, 1, latent_frames, patch_rows, patch_columns) per control of `weights`, capped
    so that the controls never add up to more than 1. Without any mask, or with masks of ones only, networks take the
    plain weights, uncapped: ask `masks_matter`. Raises ValueError when a mask belongs to no control or has a frame
    count the causal autoencoder can't have made `latent_frames` of.
    """
    unknown = sorted(set(masks) - set(weights))
    if unknown:
        raise ValueError(
            f"mask of {', '.join(unknown)}: no such control is weighted; weighted are {', '.join(weights)}"
        )
    grid = (patch_rows, patch_columns)
    maps = {
        key: _on_patches(masks[key].float() * weight, latent_frames, grid)
        if key in masks
        else torch.full((1, 1, latent_frames, *grid), float(weight))
        for key, weight in weights.items()
    }
    cap = torch.stack(list(maps.values())).sum(0).clamp(min=1)
    return {key: weight_map / cap for key, weight_map in maps.items()}


def guided_latent_map(mask_FHW: Tensor, latent_frames: int, rows: int, columns: int) -> Tensor:
    """Weight of guided generation on the latent grid, (1, 1, latent_frames, rows, columns), from values 0..1.

    The first frame alone, then every group of frames that makes a latent frame. Raises ValueError for a mask of another
    length.
    """
    first, others = mask_FHW[:1], mask_FHW[1:]
    if len(others) != TEMPORAL_FACTOR * (latent_frames - 1):
        wanted = 1 + TEMPORAL_FACTOR * (latent_frames - 1)
        raise ValueError(f"guided mask of {len(mask_FHW)} frames: {latent_frames} latent frames need {wanted}")
    groups = [first, *others.split(TEMPORAL_FACTOR)]
    return torch.cat([_trilinear(group.float(), (1, rows, columns)) for group in groups], dim=2)


def masks_matter(masks: Mapping[str, Tensor]) -> bool:
    """Whether any mask leaves something out; the published networks switch to weight maps only then."""
    return any(bool((mask != 1).any()) for mask in masks.values())


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


def _on_patches(pixel_map: Tensor, latent_frames: int, grid: tuple[int, int]) -> Tensor:
    """(frames, height, width) to (1, 1, latent_frames, rows, columns); the first frame is a latent frame of its own."""
    frames = len(pixel_map)
    if (frames == 1) != (latent_frames == 1) or frames < latent_frames:
        raise ValueError(
            f"mask of {frames} frames can't be laid over {latent_frames} latent frames: expected 4k+1 frames"
        )
    first = _trilinear(pixel_map[:1], (1, *grid))
    if frames == 1:
        return first
    return torch.cat([first, _trilinear(pixel_map[1:], (latent_frames - 1, *grid))], dim=2)


def _trilinear(pixel_map: Tensor, size: tuple[int, int, int]) -> Tensor:
    return interpolate(pixel_map[None, None], size=size, mode="trilinear", align_corners=False)


def _preset(settings: Mapping[str, Setting], strength: str) -> Setting:
    if strength not in settings:
        raise ValueError(f"strength {strength!r} is unknown: use one of {', '.join(settings)}")
    return settings[strength]
