"""Segmentation of a clip by words: objects are looked for in the first frame and followed through the clip.

Gives masks per object, from which both the segmentation control (`coloured`) and the mask of a prompt (`union`) are
made. Objects that appear later are not found, as in the published Transfer2.5 code. Frames are expected at the size of
the file; resizing to the clip's size is the caller's.
"""

import colorsys
from pathlib import Path

import numpy as np
import torch

from airshower.models.annotators.detection import Detector
from airshower.models.annotators.tracking import Tracker

PROMPT_WORDS = 128  # of a clip's prompt, where nothing says what to segment; as published
GOLDEN_RATIO = 0.6180339887498949  # steps of hue by it never come close to an earlier one
SATURATIONS = (1.0, 0.7, 0.85)
VALUES = (1.0, 0.75)


class Segmenter:
    """A detector and a tracker, which together turn words into masks."""

    def __init__(self, detector: Detector, tracker: Tracker) -> None:
        self._detector = detector
        self._tracker = tracker

    @classmethod
    def load(cls, detector: Path, tracker: Path, device: torch.device) -> "Segmenter":
        """From the transformers folders of a Grounding DINO and a SAM 2 network; raises OSError and ValueError."""
        return cls(Detector.load(detector, device), Tracker.load(tracker, device))

    def masks(self, frames: np.ndarray, prompt: str) -> np.ndarray:
        """Masks of the N objects that a prompt names, bool (N, F, H, W), of RGB frames uint8 (F, H, W, 3).

        Raises ValueError, naming the prompt, where none of them is in the first frame.
        """
        return self._tracker.track(frames, self._detector.find(frames[0], prompt).boxes_N4)


def first_words(prompt: str, count: int = PROMPT_WORDS) -> str:
    """The first words of a prompt: what is segmented where no other words are given."""
    return " ".join(prompt.split()[:count])


def coloured(masks: np.ndarray) -> np.ndarray:
    """The segmentation control, uint8 (F, H, W, 3), of masks (N, F, H, W): a colour per object on black.

    An object keeps its colour, which its number alone decides. Where objects overlap, the one that is smaller over the
    whole clip is seen, so that nothing flickers.
    """
    video = np.zeros((*masks.shape[1:], 3), np.uint8)
    areas = [np.count_nonzero(mask) for mask in masks]
    for number in sorted(range(len(masks)), key=lambda number: -areas[number]):
        video[masks[number]] = colour(number)
    return video


def union(masks: np.ndarray) -> np.ndarray:
    """Where any object is: bool (F, H, W) of masks (N, F, H, W)."""
    return np.any(masks, axis=0)


def colour(number: int) -> tuple[int, int, int]:
    """RGB of the object with this number, the same in every clip."""
    saturation = SATURATIONS[number % len(SATURATIONS)]
    value = VALUES[number // len(SATURATIONS) % len(VALUES)]
    red, green, blue = colorsys.hsv_to_rgb(number * GOLDEN_RATIO % 1, saturation, value)
    return round(red * 255), round(green * 255), round(blue * 255)
