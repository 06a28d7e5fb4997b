"""A small readout: fitted on ground-truth renders, it tells something about every pixel from the frames alone.

Ridge regression on random rectified features of position, colour and local contrast at several scales; nothing is
trained by gradients and a fit takes seconds. It is a measuring device for one kind of world, not a perception model.
What is fitted is how a scene differs from the mean image, never the mean itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

_SCALE = 4  # reads at a quarter of the size: what is asked is a matter of regions, and it is 16 times faster
_BLUR_SIGMAS_PIXELS = (1.0, 2.0, 4.0, 8.0)
_DETAIL_BLUR_SIGMAS_PIXELS = (1.5, 4.0)
_RANDOM_FEATURES = 512
_RIDGE = 1e-3
_FIT_PIXELS_PER_FRAME = 600


@dataclass(frozen=True, kw_only=True)
class PixelReadout:
    """Fitted weights, and the mean image that a guess from position alone would give."""

    detail: bool  # whether it looks at the pixels of the full size, too
    mean: np.ndarray  # (features,)
    scale: np.ndarray  # (features,)
    projection: np.ndarray  # (features + 1, random features)
    weights: np.ndarray  # (random features + 1, values)
    mean_image: np.ndarray  # (height, width, values) of what was fitted, at reading size

    def difference(self, frames: np.ndarray) -> np.ndarray:
        """How each pixel seems to differ from the mean image, float (frames, height / 4, width / 4, values).

        `frames` are uint8 (frames, height, width, 3).
        """
        return np.stack([self._read(frame) for frame in frames])

    def _read(self, frame: np.ndarray) -> np.ndarray:
        features = _features(frame, detail=self.detail)
        flat = (features.reshape(-1, features.shape[-1]) - self.mean) / self.scale
        return (_lift(flat, self.projection) @ self.weights).reshape(*features.shape[:2], -1)


def fit_pixel_readout(
    pictures: Sequence[np.ndarray], targets: np.ndarray, *, detail: bool = False, seed: int = 0
) -> PixelReadout:
    """Fits the readout on pictures, uint8 (height, width, 3), and targets (pictures, height / 4, width / 4, values).

    With `detail`, thin lines count beside regions.
    """
    rng = np.random.default_rng(seed)
    mean_image = targets.mean(axis=0)
    values = targets.shape[-1]
    sampled, wanted = [], []
    for picture, target in zip(pictures, targets - mean_image, strict=True):
        pixels = rng.permutation(target.size // values)[:_FIT_PIXELS_PER_FRAME]
        features = _features(picture, detail=detail)
        sampled.append(features.reshape(-1, features.shape[-1])[pixels])
        wanted.append(target.reshape(-1, values)[pixels])
    x, y = np.concatenate(sampled), np.concatenate(wanted)
    mean, scale = x.mean(axis=0), x.std(axis=0) + 1e-6
    projection = rng.standard_normal((x.shape[1] + 1, _RANDOM_FEATURES)) / np.sqrt(x.shape[1])
    lifted = _lift((x - mean) / scale, projection)
    gram = lifted.T @ lifted + _RIDGE * len(lifted) * np.eye(lifted.shape[1])
    weights = np.linalg.solve(gram, lifted.T @ y)
    return PixelReadout(
        detail=detail, mean=mean, scale=scale, projection=projection, weights=weights, mean_image=mean_image
    )


def shrink(frame: np.ndarray) -> np.ndarray:
    """A frame (height, width, channels) at reading size, float32."""
    height, width = frame.shape[:2]
    return cv2.resize(frame, (width // _SCALE, height // _SCALE), interpolation=cv2.INTER_AREA).astype(np.float32)


def _features(frame: np.ndarray, *, detail: bool) -> np.ndarray:
    """Position, colour, blurred colour and local contrast, float32 (height / 4, width / 4, features)."""
    lab = cv2.cvtColor(shrink(frame) / 255, cv2.COLOR_RGB2LAB) / 100
    height, width = lab.shape[:2]
    y, x = np.mgrid[0 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
    maps = [np.stack([y, np.abs(x), y * y], axis=2), lab]
    for sigma in _BLUR_SIGMAS_PIXELS:
        mean = cv2.GaussianBlur(lab, (0, 0), sigma)
        variance = cv2.GaussianBlur(lab * lab, (0, 0), sigma) - mean * mean
        maps += [mean, np.sqrt(np.maximum(variance[..., :1], 0))]
    if detail:
        fine = _detail(frame)
        maps += [fine, *(cv2.GaussianBlur(fine, (0, 0), sigma) for sigma in _DETAIL_BLUR_SIGMAS_PIXELS)]
    return np.concatenate(maps, axis=2)


def _detail(frame: np.ndarray) -> np.ndarray:
    """Extremes of colour and strength of edges inside each pixel at reading size."""
    lab = cv2.cvtColor(frame.astype(np.float32) / 255, cv2.COLOR_RGB2LAB) / 100
    height, width = (side // _SCALE for side in lab.shape[:2])
    edges = [np.abs(cv2.Sobel(lab[..., 0], cv2.CV_32F, x, 1 - x)) for x in (1, 0)]
    values = np.dstack([lab, *edges])[: height * _SCALE, : width * _SCALE]
    blocks = values.reshape(height, _SCALE, width, _SCALE, -1)
    mean = blocks.mean(axis=(1, 3))
    above, below = blocks.max(axis=(1, 3)) - mean, mean - blocks.min(axis=(1, 3))
    return np.concatenate([above[..., :3], below[..., :3], mean[..., 3:]], axis=2)


def _lift(features: np.ndarray, projection: np.ndarray) -> np.ndarray:
    """Random rectified features plus a constant, (pixels, random features + 1)."""
    ones = np.ones((len(features), 1), features.dtype)
    hidden = np.maximum(np.concatenate([features, ones], axis=1) @ projection, 0)
    return np.concatenate([hidden, ones], axis=1)
