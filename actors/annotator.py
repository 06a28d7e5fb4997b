"""The annotate stage's actor: the networks that compute controls and masks from the frames of a video.

Each is loaded by the first row that needs it and then kept, so a row whose network is missing fails alone. Which frames
to look at, and what becomes of the results, is the pipeline's.
"""

from functools import cached_property

import numpy as np
import torch

from airshower.actors.local_parts import local_annotators
from airshower.configs.annotators import DEPTH, DETECTOR, TRACKER
from airshower.models.annotators.depth import DepthAnnotator
from airshower.models.annotators.segmentation import Segmenter


class Annotator:
    """Depth and segmentation networks on one device; frames are uint8 (F, H, W, 3), RGB."""

    def __init__(self, folder: str | None, device: str = "cpu", threads: int = 1) -> None:
        torch.set_num_threads(threads)
        self._folder = local_annotators(folder)
        self._device = torch.device(device)
        self._sha256: dict[str, str] = {}

    def depth(self, frames: np.ndarray) -> np.ndarray:
        """Inverse depth of the clip in grey levels, of the shape of the frames; raises WeightsError."""
        return self._depth.depth_map(frames)

    def segmentation(self, frames: np.ndarray, words: str) -> np.ndarray:
        """A colour per object that the words name, on black, of the shape of the frames.

        Raises ValueError where the first frame shows none of them, and WeightsError.
        """
        return self._segmenter.segmentation(frames, words)

    def sha256(self, name: str) -> str:
        """Of the weights of one of `configs.annotators`."""
        if name not in self._sha256:
            self._sha256[name] = self._folder.sha256(name)
        return self._sha256[name]

    @cached_property
    def _depth(self) -> DepthAnnotator:
        return DepthAnnotator.load(self._folder.part(DEPTH), self._device)

    @cached_property
    def _segmenter(self) -> Segmenter:
        return Segmenter.load(self._folder.part(DETECTOR), self._folder.part(TRACKER), self._device)
