"""What goes where: replicas by type of GPU, the text encoder beside or in them or apart, and cores for the rest.

A replica is the smallest gang that the rows fit which fit that type of GPU at all.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from airshower.cluster.inventory import Inventory
from airshower.configs.gpus import Gpu
from airshower.configs.row_kind import RowKind
from airshower.pipelines.planning.service_times import Costs, ServiceTimes
from airshower.pipelines.planning.workload import NEVER, shortest_s

AHEAD_OF_REPLICAS = 1.3  # CPU tasks and text encoders are planned to be so much faster than the replicas
REPLICA_CORES = 1.0  # of a replica on GPUs: it packs frames and starts kernels


class PlanError(ValueError):
    """Nothing can be made with what there is: one line with what is needed, what is there and the remedy."""


@dataclass(frozen=True, kw_only=True)
class PlanSettings:
    """What the user decides."""

    device: str = "auto"  # auto | cpu | cuda
    replicas: int | None = None  # at most
    gang: int | None = None  # GPUs of a replica; None: the fewest that do, up to `max_gang`
    max_gang: int = 1
    slowness: float = 1.0  # how many times longer than on a free machine the start takes


@dataclass(frozen=True, kw_only=True)
class ReplicaPool:
    """Replicas on one type of GPU, or on CPUs."""

    gpu: Gpu | None
    gang: int  # GPUs of a replica; 0 on CPUs
    replicas: int
    kinds: frozenset[RowKind]  # that fit
    shares_cores: bool = False  # with the tasks that prepare and write

    @property
    def gpus(self) -> int:
        return self.gang * self.replicas

    def generate_s(self, kind: RowKind, times: ServiceTimes) -> float:
        """Of a row on a replica; NEVER for one that doesn't fit."""
        if kind not in self.kinds:
            return NEVER
        seconds = times.of(kind, "generate", self.gpu, max(1, self.gang)).seconds
        beside = ("prepare", "write") if self.shares_cores else ()
        return seconds + sum(times.of(kind, stage).seconds for stage in beside)


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Where everything runs."""

    pools: tuple[ReplicaPool, ...]  # fastest first
    text_gpu: Gpu | None = None  # None: prompts are embedded on a CPU
    text_inside: bool = False  # in each replica, since nothing shares a gang's GPUs
    text_apart: bool = False  # on GPUs of its own, for lack of room with replicas
    text_encoders: int = 1
    annotators: int = 0  # beside replicas of the first pool
    task_cores: float  # for what runs on CPUs
    refused: Mapping[RowKind, str]

    @property
    def kinds(self) -> frozenset[RowKind]:
        """That some pool makes."""
        return frozenset().union(*(pool.kinds for pool in self.pools))


def place(rows: Mapping[RowKind, int], inventory: Inventory, times: ServiceTimes, settings: PlanSettings) -> Placement:
    """Raises PlanError where nothing can be made."""
    if settings.device == "cpu" or (settings.device == "auto" and not inventory.gpus):
        return _with_annotators(_on_cpus(rows, inventory, settings), rows, times)
    if not inventory.gpus:
        raise PlanError(f"device cuda: there is no GPU ({inventory}): use --device cpu, or a cluster that has some")
    pools = _gpu_pools(rows, inventory, times, settings)
    refused = {kind: _refusal(kind, inventory, times.costs) for kind in rows if not any(kind in p.kinds for p in pools)}
    if len(refused) == len(rows):
        raise PlanError(next(iter(refused.values())))
    made = {kind: count for kind, count in rows.items() if kind not in refused}
    limited = _limited(pools, min(settings.replicas or math.inf, sum(made.values())))
    placed = Placement(pools=limited, task_cores=inventory.cpus, refused=refused)
    if times.costs.text_on_gpu:
        placed = _with_text(placed, inventory, made, times)
    replicas = sum(pool.replicas for pool in placed.pools)
    placed = replace(placed, task_cores=max(1.0, inventory.cpus - REPLICA_CORES * replicas))
    return _with_annotators(placed, made, times)


def _on_cpus(rows: Mapping[RowKind, int], inventory: Inventory, settings: PlanSettings) -> Placement:
    if settings.gang is not None and settings.gang > 1:
        raise PlanError(f"gang {settings.gang}: replicas on CPUs are no gangs: leave it out, or use GPUs")
    cores = max(1, int(inventory.cpus))
    replicas = min(settings.replicas or cores, cores, sum(rows.values()))
    full = replicas == cores
    pool = ReplicaPool(gpu=None, gang=0, replicas=replicas, kinds=frozenset(rows), shares_cores=full)
    return Placement(pools=(pool,), task_cores=max(1.0, cores / 2 if full else cores - replicas), refused={})


def _gpu_pools(
    rows: Mapping[RowKind, int], inventory: Inventory, times: ServiceTimes, settings: PlanSettings
) -> tuple[ReplicaPool, ...]:
    """One pool per type of GPU, the fastest first."""
    types = inventory.gpus_by_type()
    if settings.gang is not None and not any(inventory.places(gpu, settings.gang) for gpu in types):
        most = max(types.values())
        raise PlanError(f"gang {settings.gang}: there are {most} GPUs of one type at most ({inventory}): use fewer")
    pools = []
    for gpu in types:
        gang, kinds = _smallest_gang(rows, gpu, inventory, times.costs, settings)
        if kinds:
            places = inventory.places(gpu, gang)
            pools.append(ReplicaPool(gpu=gpu, gang=gang, replicas=places, kinds=kinds))
    common = [kind for kind in rows if all(kind in pool.kinds for pool in pools)] or list(rows)
    pools.sort(key=lambda pool: sum(pool.generate_s(kind, times) for kind in common))
    return tuple(pools)


def _smallest_gang(
    rows: Mapping[RowKind, int], gpu: Gpu, inventory: Inventory, costs: Costs, settings: PlanSettings
) -> tuple[int, frozenset[RowKind]]:
    """The fewest GPUs that all rows fit which fit the most, and these rows."""
    if settings.gang is not None:
        gangs = [settings.gang]
    else:  # on one node
        most = max(node.gpus for node in inventory.nodes if node.gpu == gpu)
        gangs = [2**power for power in range(min(most, settings.max_gang).bit_length())]
    able = [gang for gang in gangs if inventory.places(gpu, gang)]
    fitting = {gang: frozenset(kind for kind in rows if _fits(kind, gpu, gang, costs)) for gang in able}
    return next(
        ((gang, kinds) for gang, kinds in fitting.items() if len(kinds) == max(map(len, fitting.values()))),
        (1, frozenset()),
    )


def _fits(kind: RowKind, gpu: Gpu, gang: int, costs: Costs, beside_gib: float = 0.0) -> bool:
    return gpu.memory_gib is None or costs.replica_gib(kind, gang) + beside_gib <= gpu.memory_gib


def _refusal(kind: RowKind, inventory: Inventory, costs: Costs) -> str:
    largest = max(inventory.gpus_by_type(), key=lambda gpu: gpu.memory_gib or 0.0)
    there_gib = largest.memory_gib or 0.0
    return (
        f"{kind}: needs {costs.replica_gib(kind):.1f} GiB of a GPU, and the largest has {there_gib:.1f} ({largest}): "
        "use --offload or a lower --resolution (airshower memory says what would fit), or larger GPUs"
    )


def _with_text(placed: Placement, inventory: Inventory, rows: Mapping[RowKind, int], times: ServiceTimes) -> Placement:
    """The text encoder beside replicas, on the slowest GPUs that have room for both, or in all of them where they are
    gangs, or else on GPUs of its own.
    """
    need_gib = max(times.costs.text_gib(kind) for kind in rows)
    for pool in reversed(placed.pools):
        gpu = pool.gpu
        # Ray gives out whole GPUs or parts of one, so nothing shares those of a gang.
        alone = pool.gang == 1
        if alone and gpu is not None and all(_fits(kind, gpu, 1, times.costs, need_gib) for kind in pool.kinds):
            count = min(_enough("text", placed.pools, rows, gpu, times), pool.gpus)
            return replace(placed, text_gpu=gpu, text_encoders=count)
    if all(_fits_inside(pool, times.costs, need_gib) for pool in placed.pools):
        count = sum(pool.replicas for pool in placed.pools)
        return replace(placed, text_gpu=placed.pools[0].gpu, text_inside=True, text_encoders=count)
    by_speed = sorted(inventory.gpus_by_type().items(), key=lambda item: item[0].bf16_tflops or math.inf)
    for gpu, there in by_speed:
        if (gpu.memory_gib or math.inf) < need_gib:
            continue
        count = min(_enough("text", placed.pools, rows, gpu, times), there)
        pools = tuple(_without(one, there - count) if one.gpu == gpu else one for one in placed.pools)
        kept = tuple(one for one in pools if one.replicas)
        if frozenset().union(*(one.kinds for one in kept)) == placed.kinds:
            return replace(placed, pools=kept, text_gpu=gpu, text_apart=True, text_encoders=count)
    raise PlanError(
        f"the text encoder needs {need_gib:.1f} GiB of a GPU, and there is no room for it beside a replica and no GPU "
        "to spare: use --offload text, or more GPUs"
    )


def _fits_inside(pool: ReplicaPool, costs: Costs, need_gib: float) -> bool:
    gpu = pool.gpu
    return (
        pool.gang > 1 and gpu is not None and all(_fits(kind, gpu, pool.gang, costs, need_gib) for kind in pool.kinds)
    )


def _without(pool: ReplicaPool, gpus: int) -> ReplicaPool:
    """The pool on so many GPUs at most."""
    return replace(pool, replicas=min(pool.replicas, gpus // pool.gang))


def _enough(
    stage: str, pools: tuple[ReplicaPool, ...], rows: Mapping[RowKind, int], gpu: Gpu | None, times: ServiceTimes
) -> int:
    """How many actors of a stage keep up with the replicas."""
    generate_s = tuple(tuple(pool.generate_s(kind, times) for kind in rows) for pool in pools)
    busy_s = shortest_s(tuple(rows.values()), generate_s, tuple(pool.replicas for pool in pools))
    stage_s = sum(count * times.of(kind, stage, gpu).seconds for kind, count in rows.items())
    return max(1, math.ceil(AHEAD_OF_REPLICAS * stage_s / busy_s))


def _with_annotators(placed: Placement, rows: Mapping[RowKind, int], times: ServiceTimes) -> Placement:
    """None where no row needs them."""
    if not any(kind.annotated for kind in rows):
        return placed
    first = placed.pools[0]
    count = min(_enough("annotate", placed.pools, rows, first.gpu, times), first.replicas)
    return replace(placed, annotators=count)


def _limited(pools: tuple[ReplicaPool, ...], most: float) -> tuple[ReplicaPool, ...]:
    """The pools with so many replicas in all, of the fastest ones; pools that alone fit some rows keep one."""
    kept: list[ReplicaPool] = []
    left = most
    for number, pool in enumerate(pools):
        elsewhere = frozenset().union(*(other.kinds for other in (*kept, *pools[number + 1 :])))
        needed = 0 if pool.kinds <= elsewhere else 1
        replicas = int(max(needed, min(pool.replicas, left)))
        left -= replicas
        if replicas:
            kept.append(replace(pool, replicas=replicas))
    return tuple(kept)
