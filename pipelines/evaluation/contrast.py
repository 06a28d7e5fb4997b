"""Does an output follow its own reference better than another scene's? One pairing for every score.

Assumes that outputs and references are clips of one shape, in the same order. What is scored is the caller's choice.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """A score's values with each output's own reference, clip by clip, and with other scenes'."""

    matched: tuple[float, ...]
    shuffled: tuple[float, ...]

    @property
    def mean_matched(self) -> float:
        return float(np.mean(self.matched))

    @property
    def mean_shuffled(self) -> float:
        return float(np.mean(self.shuffled))

    @property
    def ratio(self) -> float:
        """Matched over shuffled mean; infinite when nothing at all agrees with the wrong reference."""
        return self.mean_matched / self.mean_shuffled if self.mean_shuffled else float("inf")


def contrast(
    score: Callable[[np.ndarray, np.ndarray], float],
    references: Sequence[np.ndarray],
    outputs: Sequence[np.ndarray],
    *,
    all_others: bool = False,
) -> Contrast:
    """Scores (reference, output) pairs as they belong, and with references moved on by one scene, or by all numbers.

    Raises ValueError for fewer than two clips, because then there is no other scene.
    """
    if len(references) != len(outputs) or len(outputs) < 2:
        raise ValueError(f"{len(references)} references for {len(outputs)} outputs: give the same number, at least 2")
    count = len(outputs)
    moves = range(1, count if all_others else 2)
    others = [(references[(k + move) % count], output) for move in moves for k, output in enumerate(outputs)]
    return Contrast(
        matched=tuple(score(own, output) for own, output in zip(references, outputs, strict=True)),
        shuffled=tuple(score(other, output) for other, output in others),
    )


def boundary_jump(frames: np.ndarray, first_chunk_frames: int) -> float:
    """Change of the picture across a chunk boundary over its mean change inside chunks; 1 is seamless.

    Frames are uint8 (frames, height, width, 3); the boundary lies before frame `first_chunk_frames`. Raises ValueError
    when it lies outside the clip or nothing moves inside the chunks.
    """
    if not 1 < first_chunk_frames < len(frames):
        raise ValueError(f"boundary before frame {first_chunk_frames} of {len(frames)}: give one inside the clip")
    changes = np.abs(np.diff(frames.astype(np.float32), axis=0)).mean(axis=(1, 2, 3))
    inside = float(np.delete(changes, first_chunk_frames - 1).mean())
    if inside == 0:
        raise ValueError("nothing moves inside the chunks: a jump has no scale to compare with")
    return float(changes[first_chunk_frames - 1]) / inside
