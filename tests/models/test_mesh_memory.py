"""What is said of the memory of a gang's ranks holds, as counted on the code as it is; nothing is sent here."""

from collections.abc import Iterator

import pytest
import torch
import torch.distributed as dist
from torch.testing._internal.distributed.fake_pg import FakeStore

from airshower.configs.gang_layout import GangLayout
from airshower.configs.networks_2b import transfer25_multiview, transfer25_with_image
from airshower.configs.presets import transfer25_2b
from airshower.models import memory
from airshower.models.memory import ClipShape, row_need
from airshower.models.mesh_groups import ProcessMesh
from airshower.models.model_memory import memory_without_weights
from tests.counted_memory import peak_bytes
from tests.models.test_memory import FULL, sampler_run, shallow

FOUR = GangLayout(token_ranks=4)


@pytest.fixture
def mesh() -> Iterator[ProcessMesh]:
    """The first of four ranks, of which the others aren't there."""
    dist.init_process_group("fake", rank=0, world_size=FOUR.ranks, store=FakeStore())
    everyone, tokens = dist.new_group(), dist.new_group()
    yield ProcessMesh(FOUR, torch.device("cpu"), everyone=everyone, tokens=tokens, guidance=None)
    dist.destroy_process_group()


@pytest.mark.parametrize(
    ("config", "shape"),
    [
        (transfer25_with_image("edge"), FULL),
        (transfer25_multiview(), ClipShape(frames=29, height=720, width=1280, views=7)),
    ],
)
def test_a_rank_takes_what_is_said(mesh, config, shape):
    config = shallow(config)
    said = memory.denoise_bytes(config, shape, len(config.control.branches), FOUR.token_ranks)
    assert 0.97 <= said / peak_bytes(sampler_run(config, shape, mesh)) <= 1.06


def test_a_row_needs_less_of_a_rank():
    model = memory_without_weights(transfer25_2b(), ("edge",))
    needs = [row_need(model, FULL, 1, gang=gang) for gang in (GangLayout(), FOUR)]
    assert needs[1].denoise_gib < needs[0].denoise_gib
    spread = GangLayout(token_ranks=4, spreads_weights=True)
    saved_gib = needs[1].decode_gib - row_need(model, FULL, 1, gang=spread).decode_gib
    assert saved_gib == pytest.approx(0.75 * model.network.layers_gib - model.network.places_gib)
