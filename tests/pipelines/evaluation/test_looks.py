"""Looks are told apart by colour, whatever the scene holds."""

import numpy as np
import pytest

from airshower.pipelines.evaluation.looks import LOOKS, confusion, fit_looks

COLOURS = [(90, 140, 220), (230, 140, 90), (20, 20, 50), (180, 180, 180), (235, 235, 240), (90, 95, 100)]
TINTS = dict(zip(LOOKS, COLOURS, strict=True))


def clip(look, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    frames = np.full((2, 24, 24, 3), TINTS[look]) + rng.normal(0, 8, (2, 24, 24, 3)) + rng.normal(0, 5, 3)
    return frames.clip(0, 255).astype(np.uint8)


def test_clips_of_other_scenes_go_to_their_look():
    classifier = fit_looks({look: [clip(look, seed) for seed in range(4)] for look in LOOKS})
    result = confusion(classifier, {look: [clip(look, seed) for seed in range(10, 14)] for look in LOOKS})
    assert result.accuracy == 1.0
    assert np.trace(np.array(result.counts)) == 4 * len(LOOKS)


def test_mistakes_lie_off_the_diagonal():
    classifier = fit_looks({look: [clip(look, seed) for seed in range(4)] for look in LOOKS})
    day, night = LOOKS[0], LOOKS[2]
    result = confusion(classifier, {day: [clip(night, 9), clip(day, 9)]})
    assert result.counts[0] == (1, 0, 1, 0, 0, 0)
    assert result.accuracy == 0.5


def test_a_single_example_has_no_spread():
    with pytest.raises(ValueError, match="at least 2"):
        fit_looks({LOOKS[0]: [clip(LOOKS[0], 0)]})
