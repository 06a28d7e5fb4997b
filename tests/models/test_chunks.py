"""Chunks cover a clip as the published inference cuts it."""

import random

import numpy as np
import pytest

from airshower.models.chunks import chunk_length, latent_frames, pad_by_reversal, padded_length, plan_chunks


@pytest.mark.parametrize(
    ("frames", "overlap", "starts"),
    [(93, 1, [0]), (94, 1, [0, 92]), (121, 1, [0, 92]), (185, 1, [0, 92]), (186, 2, [0, 91, 182]), (186, 0, [0, 93])],
)
def test_chunks_of_93_start_where_the_reference_starts_them(frames, overlap, starts):
    chunks = plan_chunks(frames, 93, overlap, seed=7)
    assert [chunk.start for chunk in chunks] == starts
    assert [chunk.overlap for chunk in chunks] == [0] + [overlap] * (len(starts) - 1)
    assert padded_length(chunks) >= frames > chunks[-1].start + chunks[-1].overlap


def test_seeds_follow_the_chain_of_the_reference():
    first, second, third = (chunk.seed for chunk in plan_chunks(12, 5, 1, seed=2025)[:3])
    assert first == 2025
    random.seed(2025)
    assert second == random.randint(0, 1_000_000)
    random.seed(second)
    assert third == random.randint(0, 1_000_000)


def test_an_overlap_that_leaves_nothing_new_is_refused():
    with pytest.raises(ValueError, match="a chunk must make new frames"):
        plan_chunks(9, 2, 2, seed=0)


def test_padding_plays_backwards_and_again():
    frames = np.arange(3)
    assert pad_by_reversal(frames, 5).tolist() == [0, 1, 2, 2, 1]
    assert pad_by_reversal(frames, 8).tolist() == [0, 1, 2, 2, 1, 1, 2, 2]
    assert pad_by_reversal(frames[:1], 4).tolist() == [0, 0, 0, 0]
    assert pad_by_reversal(frames, 2).tolist() == [0, 1]


def test_short_clips_are_one_chunk_of_their_own_length():
    counts = (1, 2, 5, 6, 33, 121)
    assert [chunk_length(frames, 33, whole=False) for frames in counts] == [1, 5, 5, 9, 33, 33]
    assert [chunk_length(frames, 33, whole=True) for frames in counts] == [1, 33, 33, 33, 33, 33]
    assert [latent_frames(frames) for frames in (0, 1, 5, 93)] == [0, 1, 2, 24]
