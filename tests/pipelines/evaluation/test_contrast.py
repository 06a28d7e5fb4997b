"""References are paired with their own output and with another scene's; a jump at a chunk boundary shows."""

import numpy as np
import pytest

from airshower.pipelines.evaluation.contrast import boundary_jump, contrast


def test_matched_and_shuffled_pairs():
    clips = [np.full((1, 2, 2, 3), value, np.uint8) for value in (0, 10, 30)]
    result = contrast(lambda own, output: float(abs(own.mean() - output.mean())), clips, clips)
    assert result.matched == (0.0, 0.0, 0.0)
    assert result.shuffled == (10.0, 20.0, 30.0)
    assert contrast(lambda own, output: 0.0, clips, clips).ratio == float("inf")


def test_with_all_others():
    clips = [np.full((1, 2, 2, 3), value, np.uint8) for value in (0, 10, 30)]
    result = contrast(lambda own, output: float(abs(own.mean() - output.mean())), clips, clips, all_others=True)
    assert sorted(result.shuffled) == [10.0, 10.0, 20.0, 20.0, 30.0, 30.0]


def test_one_clip_has_no_other_scene():
    with pytest.raises(ValueError, match="at least 2"):
        contrast(lambda own, output: 0.0, [np.zeros(1)], [np.zeros(1)])


def test_boundary_jump_is_measured_against_the_motion_inside():
    steady = np.arange(9, dtype=np.uint8)[:, None, None, None].repeat(3, axis=3)
    jumping = steady.copy()
    jumping[5:] += 3
    assert boundary_jump(steady, 5) == pytest.approx(1.0)
    assert boundary_jump(jumping, 5) == pytest.approx(4.0)
    with pytest.raises(ValueError, match="inside the clip"):
        boundary_jump(steady, 9)
