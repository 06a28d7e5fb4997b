"""The readout follows what it sees, not where it is: position alone scores nothing once the mean image is taken off."""

import numpy as np
import pytest

from airshower.pipelines.evaluation.contrast import contrast
from airshower.pipelines.evaluation.depth_readout import control_nearness, fit_depth_readout, rank_correlation


def scene(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A ground ramp with near red and far blue boxes at random places, and its depth control, one frame each."""
    rng = np.random.default_rng(seed)
    nearness = np.repeat(np.linspace(0, 150, 48)[:, None], 64, axis=1)
    picture = np.stack([nearness / 2 + 60, nearness / 2 + 80, 140 - nearness / 2], axis=2)
    for value, colour in [(250, (200, 30, 30)), (5, (30, 30, 220))] * 2:
        y, x = rng.integers(0, 28), rng.integers(0, 44)
        nearness[y : y + 20, x : x + 20] = value
        picture[y : y + 20, x : x + 20] = colour
    picture += rng.normal(0, 4, picture.shape)
    control = np.repeat(nearness[None, ..., None], 3, axis=3)
    return picture.clip(0, 255).astype(np.uint8)[None], control.astype(np.uint8)


def test_own_depth_control_wins_also_without_the_position_prior():
    fitted = [scene(seed) for seed in range(24)]
    readout = fit_depth_readout([frames for frames, _ in fitted], [control for _, control in fitted])
    controls = [control_nearness(scene(seed)[1]) - readout.mean_nearness for seed in range(100, 108)]
    seen = [readout.nearness(scene(seed)[0]) - readout.mean_nearness for seed in range(100, 108)]
    result = contrast(rank_correlation, controls, seen)
    assert result.mean_matched > 0.8
    assert abs(result.mean_shuffled) < 0.25


def test_rank_correlation_sees_order_only():
    ramp = np.arange(10.0)
    assert rank_correlation(ramp, np.exp(ramp)) == pytest.approx(1.0)
    assert rank_correlation(ramp, -ramp) == pytest.approx(-1.0)
    assert rank_correlation(ramp, np.zeros(10)) == 0.0
