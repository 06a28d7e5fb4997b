"""Packing gives back every byte, and refuses what it can't carry."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import arrays

from airshower.cluster.packing import pack_frames, unpack_frames


@settings(max_examples=25, deadline=None)
@given(arrays(np.uint8, (4, 3, 5, 3)))
def test_round_trip_is_exact(frames):
    assert np.array_equal(unpack_frames(pack_frames(frames)), frames)


def test_a_still_clip_packs_small():
    frames = np.broadcast_to(np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3), np.uint8), (20, 64, 64, 3))
    assert len(pack_frames(np.ascontiguousarray(frames)).data) < frames.nbytes / 10


@pytest.mark.parametrize("frames", [np.zeros((2, 4, 4, 3), np.float32), np.zeros((2, 4, 4), np.uint8)])
def test_other_layouts_are_refused(frames):
    with pytest.raises(ValueError, match="expected uint8"):
        pack_frames(frames)
