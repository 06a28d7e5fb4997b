"""Packing gives back every byte, and refuses what it can't carry."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import arrays

from airshower.cluster.packing import hold_frames, pack_frames, unpack_frames, with_held_frames
from airshower.configs.messages import PreparedClip


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


def test_gray_frames_are_kept_as_one_channel():
    gray = np.random.default_rng(0).integers(0, 256, (4, 30, 50, 1), dtype=np.uint8).repeat(3, axis=3)
    packed = pack_frames(gray)
    assert len(packed.data) < 1.1 * gray.nbytes / 3
    assert np.array_equal(unpack_frames(packed), gray)


def test_held_frames_are_no_copy_and_never_leave_their_process():
    frames = np.random.default_rng(0).integers(0, 256, (2, 4, 6, 3), dtype=np.uint8)
    held = hold_frames(frames)
    assert np.shares_memory(unpack_frames(held), frames)
    with pytest.raises(TypeError, match="pickle"):
        pickle.dumps(held)


def test_a_prepared_clip_is_unpacked_once():
    frames = np.random.default_rng(0).integers(0, 256, (2, 4, 6, 3), dtype=np.uint8)
    size = {"height": 4, "width": 6, "input_height": 4, "input_width": 6}
    clip = PreparedClip(fps=5, frames=2, **size, controls={"vis": pack_frames(frames)}, masks={})
    held = with_held_frames(clip)
    assert held.fps == 5
    assert np.array_equal(unpack_frames(held.controls["vis"]), frames)
    assert held.controls["vis"].coding == "none"
