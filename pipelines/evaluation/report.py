"""What an evaluation found, as data, as a Markdown table for a model card, and as one picture to look at.

Assumes that scoring is done; nothing here computes a score. The terminal's table is the command's business.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from airshower.pipelines.evaluation.looks import Confusion

_LABEL_PIXELS = 18
_GAP_PIXELS = 4
_BACKGROUND = 250


@dataclass(frozen=True, kw_only=True)
class Score:
    """One line of the result: a number per clip, what puts it in proportion, and whether it is good enough."""

    name: str
    values: tuple[float, ...]
    shuffled: tuple[float, ...] = ()  # the same score against another scene's reference
    ground_truth: float | None = None  # the same score of ground-truth renders: a ceiling
    wanted: str = ""  # the criterion in words
    passed: bool | None = None  # None where nothing is asked

    @property
    def mean(self) -> float:
        return float(np.mean(self.values))

    @property
    def mean_shuffled(self) -> float | None:
        return float(np.mean(self.shuffled)) if self.shuffled else None

    @property
    def cells(self) -> tuple[str, ...]:
        """Name, mean, mean of another scene, ground truth, criterion and verdict as text."""
        numbers = (self.mean, self.mean_shuffled, self.ground_truth)
        verdict = {None: "", True: "yes", False: "NO"}[self.passed]
        return self.name, *("" if n is None else f"{n:.3g}" for n in numbers), self.wanted, verdict

    def as_json(self) -> dict[str, Any]:
        """The score with its means, as plain lists and numbers."""
        return {**vars(self), "mean": self.mean, "mean_shuffled": self.mean_shuffled}


COLUMNS = ("score", "model", "another scene", "ground truth", "wanted", "met")


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Everything an evaluation found."""

    settings: Mapping[str, Any]
    model: Mapping[str, Any]  # name, family, weights identity
    scores: tuple[Score, ...]
    looks: tuple[Confusion, Confusion] | None = None  # told apart in generated clips, and in ground truth
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether every score that has a criterion meets it."""
        return all(score.passed is not False for score in self.scores)

    @property
    def percent_met(self) -> float:
        """How many of the scores that have a criterion meet it; raises ValueError where none has one."""
        judged = [score.passed for score in self.scores if score.passed is not None]
        if not judged:
            raise ValueError(f"{self.model['name']}: no score has a criterion that could be met or missed")
        return 100 * sum(judged) / len(judged)

    def as_json(self) -> dict[str, Any]:
        """Plain lists, numbers and strings only."""
        found: dict[str, Any] = {
            "passed": self.passed,
            "settings": dict(self.settings),
            "model": dict(self.model),
            "scores": [score.as_json() for score in self.scores],
            "seconds": round(self.seconds, 1),
        }
        if self.looks is not None:
            generated, ground_truth = self.looks
            found["looks"] = [str(look) for look in generated.looks]
            found |= {"confusion": generated.counts, "confusion_ground_truth": ground_truth.counts}
        return found


def markdown(evaluation: Evaluation) -> str:
    """The scores and, where looks were prompted, the confusion matrix as Markdown tables."""
    model, settings = evaluation.model, evaluation.settings
    said = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in settings.items())
    lines = [
        f"{model['name']} (weights sha256 {model['sha256'][:12]}) on held-out scenes of the sample world: {said}.",
        "",
        *_table(COLUMNS, [score.cells for score in evaluation.scores]),
        "",
    ]
    if evaluation.looks is not None:
        generated, _ = evaluation.looks
        looks = [str(look) for look in generated.looks]
        counts = [(look, *map(str, row)) for look, row in zip(looks, generated.counts, strict=True)]
        lines += ["Prompted look (row) and the look that the clip's colours were taken for (column):", ""]
        lines += [*_table(("prompt", *looks), counts), ""]
    return "\n".join(lines)


def contact_sheet(rows: Mapping[str, Sequence[np.ndarray]]) -> np.ndarray:
    """One picture, uint8 (height, width, 3): each labelled row holds frames of one size, all rows equally many.

    Raises ValueError when the rows differ in length.
    """
    lengths = {len(frames) for frames in rows.values()}
    if len(lengths) != 1:
        raise ValueError(f"rows hold {sorted(lengths)} frames: give every row the same number")
    strips = [_strip(label, frames) for label, frames in rows.items()]
    return np.concatenate(strips, axis=0)


def write_png(path: str, picture: np.ndarray) -> None:
    """Writes an RGB picture; raises OSError when that fails."""
    if not cv2.imwrite(path, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)):
        raise OSError(f"{path}: can't be written: check the folder and the free space")


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)]


def _strip(label: str, frames: Sequence[np.ndarray]) -> np.ndarray:
    """One row of the sheet: its label above its frames."""
    gapped = [
        cv2.copyMakeBorder(f, 0, _GAP_PIXELS, 0, _GAP_PIXELS, cv2.BORDER_CONSTANT, value=(_BACKGROUND,) * 3)
        for f in frames
    ]
    pictures = np.concatenate(gapped, axis=1)
    band = np.full((_LABEL_PIXELS, pictures.shape[1], 3), _BACKGROUND, np.uint8)
    cv2.putText(band, label, (2, 13), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (30, 30, 30), 1, cv2.LINE_AA)
    return np.concatenate([band, pictures], axis=0)
