"""A clip that several ranks make together is the clip that one makes."""

from collections.abc import Iterator
from functools import cache

import numpy as np
import pytest
import torch

from airshower.configs.gang_layout import ALONE, GangLayout
from airshower.models.mesh import ONE_DEVICE
from tests.models import mesh_cases
from tests.models.checkpoints.small import published
from tests.models.mesh_cases import CASES, latents, network
from tests.models.rank_pool import RankPool

PAIR, FOUR = GangLayout(token_ranks=2), GangLayout(token_ranks=4)
GUIDED_PAIR, GUIDED_FOUR = GangLayout(guidance_groups=2), GangLayout(token_ranks=2, guidance_groups=2)
LAYOUTS = {"P=2": PAIR, "P=4": FOUR, "guidance 2": GUIDED_PAIR, "2x2": GUIDED_FOUR}
UNGUIDED = ("no guidance", "distilled")
MOST_OFF = 1e-5  # of the largest value


@pytest.fixture(scope="module")
def ranks() -> Iterator[RankPool]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as the ranks have: so small an operation is slower on several
    pool = RankPool()
    yield pool
    pool.close()
    torch.set_num_threads(threads)


@cache
def alone(name):
    with torch.inference_mode():
        return latents(network(CASES[name]), CASES[name]).numpy()


def assert_same(made, name):
    """All ranks have the same, which is that of one device up to rounding."""
    for other in made[1:]:
        assert np.array_equal(made[0], other)
    assert np.isfinite(alone(name)).all()
    assert np.abs(made[0] - alone(name)).max() <= MOST_OFF * np.abs(alone(name)).max()


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_gang_makes_the_clip_of_one_device(ranks, layout, name):
    if LAYOUTS[layout].guidance_groups > 1 and name in UNGUIDED:
        with pytest.raises(ValueError, match="two groups for guidance, and a clip without"):
            ranks.run(LAYOUTS[layout], mesh_cases.made, name)
    else:
        assert_same(ranks.run(LAYOUTS[layout], mesh_cases.made, name), name)


@pytest.mark.parametrize("layout", ["2x2", "P=2"])
def test_a_model_makes_the_same_video_from_frames(ranks, layout):
    with torch.inference_mode():
        wanted = mesh_cases.video(ONE_DEVICE)
    for made in ranks.run(LAYOUTS[layout], mesh_cases.video):
        assert np.abs(made - wanted).max() <= MOST_OFF * np.abs(wanted).max()


@pytest.mark.parametrize("layout", ["2x2", "P=2"])
def test_weights_may_be_elsewhere(ranks, layout, tmp_path):
    name, file = "four controls with weight maps", tmp_path / "network.pt"
    torch.save(published(network(CASES[name])), file)
    whole = ranks.run(LAYOUTS[layout], mesh_cases.made, name)
    for offloaded in ranks.run(LAYOUTS[layout], mesh_cases.made_with_offloaded_weights, name):
        assert np.array_equal(offloaded, whole[0])
    for sharded, own_bytes, all_bytes in ranks.run(LAYOUTS[layout], mesh_cases.made_with_sharded_weights, name, file):
        assert np.array_equal(sharded, whole[0])
        assert own_bytes * LAYOUTS[layout].ranks < 1.15 * all_bytes  # each weight starts at a round address


@pytest.mark.parametrize("stopping", [0, 1])
@pytest.mark.parametrize("name", ["one control", "predict2", "distilled"])
def test_a_callback_on_one_rank_stops_all_and_the_next_clip_is_right(ranks, name, stopping):
    answers = ranks.run(PAIR, mesh_cases.stopped_by_one, name, stopping)
    raised = ["StoppedByAnotherRankError"] * 2
    raised[stopping] = "CancelledError"
    assert [answer[0] for answer in answers] == raised
    assert [answer[1] for answer in answers] == [[1, 2]] * 2
    assert_same([answer[2] for answer in answers], name)


def test_a_frame_has_tokens_for_every_rank(ranks):
    with pytest.raises(ValueError, match="2 tokens in a frame for 4 ranks: use a larger clip or fewer ranks"):
        ranks.run(FOUR, mesh_cases.made_at, "one control", (1, 2, 4))


def test_a_layout_suits_the_network_and_the_clip():
    with pytest.raises(ValueError, match=r"3 ranks share .* 16 attention heads.*: use 1, 2, 4, 8, 16 ranks"):
        GangLayout(token_ranks=3).check(16, guided=True)
    with pytest.raises(ValueError, match="guidance is 0 or the sampler has none: use one group"):
        GUIDED_FOUR.check(16, guided=False)
    with pytest.raises(ValueError, match="a gang of 3 x 1 ranks: guidance takes 1 or 2 groups"):
        GangLayout(guidance_groups=3)
    with pytest.raises(ValueError, match="one rank has nobody to spread its weights over"):
        GangLayout(spreads_weights=True)
    ALONE.check(16, guided=False)


def test_heads_that_no_three_ranks_share_are_an_error_before_anything_is_sent(ranks):
    with pytest.raises(ValueError, match="3 ranks share the tokens of a network with 4 attention heads"):
        ranks.run(GangLayout(token_ranks=3), mesh_cases.made, "one control")
