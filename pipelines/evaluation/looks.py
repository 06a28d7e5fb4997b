"""Looks: combinations of weather and time of day, told apart by colour statistics alone.

A look's class mean is fitted on ground-truth renders of some scenes; clips of other scenes go to the nearest mean.
Where things are and what they are plays no part beyond the third of the picture they lie in.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True, order=True)
class Look:
    """One weather at one time of day, in the sample world's words."""

    weather: str
    time_of_day: str

    def __str__(self) -> str:
        return f"{self.weather} {self.time_of_day}"


LOOKS = (
    Look("clear", "day"),
    Look("clear", "sunset"),
    Look("clear", "night"),
    Look("fog", "day"),
    Look("snow", "day"),
    Look("rain", "day"),
)


@dataclass(frozen=True, kw_only=True)
class LookClassifier:
    """Nearest class mean of colour statistics, each divided by its spread within a class."""

    looks: tuple[Look, ...]
    means: np.ndarray  # (looks, statistics)
    spread: np.ndarray  # (statistics,)

    def look_of(self, frames: np.ndarray) -> Look:
        """The look whose mean is nearest to a clip, uint8 (frames, height, width, 3)."""
        distances = np.linalg.norm((self.means - colour_statistics(frames)) / self.spread, axis=1)
        return self.looks[int(np.argmin(distances))]


@dataclass(frozen=True, kw_only=True)
class Confusion:
    """How often clips of each look (row) were taken for each look (column)."""

    looks: tuple[Look, ...]
    counts: tuple[tuple[int, ...], ...]

    @property
    def accuracy(self) -> float:
        counts = np.array(self.counts)
        return float(np.trace(counts) / counts.sum())


def colour_statistics(frames: np.ndarray) -> np.ndarray:
    """Mean and standard deviation of Lab in the upper, middle and lower third of a clip, 18 numbers."""
    lab = np.stack([cv2.cvtColor(frame.astype(np.float32) / 255, cv2.COLOR_RGB2LAB) for frame in frames])
    thirds = np.array_split(lab, 3, axis=1)
    return np.concatenate([f(third, axis=(0, 1, 2)) for third in thirds for f in (np.mean, np.std)])


def fit_looks(clips: Mapping[Look, Sequence[np.ndarray]]) -> LookClassifier:
    """Fits class means on clips of each look; raises ValueError when a look has fewer than two clips (no spread)."""
    for look, examples in clips.items():
        if len(examples) < 2:
            raise ValueError(f"{look}: {len(examples)} example clips: give at least 2")
    statistics = [np.stack([colour_statistics(clip) for clip in examples]) for examples in clips.values()]
    means = np.stack([values.mean(axis=0) for values in statistics])
    residuals = np.concatenate([values - mean for values, mean in zip(statistics, means, strict=True)])
    return LookClassifier(looks=tuple(clips), means=means, spread=residuals.std(axis=0) + 1e-6)


def confusion(classifier: LookClassifier, clips: Mapping[Look, Sequence[np.ndarray]]) -> Confusion:
    """Classifies clips whose look is known."""
    counts = [[0] * len(classifier.looks) for _ in classifier.looks]
    for look, examples in clips.items():
        for clip in examples:
            counts[classifier.looks.index(look)][classifier.looks.index(classifier.look_of(clip))] += 1
    return Confusion(looks=classifier.looks, counts=tuple(map(tuple, counts)))
