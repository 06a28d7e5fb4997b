"""Least, greatest, mean and spread of what a dataset holds, by feature: of a clip, and of several together.

Pictures count by channel, with values from 0 to 1 and shape (3, 1, 1), from some of their frames and pixels.
"""

import io
from collections.abc import Sequence
from itertools import islice
from typing import Any

import av
import numpy as np

from airshower.pipelines.export.clips import Media

Stats = dict[str, Any]  # min, max, mean, std: nested lists of the feature's shape; count: [n]

_SAMPLED_FRAMES = 10
_SAMPLED_SIDE_PX = 150


def value_stats(values_FC: np.ndarray) -> Stats:
    """Statistics of numbers, over frames."""
    return _listed(values_FC, (values_FC.shape[1],), len(values_FC))


def picture_stats(media: Media, frames: int) -> Stats:
    """Statistics of a video of so many frames."""
    sampled = _sampled(media, max(1, frames // _SAMPLED_FRAMES))
    return _listed(sampled.reshape(-1, 3) / 255.0, (3, 1, 1), len(sampled))


def pooled(parts: Sequence[Stats]) -> Stats:
    """Statistics of several parts together, each counting by its `count`."""
    weights = np.array([part["count"][0] for part in parts], dtype=np.float64)
    means, stds = (np.array([part[name] for part in parts]) for name in ("mean", "std"))
    weights_ = weights.reshape(-1, *(1,) * (means.ndim - 1)) / weights.sum()
    mean = (means * weights_).sum(axis=0)
    spread = np.sqrt(((stds**2 + (means - mean) ** 2) * weights_).sum(axis=0))
    return {
        "min": np.min([part["min"] for part in parts], axis=0).tolist(),
        "max": np.max([part["max"] for part in parts], axis=0).tolist(),
        "mean": mean.tolist(),
        "std": spread.tolist(),
        "count": [int(weights.sum())],
    }


def _listed(values_NC: np.ndarray, shape: tuple[int, ...], count: int) -> Stats:
    found = {"min": values_NC.min(0), "max": values_NC.max(0), "mean": values_NC.mean(0), "std": values_NC.std(0)}
    return {name: value.astype(np.float64).reshape(shape).tolist() for name, value in found.items()} | {
        "count": [count]
    }


def _sampled(media: Media, every: int) -> np.ndarray:
    """Every so many frames of a video, with rows and columns left out: uint8 (F, H, W, 3)."""
    stride = max(1, max(media.height_px, media.width_px) // _SAMPLED_SIDE_PX)
    with av.open(io.BytesIO(media.data), "r") as container:
        frames = islice(container.decode(video=0), 0, None, every)
        return np.stack([frame.to_ndarray(format="rgb24")[::stride, ::stride] for frame in frames])
