"""Control maps: what the published presets do frame by frame, and weight maps that never add up to more than 1.

The numbers themselves are checked against the reference in tests/parity.
"""

import numpy as np
import pytest
import torch

from airshower.models.control_weights import control_weight_maps, guided_latent_map, masks_matter
from airshower.models.edge_map import CANNY_THRESHOLDS, edge_map
from airshower.models.vis_map import BLURS, vis_map

STRENGTHS = ("very_low", "low", "medium", "high", "very_high")


@pytest.fixture(scope="module")
def frames():
    """Three frames of noise at several scales: soft enough for thresholds to matter."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (3, 8, 12, 3)).repeat(8, axis=1).repeat(8, axis=2)
    return np.clip(coarse + rng.normal(0, 20, coarse.shape), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("make", [edge_map, vis_map])
def test_a_chunk_of_the_map_is_the_map_of_the_chunk(frames, make):
    np.testing.assert_array_equal(make(frames, "medium")[1:], make(frames[1:], "medium"))


def test_higher_thresholds_leave_fewer_edges(frames):
    counts = [np.count_nonzero(edge_map(frames, strength)) for strength in STRENGTHS]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > counts[-1]
    assert set(np.unique(edge_map(frames, "low"))) == {0, 255}


def test_blur_keeps_colours_and_drops_detail(frames):
    roughness = [np.abs(np.diff(vis_map(frames, strength).astype(int), axis=2)).mean() for strength in STRENGTHS]
    assert roughness[-1] < roughness[0] < np.abs(np.diff(frames.astype(int), axis=2)).mean() / 2
    np.testing.assert_allclose(vis_map(frames, "high").mean((1, 2)), frames.mean((1, 2)), atol=3)


def test_both_controls_know_the_strengths_of_the_row_format():
    assert tuple(CANNY_THRESHOLDS) == tuple(BLURS) == STRENGTHS


@pytest.mark.parametrize("make", [edge_map, vis_map])
def test_unknown_strength_is_refused(frames, make):
    with pytest.raises(ValueError, match="'strong' is unknown: use one of very_low"):
        make(frames, "strong")


def test_frames_too_small_to_blur_are_refused():
    with pytest.raises(ValueError, match="12x8 can't be blurred with strength high: 16 pixels"):
        vis_map(np.zeros((1, 8, 12, 3), np.uint8), "high")


def test_weight_maps_follow_masks_and_never_exceed_one():
    mask = torch.zeros(9, 32, 64)
    mask[:, :, 32:] = 1  # the right half
    maps = control_weight_maps({"edge": mask}, {"edge": 0.9, "depth": 0.4}, 3, 2, 4)
    edge, depth = maps["edge"], maps["depth"]
    assert edge.shape == depth.shape == (1, 1, 3, 2, 4)
    torch.testing.assert_close(edge[..., 0], torch.zeros(1, 1, 3, 2))
    torch.testing.assert_close(depth[..., 0], torch.full((1, 1, 3, 2), 0.4))  # below 1 nothing is scaled
    torch.testing.assert_close((edge + depth)[..., 3], torch.ones(1, 1, 3, 2))
    torch.testing.assert_close((edge / depth)[..., 3], torch.full((1, 1, 3, 2), 0.9 / 0.4))


def test_first_mask_frame_has_a_latent_frame_of_its_own():
    mask = torch.zeros(9, 16, 16)
    mask[0] = 1
    weight_map = control_weight_maps({"seg": mask}, {"seg": 1.0}, 3, 1, 1)["seg"]
    assert weight_map.flatten().tolist() == [1.0, 0.0, 0.0]


@pytest.mark.parametrize("frames", [1, 5, 9])
def test_a_guided_region_has_a_weight_for_each_latent_frame(frames):
    mask = torch.zeros(frames, 16, 16)
    mask[-4:, :, :8] = 1  # frames of the last latent frame
    latent_frames = (frames + 3) // 4
    weights = guided_latent_map(mask, latent_frames, 2, 2)
    assert weights.shape == (1, 1, latent_frames, 2, 2)
    assert weights[0, 0, -1].tolist() == [[1, 0]] * 2
    assert not weights[0, 0, :-1].any()


def test_masks_of_ones_do_not_matter():
    assert not masks_matter({})
    assert not masks_matter({"edge": torch.ones(5, 4, 4)})
    assert masks_matter({"edge": torch.ones(5, 4, 4), "seg": torch.zeros(5, 4, 4)})


def test_masks_that_fit_nothing_are_refused():
    with pytest.raises(ValueError, match="mask of seg: no such control"):
        control_weight_maps({"seg": torch.ones(5, 4, 4)}, {"edge": 1.0}, 2, 1, 1)
    with pytest.raises(ValueError, match="mask of 5 frames can't be laid over 1 latent"):
        control_weight_maps({"edge": torch.ones(5, 4, 4)}, {"edge": 1.0}, 1, 1, 1)
