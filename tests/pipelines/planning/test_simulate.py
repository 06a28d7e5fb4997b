"""Runs that can be worked out by hand come out as worked out; disturbances cost what they must."""

import math

import pytest

from airshower.pipelines.planning.simulate import Disturbances, simulate
from airshower.pipelines.planning.workload import NEVER, Pool, Workload, shortest_s


def workload(rows=(10,), generate_s=((100.0,),), replicas=(4,), **others):
    kinds = len(rows)
    defaults = {
        "prepare_s": (0.0,) * kinds,
        "write_s": (0.0,) * kinds,
        "chunks": (1,) * kinds,
        "prepare_tasks": 1,
        "write_tasks": 1,
    }
    pools = tuple(Pool(replicas=count) for count in replicas)
    return Workload(rows=rows, generate_s=generate_s, pools=pools, **(defaults | others))


def test_ten_rows_on_four_replicas_take_three_rounds():
    outcome = simulate(workload(start_s=5.0))
    assert outcome.makespan_s == 305.0
    assert outcome.busy_share == pytest.approx(1000 / (4 * 305))
    assert (outcome.tail_s, outcome.preemptions) == (100.0, 0)


def test_the_longest_rows_first_leave_no_tail():
    long_first = simulate(workload(rows=(1, 6), generate_s=((300.0, 100.0),), replicas=(3,)))
    short_first = simulate(workload(rows=(6, 1), generate_s=((100.0, 300.0),), replicas=(3,)))
    assert (long_first.makespan_s, short_first.makespan_s) == (300.0, 500.0)


def test_a_slow_stage_before_or_after_sets_the_pace():
    assert simulate(workload(rows=(100,), prepare_s=(50.0,))).makespan_s == pytest.approx(100 * 50 + 100)
    assert simulate(workload(rows=(100,), write_s=(50.0,))).makespan_s == pytest.approx(100 + 100 * 50)


def test_rows_are_prepared_only_a_few_ahead():
    # while the first kind is made, one task could prepare half of the second, which it is too slow for
    outcome = simulate(workload(rows=(40, 40), generate_s=((100.0, 100.0),), replicas=(2,), prepare_s=(1.0, 70.0)))
    assert outcome.makespan_s == pytest.approx(20 * 100 + 40 * 70, rel=0.1)


def test_a_slow_gpu_takes_its_share_but_never_the_last_long_row():
    unlike = {"generate_s": ((100.0,), (1000.0,)), "replicas": (2, 2)}
    assert simulate(workload(rows=(220,), **unlike)).makespan_s == pytest.approx(10_000, rel=0.02)
    assert simulate(workload(rows=(2,), **unlike)).makespan_s == 100.0


def test_kinds_that_fit_one_pool_wait_for_it():
    outcome = simulate(workload(rows=(4, 4), generate_s=((100.0, 100.0), (NEVER, 100.0)), replicas=(1, 1)))
    assert outcome.makespan_s == 400.0


def test_a_preempted_clip_goes_on_from_its_last_chunk():
    often = Disturbances(preemptions_per_node_hour=6.0, outage_s=60.0)
    whole = simulate(workload(rows=(200,), generate_s=((500.0,),), replicas=(8,)), often, seed=1)
    chunked = simulate(workload(rows=(200,), generate_s=((500.0,),), replicas=(8,), chunks=(10,)), often, seed=1)
    assert whole.preemptions > 50
    assert chunked.lost_share < whole.lost_share / 5
    assert chunked.makespan_s < whole.makespan_s
    calm_s = simulate(workload(rows=(200,), generate_s=((500.0,),), replicas=(8,))).makespan_s
    assert chunked.makespan_s > calm_s


def test_stragglers_cost_no_throughput_but_a_tail():
    spread = simulate(workload(rows=(4000,), replicas=(10,)), Disturbances(row_spread=0.3), seed=2)
    assert spread.makespan_s == pytest.approx(4000 * 100 / 10, rel=0.03)
    assert spread.busy_share > 0.98
    slow = simulate(workload(rows=(4000,), replicas=(10,)), Disturbances(measured=(1.1,)))
    assert slow.makespan_s == pytest.approx(44_000)


def test_one_seed_gives_one_outcome():
    odds = Disturbances(row_spread=0.2, preemptions_per_node_hour=1.0, replica_spread=0.05)
    first, again, other = (simulate(workload(rows=(500,)), odds, seed=seed) for seed in (3, 3, 4))
    assert first == again != other


def test_the_shortest_time_divides_rows_among_unlike_pools():
    assert shortest_s((10,), ((100.0,),), (4,)) == 250.0
    # each minute the first pool makes 1/100 and the second 1/400 of a row
    assert shortest_s((10,), ((100.0,), (400.0,)), (1, 1)) == pytest.approx(800)
    # kind 0 fits the first pool only: it does nothing else
    assert shortest_s((8, 2), ((100.0, 100.0), (NEVER, 400.0)), (1, 1)) == pytest.approx(800)
    with pytest.raises(ValueError, match="no pool can make"):
        shortest_s((1,), ((math.inf,),), (1,))
