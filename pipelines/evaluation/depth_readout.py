"""A depth readout: how near each pixel looks, from frames alone.

Nearness is the logarithm of the depth control's brightness, so that far things count as much as near ones; it has no
unit and only its order is scored.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import spearmanr

from airshower.pipelines.evaluation.pixel_readout import PixelReadout, fit_pixel_readout, shrink

_DARKEST = 4 / 255  # brightness below it is sky or noise of the codec


@dataclass(frozen=True)
class DepthReadout:
    """Reads nearness, and knows the mean image that a guess from position alone would give."""

    pixels: PixelReadout

    @property
    def mean_nearness(self) -> np.ndarray:
        """(height, width) of the fitted depth controls, at reading size."""
        return self.pixels.mean_image[..., 0]

    def nearness(self, frames: np.ndarray) -> np.ndarray:
        """How near each pixel looks, float (frames, height / 4, width / 4), from uint8 (frames, height, width, 3)."""
        return self.mean_nearness + self.pixels.difference(frames)[..., 0]


def fit_depth_readout(
    frames: Sequence[np.ndarray], depth_controls: Sequence[np.ndarray], seed: int = 0
) -> DepthReadout:
    """Fits the readout on clips and their depth controls, each uint8 (frames, height, width, 3), all of one size."""
    pictures = [picture for clip in frames for picture in clip]
    targets = np.stack([target for clip in depth_controls for target in control_nearness(clip)])
    return DepthReadout(fit_pixel_readout(pictures, targets[..., None], seed=seed))


def control_nearness(depth_control: np.ndarray) -> np.ndarray:
    """Log brightness of a depth control at reading size, float (frames, height / 4, width / 4), 0 where nearest."""
    return np.stack([np.log(shrink(frame).mean(axis=2) / 255 + _DARKEST) for frame in depth_control])


def rank_correlation(nearness: np.ndarray, other: np.ndarray) -> float:
    """Spearman's rank correlation over all pixels of two clips, -1..1; 0 when one side is constant."""
    if np.ptp(nearness) == 0 or np.ptp(other) == 0:
        return 0.0
    return float(spearmanr(nearness.ravel(), other.ravel()).statistic)
