"""Segmentation of a clip by words: objects are looked for in the first frame and followed through the clip.

Gives the segmentation control, a colour per object on black; a mask of words is where it isn't black. Objects that
appear later are not found, as in the published Transfer2.5 code. Frames are expected at the size of the file; resizing
to the clip's size is the caller's.
"""

import colorsys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch

from airshower.models.annotators.detection import Detector
from airshower.models.annotators.tracking import Tracker

GOLDEN_RATIO = 0.6180339887498949  # steps of hue by it never come close to an earlier one
SATURATIONS = (1.0, 0.7, 0.85)
VALUES = (1.0, 0.75)


class Segmenter:
    """A detector and a tracker, which together turn words into colours."""

    def __init__(self, detector: Detector, tracker: Tracker) -> None:
        self._detector = detector
        self._tracker = tracker

    @classmethod
    def load(cls, detector: Path, tracker: Path, device: torch.device) -> "Segmenter":
        """From the transformers folders of a Grounding DINO and a SAM 2 network; raises WeightsError."""
        return cls(Detector.load(detector, device), Tracker.load(tracker, device))

    def segmentation(self, frames: np.ndarray, prompt: str) -> np.ndarray:
        """The objects that a prompt names in RGB frames, uint8 (F, H, W, 3), in colours, of the same shape.

        Raises ValueError, naming the prompt, where none of them is in the first frame.
        """
        return coloured(self._tracker.track(frames, self._detector.find(frames[0], prompt).boxes_N4))


def coloured(masks: Iterable[np.ndarray]) -> np.ndarray:
    """Frames, uint8 (F, H, W, 3), of masks (N, H, W) for each of them: a colour per object on black.

    An object keeps its colour, which its number alone decides. Where objects overlap, the one that is smaller over the
    whole clip is seen, so that nothing flickers.
    """
    packed, areas_px = [], []
    for mask_NYX in masks:
        packed.append(np.packbits(mask_NYX, axis=-1))  # dozens of objects at full size, until the last frame is there
        areas_px.append(np.count_nonzero(mask_NYX, axis=(1, 2)))
    largest_first = np.argsort(-np.sum(areas_px, axis=0), kind="stable")
    frames = np.zeros((len(packed), *mask_NYX.shape[1:], 3), np.uint8)
    for frame, bits in zip(frames, packed, strict=True):
        mask_NYX = np.unpackbits(bits, axis=-1, count=frame.shape[1]).astype(bool)
        for number in largest_first:
            frame[mask_NYX[number]] = colour(int(number))
    return frames


def colour(number: int) -> tuple[int, int, int]:
    """RGB of the object with this number, the same in every clip."""
    saturation = SATURATIONS[number % len(SATURATIONS)]
    value = VALUES[number // len(SATURATIONS) % len(VALUES)]
    red, green, blue = colorsys.hsv_to_rgb(number * GOLDEN_RATIO % 1, saturation, value)
    return round(red * 255), round(green * 255), round(blue * 255)
