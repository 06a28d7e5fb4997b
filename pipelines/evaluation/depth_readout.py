"""A small depth readout: fitted on ground-truth renders, it tells how near each pixel looks, from frames alone.

Ridge regression on random rectified features of position, colour and local contrast at several scales; nothing is
trained by gradients and a fit takes seconds. It is a measuring device for one kind of world, not a depth estimator.
Nearness is the logarithm of the depth control's brightness, so that far things count as much as near ones; it has no
unit and only its order is scored. What is fitted is how a scene differs from the mean image, never the mean itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from scipy.stats import spearmanr

_SCALE = 4  # reads at a quarter of the size: order of depth is a matter of regions, and it is 16 times faster
_BLUR_SIGMAS_PIXELS = (1.0, 2.0, 4.0, 8.0)
_RANDOM_FEATURES = 512
_RIDGE = 1e-3
_FIT_PIXELS_PER_FRAME = 600
_DARKEST = 4 / 255  # brightness below it is sky or noise of the codec


@dataclass(frozen=True, kw_only=True)
class DepthReadout:
    """Fitted weights, and the mean image that a guess from position alone would give."""

    mean: np.ndarray  # (features,)
    scale: np.ndarray  # (features,)
    projection: np.ndarray  # (features + 1, random features)
    weights: np.ndarray  # (random features + 1,)
    mean_nearness: np.ndarray  # (height, width) of the fitted depth controls, at reading size

    def nearness(self, frames: np.ndarray) -> np.ndarray:
        """How near each pixel looks, float (frames, height / 4, width / 4), from uint8 (frames, height, width, 3)."""
        return np.stack([self._read(frame) for frame in frames])

    def _read(self, frame: np.ndarray) -> np.ndarray:
        features = _features(frame)
        flat = (features.reshape(-1, features.shape[-1]) - self.mean) / self.scale
        return self.mean_nearness + (_lift(flat, self.projection) @ self.weights).reshape(features.shape[:2])


def fit_depth_readout(
    frames: Sequence[np.ndarray], depth_controls: Sequence[np.ndarray], seed: int = 0
) -> DepthReadout:
    """Fits the readout on clips and their depth controls, each uint8 (frames, height, width, 3), all of one size."""
    rng = np.random.default_rng(seed)
    pictures = [picture for clip in frames for picture in clip]
    targets = np.stack([target for clip in depth_controls for target in control_nearness(clip)])
    mean_nearness = targets.mean(axis=0)
    sampled, wanted = [], []
    for picture, target in zip(pictures, targets - mean_nearness, strict=True):
        pixels = rng.permutation(target.size)[:_FIT_PIXELS_PER_FRAME]
        features = _features(picture)
        sampled.append(features.reshape(-1, features.shape[-1])[pixels])
        wanted.append(target.ravel()[pixels])
    x, y = np.concatenate(sampled), np.concatenate(wanted)
    mean, scale = x.mean(axis=0), x.std(axis=0) + 1e-6
    projection = rng.standard_normal((x.shape[1] + 1, _RANDOM_FEATURES)) / np.sqrt(x.shape[1])
    lifted = _lift((x - mean) / scale, projection)
    gram = lifted.T @ lifted + _RIDGE * len(lifted) * np.eye(lifted.shape[1])
    weights = np.linalg.solve(gram, lifted.T @ y)
    return DepthReadout(mean=mean, scale=scale, projection=projection, weights=weights, mean_nearness=mean_nearness)


def control_nearness(depth_control: np.ndarray) -> np.ndarray:
    """Log brightness of a depth control at reading size, float (frames, height / 4, width / 4), 0 where nearest."""
    return np.stack([np.log(_shrink(frame).mean(axis=2) / 255 + _DARKEST) for frame in depth_control])


def rank_correlation(nearness: np.ndarray, other: np.ndarray) -> float:
    """Spearman's rank correlation over all pixels of two clips, -1..1; 0 when one side is constant."""
    if np.ptp(nearness) == 0 or np.ptp(other) == 0:
        return 0.0
    return float(spearmanr(nearness.ravel(), other.ravel()).statistic)


def _shrink(frame: np.ndarray) -> np.ndarray:
    height, width = frame.shape[:2]
    return cv2.resize(frame, (width // _SCALE, height // _SCALE), interpolation=cv2.INTER_AREA).astype(np.float32)


def _features(frame: np.ndarray) -> np.ndarray:
    """Position, colour, blurred colour and local contrast, float32 (height / 4, width / 4, features)."""
    lab = cv2.cvtColor(_shrink(frame) / 255, cv2.COLOR_RGB2LAB) / 100
    height, width = lab.shape[:2]
    y, x = np.mgrid[0 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
    maps = [np.stack([y, np.abs(x), y * y], axis=2), lab]
    for sigma in _BLUR_SIGMAS_PIXELS:
        mean = cv2.GaussianBlur(lab, (0, 0), sigma)
        variance = cv2.GaussianBlur(lab * lab, (0, 0), sigma) - mean * mean
        maps += [mean, np.sqrt(np.maximum(variance[..., :1], 0))]
    return np.concatenate(maps, axis=2)


def _lift(features: np.ndarray, projection: np.ndarray) -> np.ndarray:
    """Random rectified features plus a constant, (pixels, random features + 1)."""
    ones = np.ones((len(features), 1), features.dtype)
    hidden = np.maximum(np.concatenate([features, ones], axis=1) @ projection, 0)
    return np.concatenate([hidden, ones], axis=1)
