"""Depth of a clip by a tiny random network of the real class: one scale for the clip, however it is cut in batches."""

import numpy as np
import pytest
import torch

from airshower.models.annotators.depth import DepthAnnotator, grey_levels
from tests.models.annotators.tiny_networks import save_depth_network

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def annotator(tmp_path_factory):
    folder = tmp_path_factory.mktemp("depth")
    save_depth_network(folder)
    return DepthAnnotator.load(folder, CPU)


@pytest.fixture(scope="module")
def frames():
    """Five frames that grow brighter."""
    f, y, x = np.mgrid[:5, :40, :64]
    return np.stack([x * 3, y * 4 + f * 10, f * 40], axis=-1).astype(np.uint8)


def test_a_clip_becomes_three_equal_channels_of_its_size_and_spans_all_levels(annotator, frames):
    depth = annotator.depth_map(frames)
    assert (depth.shape, depth.dtype) == (frames.shape, np.uint8)
    np.testing.assert_array_equal(depth, np.repeat(depth[..., :1], 3, axis=-1))
    assert (depth.min(), depth.max()) == (0, 255)
    assert depth.max(axis=(1, 2, 3)).min() < 255  # some frame has less than the clip: the scale is not its own


@pytest.mark.parametrize("frames_per_batch", [1, 2, 5, 100])
def test_batches_leave_no_trace(annotator, frames, frames_per_batch):
    difference = annotator.depth_map(frames, frames_per_batch).astype(int) - annotator.depth_map(frames, 3)
    assert np.abs(difference).max() <= 1  # matrix products of other sizes round differently


def test_no_more_frames_than_a_batch_reach_the_network(annotator, frames, monkeypatch):
    sizes = []
    predict = annotator._predict
    monkeypatch.setattr(annotator, "_predict", lambda batch: sizes.append(len(batch)) or predict(batch))
    annotator.depth_map(frames, frames_per_batch=2)
    assert sizes == [2, 2, 1]


def test_near_is_bright_and_the_scale_is_the_clips():
    far, near = torch.full((3, 4), 2.0), torch.full((3, 4), 6.0)
    near[0, 0] = 4.0
    grey = grey_levels([far, near], 3, 4)
    assert grey[0].max() == 0
    assert grey[1, 2, 3].tolist() == [255, 255, 255]
    assert grey[1, 0, 0].tolist() == [128, 128, 128]


def test_the_scale_is_taken_after_resizing():
    peak = torch.zeros(4, 4)
    peak[1, 1] = 8.0  # between the pixels of the smaller map
    assert grey_levels([peak], 3, 3).max() == 255


@pytest.mark.parametrize("depth", [0.0, 7.0, -0.3])  # resizing 7.0 gives 7.0000005 here and there
def test_a_clip_of_one_depth_is_black(depth):
    assert grey_levels([torch.full((3, 4), depth)] * 2, 6, 8).max() == 0


def test_metric_depth_is_refused(tmp_path):
    save_depth_network(tmp_path, depth_estimation_type="metric")
    with pytest.raises(ValueError, match=r"predicts metric depth: give a network of relative"):
        DepthAnnotator.load(tmp_path, CPU)
