"""Plans are what a careful person would choose, and say so; what can't be made is said in one line."""

import math
import re
from dataclasses import replace

import pytest

from airshower.actors.model_costs import ModelCosts
from airshower.cluster.inventory import Inventory, Node
from airshower.configs.flops import ChunkSize
from airshower.configs.gpus import GPUS, Gpu
from airshower.configs.presets import preset
from airshower.configs.row_kind import RowKind
from airshower.pipelines.planning.placement import PlanError, PlanSettings
from airshower.pipelines.planning.plan import ANY_GPU, plan
from airshower.pipelines.planning.service_times import ServiceTimes
from airshower.pipelines.planning.simulate import simulate

CLIP = RowKind(
    model="transfer2.5-2b",
    controls=("edge",),
    chunk=ChunkSize(frames=93, height=704, width=1280),
    chunks=1,
    steps=35,
    guided=True,
    given_frames=1,
)
SMALL_CLIP = replace(CLIP, chunk=ChunkSize(frames=93, height=432, width=768))
LONG_CLIP = replace(CLIP, chunks=3)


@pytest.fixture(scope="module")
def costs():
    return ModelCosts(preset("transfer2.5-2b"))


@pytest.fixture
def times(costs):
    return ServiceTimes(costs)


def node(gpu=None, gpus=0, cpus=96.0):
    return Node(name="n", cpus=cpus, memory_gib=1000.0, gpus=gpus, gpu=None if gpu is None else GPUS[gpu])


def cluster(*nodes):
    return Inventory(nodes=nodes)


def test_one_clip_per_gpu_and_the_bill(times):
    made = plan({CLIP: 1600}, cluster(node("H200", 8), node("H200", 8)), times, {ANY_GPU: 3.0})
    (pool,) = made.placement.pools
    assert (pool.gang, pool.replicas, made.device) == (1, 16, "cuda")
    # 100 rounds of about 298 s, as measured (docs/benchmarks.md), and the first and last row's other stages
    assert made.finish.seconds == pytest.approx(100 * 298, rel=0.03)
    assert made.finish.low_s < made.finish.seconds < made.finish.high_s < made.finish.seconds * 1.1
    assert made.gpu_hours == pytest.approx(16 * made.finish.seconds / 3600)
    assert made.cost == pytest.approx(3.0 * made.gpu_hours)
    assert made.workload.write_tasks == math.ceil(
        1.3 * 16 * times.of(CLIP, "write").seconds / pool.generate_s(CLIP, times)
    )
    assert "the replicas set the pace" in made.reasons


def test_never_more_replicas_than_rows_and_the_fastest_first(times):
    made = plan({CLIP: 3}, cluster(node("A100-80G", 8), node("H200", 2)), times)
    assert [(pool.gpu.type, pool.replicas) for pool in made.placement.pools] == [("H200", 2), ("A100-80G", 1)]
    assert plan({CLIP: 10}, cluster(node("H200", 8)), times, settings=PlanSettings(replicas=4)).replicas == 4


def test_long_rows_come_first_and_like_shapes_together(times):
    more_steps = replace(SMALL_CLIP, steps=36)
    other_shape = replace(SMALL_CLIP, chunk=ChunkSize(frames=93, height=768, width=432))
    kinds = {SMALL_CLIP: 1, other_shape: 1, CLIP: 1, more_steps: 1, LONG_CLIP: 1}
    order = list(plan(kinds, cluster(node("H200", 1)), times).rows)
    assert order[:2] == [LONG_CLIP, CLIP]
    assert abs(order.index(SMALL_CLIP) - order.index(more_steps)) == 1


def test_unlike_gpus_share_what_fits_them(times):
    # a clip of 1280x704 needs about 16 GiB and the text encoder 15 beside it: an A10G has 22
    unlike = cluster(node("H200", 4), node("A10G", 4), node(cpus=200.0))
    made = plan({CLIP: 400}, unlike, times)
    alone = plan({CLIP: 400}, cluster(node("H200", 4), node(cpus=200.0)), times)
    assert {pool.gpu.type: pool.replicas for pool in made.placement.pools} == {"H200": 4, "A10G": 4}
    assert made.placement.text_gpu == GPUS["H200"]
    assert 0.8 < made.finish.seconds / alone.finish.seconds < 0.99
    assert any("nodes without a GPU" in reason for reason in made.reasons)
    assert any("times on a A10G are an estimate" in reason for reason in made.reasons)


def test_rows_too_large_for_some_gpus_wait_for_the_others(costs):
    small = Gpu(type="small", memory_gib=costs.replica_gib(SMALL_CLIP) + 1, bf16_tflops=989)
    nodes = (node("H200", 1), Node(name="s", cpus=64, memory_gib=100, gpus=1, gpu=small))
    made = plan({CLIP: 10, SMALL_CLIP: 30}, Inventory(nodes=nodes), ServiceTimes(costs))
    by_type = {pool.gpu.type: pool.kinds for pool in made.placement.pools}
    assert by_type == {"H200": {CLIP, SMALL_CLIP}, "small": {SMALL_CLIP}}


def test_rows_that_fit_nowhere_are_named_and_the_rest_is_planned(times, costs):
    tiny = Gpu(
        type="tiny", memory_gib=costs.replica_gib(SMALL_CLIP) + costs.text_gib(SMALL_CLIP) + 0.1, bf16_tflops=100
    )
    tight = replace(tiny, memory_gib=costs.replica_gib(CLIP) - 0.1)
    nodes = (Node(name="t", cpus=8, memory_gib=10, gpus=2, gpu=tight),)
    made = plan({CLIP: 1, SMALL_CLIP: 5}, Inventory(nodes=nodes), times)
    assert list(made.rows) == [SMALL_CLIP]
    (reason,) = made.placement.refused.values()
    assert re.match(r"1280x704, 93 frames, 35 steps, edge: needs [\d.]+ GiB of a GPU, and the largest has ", reason)
    assert "--offload or a lower --resolution" in reason
    with pytest.raises(PlanError, match=r"1280x704.* needs .* GiB of a GPU, and the largest has"):
        plan({CLIP: 1}, Inventory(nodes=nodes), times)


def test_the_text_encoder_takes_a_gpu_of_its_own_where_it_must(times, costs):
    tight = Gpu(type="tight", memory_gib=costs.replica_gib(CLIP) + 1, bf16_tflops=300)
    nodes = (Node(name="t", cpus=64, memory_gib=10, gpus=4, gpu=tight),)
    made = plan({CLIP: 50}, Inventory(nodes=nodes), times)
    assert (made.placement.text_apart, made.replicas) == (True, 3)
    assert made.gpu_hours == pytest.approx(4 * made.finish.seconds / 3600)
    with pytest.raises(PlanError, match="no GPU to spare: use --offload text"):
        plan({CLIP: 50}, Inventory(nodes=(replace(nodes[0], gpus=1),)), times)


def test_annotators_are_there_for_rows_that_need_them(times):
    there = cluster(*[node("H200", 8)] * 8)
    asked = plan({replace(CLIP, annotated=True): 500}, there, times).placement
    assert asked.annotators > plan({CLIP: 500}, there, times).placement.annotators == 0


def test_gangs_are_as_small_as_they_can_be():
    costs = ModelCosts(preset("transfer2.5-2b-multiview"))
    rig = replace(CLIP, controls=("hdmap",), chunk=ChunkSize(frames=61, height=720, width=1280, views=7))
    two_gib = max(costs.replica_gib(rig, 2), costs.text_gib(rig))
    assert two_gib < costs.replica_gib(rig) - 1
    tight = Gpu(type="tight", memory_gib=two_gib + 0.1, bf16_tflops=300)
    there = Inventory(nodes=(Node(name="t", cpus=64, memory_gib=10, gpus=8, gpu=tight),))
    made = plan({rig: 50}, there, ServiceTimes(costs), settings=PlanSettings(max_gang=8))
    assert made.placement.pools[0].gang == 2
    with pytest.raises(PlanError, match="needs"):
        plan({rig: 50}, there, ServiceTimes(costs))  # replicas of one GPU, unless more are allowed


def test_a_gang_that_is_asked_for_is_faster_and_makes_less(times):
    there = cluster(node("H200", 8), node("L4", 1))  # which has the text encoder: nothing shares a gang's GPUs
    one, eight = (plan({CLIP: 800}, there, times, settings=PlanSettings(gang=gang)) for gang in (1, 8))
    # published times on 1 and 8 GPUs: eight replicas of one beat one of eight by 1.76
    assert 1.4 < eight.finish.seconds / one.finish.seconds < 2.1
    with pytest.raises(PlanError, match=r"gang 16: there are 8 GPUs of one type at most .*: use fewer"):
        plan({CLIP: 1}, there, times, settings=PlanSettings(gang=16))


def test_without_a_gpu_where_one_is_required(times):
    with pytest.raises(PlanError, match=r"device cuda: there is no GPU \(1 node, 96 CPUs, no GPU\)"):
        plan({CLIP: 1}, cluster(node()), times, settings=PlanSettings(device="cuda"))
    with pytest.raises(PlanError, match="no row to plan"):
        plan({}, cluster(node()), times)


def test_cpus_make_tiny_clips():
    kind = RowKind(
        model="tiny-transfer",
        controls=("edge",),
        chunk=ChunkSize(frames=33, height=144, width=256),
        chunks=1,
        steps=12,
        guided=True,
    )
    made = plan({kind: 100}, cluster(node(cpus=4.0)), ServiceTimes(ModelCosts(preset("tiny-transfer"))))
    assert (made.device, made.replicas, made.gpu_hours, made.cost) == ("cpu", 4, 0.0, 0.0)


def test_too_few_cores_set_the_pace(times):
    distilled = replace(CLIP, steps=4, guided=False)
    made = plan({distilled: 200}, cluster(node("H200", 8, cpus=9.0)), times)
    fast = plan({distilled: 200}, cluster(node("H200", 8)), times)
    assert made.finish.seconds > fast.finish.seconds * 1.1
    assert any(reason.startswith("write sets the pace with") for reason in made.reasons)


def test_tasks_are_enough_for_the_kind_that_needs_most_of_them(times):
    # rows of a kind are made one after the other: on average, too few tasks would look like enough
    made = plan({CLIP: 900, SMALL_CLIP: 900}, cluster(node("H200", 8)), times)
    one_kind = plan({SMALL_CLIP: 900}, cluster(node("H200", 8)), times)
    assert made.workload.write_tasks == one_kind.workload.write_tasks
    assert simulate(made.workload).busy_share > 0.97


def test_very_many_rows_are_planned_like_few(times):
    there = cluster(*[node("H200", 8)] * 125)
    few, many = plan({CLIP: 20_000}, there, times), plan({CLIP: 10_000_000}, there, times)
    assert many.finish.seconds / 500 == pytest.approx(few.finish.seconds, rel=0.05)
