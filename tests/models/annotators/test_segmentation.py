"""Words to colours end to end with tiny networks, and masks to colours that stay."""

import numpy as np
import pytest
import torch

from airshower.models.annotators.segmentation import Segmenter, colour, coloured
from tests.models.annotators.tiny_networks import save_detector, save_tracker


@pytest.fixture
def masks():
    """A large object, a small one inside of it, and one beside both that leaves after the first frame."""
    masks_FNYX = np.zeros((2, 3, 6, 8), bool)
    masks_FNYX[:, 0, 2, 2] = True
    masks_FNYX[:, 1, :5, :5] = True
    masks_FNYX[0, 2, 5, 6:] = True
    return masks_FNYX


@pytest.fixture(scope="module")
def segmenter(tmp_path_factory):
    detector, tracker = tmp_path_factory.mktemp("detector"), tmp_path_factory.mktemp("tracker")
    save_detector(detector)
    save_tracker(tracker)
    return Segmenter.load(detector, tracker, torch.device("cpu"))


def test_words_become_colours_of_the_clip(segmenter):
    frames = np.random.default_rng(0).integers(0, 256, (3, 40, 56, 3), np.uint8)
    video = segmenter.segmentation(frames, "a red car")
    assert (video.shape, video.dtype) == ((3, 40, 56, 3), np.uint8)
    assert video.max() == 255


def test_what_is_not_there_is_an_error_before_tracking(segmenter):
    with pytest.raises(ValueError, match="has no word"):
        segmenter.segmentation(np.zeros((3, 40, 56, 3), np.uint8), ".")


def test_every_object_has_its_colour_in_every_frame_and_small_ones_stay_visible(masks):
    video = coloured(masks)
    assert (video.shape, video.dtype) == ((2, 6, 8, 3), np.uint8)
    for frame in video:
        assert tuple(frame[2, 2]) == colour(0)
        assert tuple(frame[0, 0]) == colour(1)
    assert tuple(video[0, 5, 7]) == colour(2)
    assert video[1, 5].max() == 0  # where no object is, black


def test_size_over_the_clip_decides_which_object_is_in_front(masks):
    masks[0, 0] = True  # larger than the other in frame 0, smaller over the clip
    masks[:, 1] = True
    masks[1, 0] = False
    assert tuple(coloured(masks)[0, 0, 0]) == colour(0)


def test_the_order_of_sizes_does_not_change_colours(masks):
    swapped = coloured(masks[:, [1, 0, 2]])
    assert tuple(swapped[0, 0, 0]) == colour(0)
    assert tuple(swapped[0, 2, 2]) == colour(1)


def test_colours_are_many_bright_and_fixed():
    colours = np.array([colour(number) for number in range(200)])
    assert len(np.unique(colours, axis=0)) == 200
    assert colours.max(axis=1).min() > 127
    assert colour(0) == (255, 0, 0)
    first = colours[:12].astype(int)
    distances = np.abs(first[:, None] - first[None]).sum(-1)
    assert distances[~np.eye(12, dtype=bool)].min() > 60
