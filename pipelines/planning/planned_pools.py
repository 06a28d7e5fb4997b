"""From a plan to what Ray runs: a pool of replicas for every type of GPU that the plan uses, with its helpers."""

import math
from collections.abc import Iterator
from dataclasses import replace

from airshower.configs.gang_layout import ALONE, GangLayout
from airshower.configs.gpus import Gpu
from airshower.configs.messages import Row
from airshower.pipelines.dispatch.queue import Waiting
from airshower.pipelines.planning.placement import Placement, ReplicaPool
from airshower.pipelines.planning.run_plan import RunPlan
from airshower.pipelines.pools import Pools

_ASKED = "gangs"


def pools_and_rows(planned: RunPlan, base: Pools, *, gpu_types: int) -> tuple[dict[str, Pools], Iterator[Waiting[Row]]]:
    """The plan's pools by name, and its rows in order, each with the pools that it may go to.

    What a plan doesn't decide, such as shares of CPUs and GPUs, is as in `base`; so is everything where the user asked
    for gangs. With a single type of GPU in the cluster nothing is asked of its name: it may be unknown to Ray.
    """
    if base.gang.ranks > 1:
        pools = {_ASKED: _with_text_apart(planned, base) if planned.plan.placement.text_apart else base}
        return pools, (Waiting(index=row.index, row=row, pools=frozenset(pools)) for row in planned.rows)
    pools = {_name(pool): _pools_of(pool, planned, base, named=gpu_types > 1) for pool in planned.plan.placement.pools}
    return pools, (Waiting(index=row.index, row=row, pools=_able(row, planned)) for row in planned.rows)


def _pools_of(pool: ReplicaPool, planned: RunPlan, base: Pools, *, named: bool) -> Pools:
    placed, load = planned.plan.placement, planned.plan.workload
    return replace(
        base,
        replicas=pool.replicas,
        replica_gpus=_replica_gpus(base, placed, pool),
        gang=GangLayout(token_ranks=pool.gang) if pool.gang > 1 else ALONE,
        accelerator=_type(pool.gpu, named=named),
        text_gpus=1.0 if placed.text_apart else base.text_gpus,
        text_accelerator=_type(placed.text_gpu, named=named),
        text_encoders=0 if placed.text_inside else placed.text_encoders,
        annotators=placed.annotators,
        annotator_accelerator=_type(placed.pools[0].gpu, named=named),
        tasks=max(1, math.ceil(load.prepare_tasks * pool.replicas / planned.plan.replicas)),
    )


def _with_text_apart(planned: RunPlan, base: Pools) -> Pools:
    """Gangs that the user asked for, whose GPUs have no room for the text encoder."""
    placed = planned.plan.placement
    return replace(base, replicas=planned.plan.replicas, text_gpus=1.0, text_encoders=placed.text_encoders)


def _able(row: Row, planned: RunPlan) -> frozenset[str]:
    """The pools that a row may go to: those it fits, or any where it isn't known."""
    pools = planned.plan.placement.pools
    kind = planned.kinds.of_row.get(row.index)
    fitting = [pool for pool in pools if kind in pool.kinds]
    return frozenset(_name(pool) for pool in fitting or pools)


def _type(gpu: Gpu | None, *, named: bool) -> str | None:
    return gpu.type if named and gpu is not None else None


def _name(pool: ReplicaPool) -> str:
    return "CPU" if pool.gpu is None else pool.gpu.type


def _replica_gpus(base: Pools, placed: Placement, pool: ReplicaPool) -> float:
    """A replica leaves room on its GPU for text encoder and annotators where they are on that type of GPU."""
    if pool.gpu is None:
        return 0.0
    if pool.gang > 1:
        return pool.gang
    text = base.text_gpus if pool.gpu == placed.text_gpu and not placed.text_apart else 0.0
    return 1.0 - text - (base.annotator_gpus if pool is placed.pools[0] and placed.annotators else 0.0)
