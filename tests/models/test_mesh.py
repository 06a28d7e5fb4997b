"""A clip that several ranks make together is the clip that one makes."""

from collections.abc import Iterator
from functools import cache

import numpy as np
import pytest
import torch

from airshower.configs.gang_layout import GangLayout
from tests.models.mesh_cases import CASES, latents, latents_on_rank, network
from tests.models.rank_pool import RankPool

PAIR, FOUR = GangLayout(token_ranks=2), GangLayout(token_ranks=4)
GUIDED_PAIR, GUIDED_FOUR = GangLayout(guidance_groups=2), GangLayout(token_ranks=2, guidance_groups=2)
LAYOUTS = {"P=2": PAIR, "P=4": FOUR, "guidance 2": GUIDED_PAIR, "2x2": GUIDED_FOUR}
UNGUIDED = ("no guidance", "distilled")
MOST_OFF = 1e-5  # of the largest value


@pytest.fixture(scope="module")
def ranks() -> Iterator[RankPool]:
    pool = RankPool()
    yield pool
    pool.close()


@cache
def alone(name):
    with torch.inference_mode():
        return latents(network(CASES[name]), CASES[name]).numpy()


def assert_same(made, name):
    """All ranks have the same, up to rounding that of one device."""
    for other in made[1:]:
        assert np.array_equal(made[0], other)
    assert np.isfinite(alone(name)).all()
    assert np.abs(made[0] - alone(name)).max() <= MOST_OFF * np.abs(alone(name)).max()


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_gang_makes_the_clip_of_one_device(ranks, layout, name):
    if LAYOUTS[layout].guidance_groups > 1 and name in UNGUIDED:
        with pytest.raises(ValueError, match="two groups for guidance, and a clip without"):
            ranks.run(LAYOUTS[layout], latents_on_rank, name)
    else:
        assert_same(ranks.run(LAYOUTS[layout], latents_on_rank, name), name)
