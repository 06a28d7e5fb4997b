"""From plans to pools: every row goes where it fits, and no GPU is promised twice."""

from dataclasses import replace

import pytest

from airshower.actors.model_costs import ModelCosts
from airshower.cluster.inventory import Inventory, Node
from airshower.configs.flops import ChunkSize
from airshower.configs.gang_layout import GangLayout
from airshower.configs.gpus import GPUS, Gpu
from airshower.configs.messages import Row
from airshower.configs.presets import preset
from airshower.configs.row_kind import RowKind
from airshower.pipelines.planning.kinds import RowKinds
from airshower.pipelines.planning.placement import PlanSettings
from airshower.pipelines.planning.planned_pools import pools_and_rows
from airshower.pipelines.planning.run_plan import plan_run
from airshower.pipelines.planning.service_times import ServiceTimes
from airshower.pipelines.pools import plan_pools

H200 = GPUS["H200"]
SMALL = RowKind(
    model="transfer2.5-2b",
    controls=("edge",),
    chunk=ChunkSize(frames=29, height=432, width=768),
    chunks=1,
    steps=35,
    guided=True,
    given_frames=1,
)
LARGE = replace(SMALL, chunk=ChunkSize(frames=93, height=704, width=1280), controls=("edge", "vis", "depth", "seg"))


@pytest.fixture
def rows() -> list[Row]:
    return [Row(index=index, name=f"r{index}", source="s", spec=None) for index in range(6)]


def node(gpu: Gpu, gpus: int) -> Node:
    return Node(name=gpu.type, cpus=32, memory_gib=200, gpus=gpus, gpu=gpu)


def planned(rows, kinds, nodes, gang=None):
    inventory = Inventory(nodes=tuple(nodes))
    times = ServiceTimes(ModelCosts(preset("transfer2.5-2b")))
    settings = PlanSettings(device="cuda", gang=None if gang is None else gang.ranks)
    run = plan_run(rows, RowKinds(of_row=dict(enumerate(kinds))), inventory, times, settings=settings)
    base = plan_pools(
        inventory, device="cuda", replicas=None, rows=len(rows), text_on_gpu=True, gang=gang or GangLayout()
    )
    pools, waiting = pools_and_rows(run, base, gpu_types=len(inventory.gpus_by_type()))
    return pools, list(waiting)


def test_rows_go_to_the_gpus_that_they_fit_the_longest_first(rows):
    costs = ModelCosts(preset("transfer2.5-2b"))
    tight = Gpu(type="L4", memory_gib=costs.replica_gib(SMALL) + 0.1, bf16_tflops=121)
    pools, waiting = planned(rows, [SMALL, LARGE, SMALL, LARGE, SMALL], [node(H200, 2), node(tight, 2)])
    assert {name: (pool.accelerator, pool.replicas) for name, pool in pools.items()} == {
        "H200": ("H200", 2),
        "L4": ("L4", 2),
    }
    by_index = {row.index: row.pools for row in waiting}
    assert by_index[1] == by_index[3] == {"H200"}
    assert by_index[0] == by_index[2] == {"H200", "L4"}
    assert by_index[5] == {"H200", "L4"}  # nothing is known of it
    assert [row.index for row in waiting] == [5, 1, 3, 0, 2, 4]


def test_no_gpu_is_promised_twice(rows):
    for nodes in ([node(H200, 2), node(GPUS["L4"], 2)], [node(H200, 1)], [node(GPUS["L40S"], 4)]):
        pools, _ = planned(rows, [SMALL] * 6, nodes)
        there = {one.gpu.type: one.gpus for one in nodes}
        for name, pool in pools.items():
            beside = pool.text_gpus if (pool.text_accelerator or name) == name else 0
            assert pool.replica_gpus + (beside if pool.text_gpus < 1 else 0) <= 1 + 1e-9
            assert pool.replicas * pool.replica_gpus <= there[name]


def test_a_cluster_of_one_type_is_asked_for_no_name_and_gangs_are_as_asked_for(rows):
    pools, _ = planned(rows, [SMALL] * 6, [node(H200, 4)])
    assert [pool.accelerator for pool in pools.values()] == [None]
    two = GangLayout(token_ranks=2)
    pools, waiting = planned(rows, [SMALL] * 6, [node(H200, 4)], gang=two)
    ((name, pool),) = pools.items()
    assert (pool.gang, pool.replica_gpus, pool.replicas) == (two, 2, 2)
    assert pool.text_encoders == 0  # each gang has its own
    assert {row.pools for row in waiting} == {frozenset([name])}
