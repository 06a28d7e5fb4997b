"""The plan of a run: what works on it, in which order, how long it takes and what it costs. Pure; nothing is started.

One clip per GPU makes most of a GPU, so a replica is the smallest gang that its rows fit. CPU tasks are as many as keep
the replicas busy, on whichever nodes have cores. Longest rows come first, so that the end is even, and like shapes one
after the other.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from airshower.cluster.inventory import Inventory
from airshower.configs.gpus import GPUS, Gpu
from airshower.configs.row_kind import RowKind
from airshower.pipelines.planning.placement import (
    AHEAD_OF_REPLICAS,
    Placement,
    PlanError,
    PlanSettings,
    ReplicaPool,
    place,
)
from airshower.pipelines.planning.service_times import ServiceTimes
from airshower.pipelines.planning.simulate import simulate
from airshower.pipelines.planning.starting import loading_s
from airshower.pipelines.planning.workload import Pool, Workload, shortest_s

ANY_GPU = ""  # whose price is for all types without one
_PLAYED_ROWS = 20_000  # up to so many, the end is played out row by row
_SHORTER = 1.25  # rows whose times differ by less are as good as equal, and their shapes decide
WRITERS = 2  # threads beside each replica that write while it generates
_80_PERCENT = 1.28  # standard deviations to either side
_PLANNING_SPREAD = 0.03  # of what no estimate knows of


@dataclass(frozen=True, kw_only=True)
class Finish:
    """Seconds from the start of the models to the end of a run: expected, and what it lies between 8 times of 10."""

    seconds: float
    low_s: float
    high_s: float


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How rows are made with what there is."""

    rows: Mapping[RowKind, int]  # in the order they are made
    placement: Placement
    workload: Workload
    finish: Finish
    gpu_hours: float
    cost: float | None  # None: some GPU has no price
    reasons: tuple[str, ...]

    @property
    def pools(self) -> str:
        """The replicas in words."""
        pools = self.placement.pools
        return " and ".join(
            f"{pool.replicas} replica{'s' if pool.replicas != 1 else ''} on "
            f"{f'{pool.gang} x {pool.gpu} each' if pool.gpu is not None else 'CPUs'}"
            for pool in pools
        )

    @property
    def device(self) -> str:
        """cpu or cuda"""
        return "cpu" if self.placement.pools[0].gpu is None else "cuda"

    @property
    def replicas(self) -> int:
        """Of all pools."""
        return sum(pool.replicas for pool in self.placement.pools)


def plan(
    rows: Mapping[RowKind, int],
    inventory: Inventory,
    times: ServiceTimes,
    prices: Mapping[str, float] | None = None,
    settings: PlanSettings | None = None,
) -> Plan:
    """The plan for so many rows of each kind; `prices` are per GPU and hour, by type.

    Raises PlanError where nothing can be made: no GPU where one is required, a gang that no node has room for.
    """
    if not rows:
        raise PlanError("no row to plan: all are made, or none can be read")
    settings = settings or PlanSettings()
    placed = place(rows, inventory, times, settings)
    ordered = {kind: rows[kind] for kind in in_order(placed.kinds, placed.pools, times)}
    start_s = loading_s(placed, inventory.cpus, settings.slowness)
    load = replace(workload_of(ordered, placed, times), start_s=start_s)
    finish = _finish(load, ordered, placed, times)
    gpus = _gpus(placed)
    return Plan(
        rows=ordered,
        placement=placed,
        workload=load,
        finish=finish,
        gpu_hours=finish.seconds / 3600 * sum(gpus.values()),
        cost=_cost(gpus, finish.seconds / 3600, prices or {}),
        reasons=(*_pools_in_words(placed, inventory), _pace_in_words(load), *_guesses_in_words(gpus)),
    )


def in_order(kinds: Iterable[RowKind], pools: Sequence[ReplicaPool], times: ServiceTimes) -> list[RowKind]:
    """Longest first; among kinds that take about as long, like shapes one after the other."""

    def place_of(kind: RowKind) -> tuple[object, ...]:
        seconds = min(pool.generate_s(kind, times) for pool in pools)
        chunk = kind.chunk
        shape = (kind.controls, chunk.views, chunk.frames, chunk.height, chunk.width)
        return -round(math.log(max(seconds, 1e-3), _SHORTER)), shape, -seconds, str(kind)

    return sorted(kinds, key=place_of)


def workload_of(rows: Mapping[RowKind, int], placed: Placement, times: ServiceTimes) -> Workload:
    """Rows and times as numbers, with as many CPU tasks as keep the replicas busy, if there are cores for them."""
    generate_s = tuple(tuple(pool.generate_s(kind, times) for kind in rows) for pool in placed.pools)
    counts = tuple(rows.values())
    prepare_s, write_s = (tuple(times.of(kind, stage).seconds for kind in rows) for stage in ("prepare", "write"))
    # Of the kind that takes most of them: rows of a kind are made one after the other, so an average is too few.
    rates = [sum(pool.replicas / pool.generate_s(kind, times) for pool in placed.pools) for kind in rows]
    wanted = [
        AHEAD_OF_REPLICAS * max(rate * each_s for rate, each_s in zip(rates, seconds, strict=True))
        for seconds in (prepare_s, write_s)
    ]
    fitting = min(1.0, placed.task_cores / sum(wanted))
    prepare_tasks, write_tasks = (min(sum(counts), max(1, math.ceil(tasks * fitting))) for tasks in wanted)
    write_tasks = min(write_tasks, WRITERS * sum(pool.replicas for pool in placed.pools))
    return Workload(
        rows=counts,
        generate_s=generate_s,
        pools=tuple(Pool(replicas=pool.replicas, gpus_each=pool.gang) for pool in placed.pools),
        prepare_s=prepare_s,
        write_s=write_s,
        chunks=tuple(kind.chunks for kind in rows),
        prepare_tasks=prepare_tasks,
        write_tasks=write_tasks,
    )


def paced_s(load: Workload) -> dict[str, float]:
    """How long each stage would take by itself."""
    return {
        "generate": shortest_s(load.rows, load.generate_s, tuple(pool.replicas for pool in load.pools)),
        "prepare": _total(load.rows, load.prepare_s) / load.prepare_tasks,
        "write": _total(load.rows, load.write_s) / load.write_tasks,
    }


def spread_of(rows: Mapping[RowKind, int], placed: Placement, times: ServiceTimes) -> float:
    """How far the time of all rows may be off: the standard deviation of its logarithm."""
    total_s = uncertain_s = 0.0
    for kind, count in rows.items():
        for pool in placed.pools:
            if kind in pool.kinds:
                estimate = times.of(kind, "generate", pool.gpu, max(1, pool.gang))
                total_s += count * pool.replicas
                uncertain_s += count * pool.replicas * estimate.spread
    return math.hypot(uncertain_s / total_s if total_s else 0.0, _PLANNING_SPREAD)


def around(seconds: float, spread: float) -> Finish:
    """An end with what it lies between."""
    factor = math.exp(_80_PERCENT * spread)
    return Finish(seconds=seconds, low_s=seconds / factor, high_s=seconds * factor)


def _finish(load: Workload, rows: Mapping[RowKind, int], placed: Placement, times: ServiceTimes) -> Finish:
    """Played out where there are few rows; of very many, the end hardly matters beside the rest."""
    if sum(load.rows) <= _PLAYED_ROWS:
        seconds = simulate(load).makespan_s
    else:
        last_s = min(min(of_kind) for of_kind in zip(*load.generate_s, strict=True))
        seconds = load.start_s + max(paced_s(load).values()) + last_s / 2 + min(load.write_s)
    return around(seconds, spread_of(rows, placed, times))


def _total(counts: Sequence[int], seconds: Sequence[float]) -> float:
    return sum(count * each for count, each in zip(counts, seconds, strict=True))


def _gpus(placed: Placement) -> dict[Gpu, int]:
    """How many of each type the run holds."""
    held = {pool.gpu: pool.gpus for pool in placed.pools if pool.gpu is not None}
    if placed.text_apart and placed.text_gpu is not None:
        held[placed.text_gpu] = held.get(placed.text_gpu, 0) + placed.text_encoders
    return held


def _cost(gpus: Mapping[Gpu, int], hours: float, prices: Mapping[str, float]) -> float | None:
    total = 0.0
    for gpu, count in gpus.items():
        price = prices.get(gpu.type, prices.get(ANY_GPU))
        if price is None:
            return None
        total += price * count * hours
    return total


def _pools_in_words(placed: Placement, inventory: Inventory) -> list[str]:
    words = []
    for pool in placed.pools:
        if pool.gpu is None:
            words.append("no GPU is used: a replica per core, as far as there are rows")
        elif pool.gang == 1:
            words.append(f"one {pool.gpu} per replica: rows fit it, and one clip per GPU makes most of it")
        else:
            words.append(
                f"{pool.gang} x {pool.gpu} per replica, the gang that was asked for or the fewest that rows fit"
            )
    if placed.text_gpu is not None:
        where = "in each gang" if placed.text_inside else "beside replicas"
        where = "on GPUs of its own, since both don't fit one" if placed.text_apart else where
        words.append(f"text encoder on {placed.text_gpu}, {where}")
    idle = {gpu for gpu in inventory.gpus_by_type() if gpu not in _gpus(placed)}
    if idle and placed.pools[0].gpu is not None:
        words.append(f"not used: {', '.join(map(str, idle))}, too small for the rows or more than there are rows for")
    cores = sum(node.cpus for node in inventory.nodes if not node.gpus)
    if cores and placed.pools[0].gpu is not None:
        words.append(f"{cores:g} of {inventory.cpus:g} cores are on nodes without a GPU: they prepare rows")
    return words


def _pace_in_words(load: Workload) -> str:
    paced = paced_s(load)
    slowest = max(paced, key=lambda stage: paced[stage])
    if slowest == "generate":
        return "the replicas set the pace"
    tasks = load.prepare_tasks if slowest == "prepare" else load.write_tasks
    share = paced["generate"] / paced[slowest]
    return f"{slowest} sets the pace with {tasks} cores, replicas work {share:.0%} of the time: add CPUs"


def _guesses_in_words(gpus: Mapping[Gpu, int]) -> list[str]:
    words = []
    for gpu in gpus:
        if gpu.memory_gib is None:
            words.append(f"the memory of a {gpu} isn't known: rows are taken to fit it")
        if gpu.bf16_tflops is None:
            words.append(f"the speed of a {gpu} isn't known: taken to be an A100's until rows are made")
        elif gpu != GPUS["H200"]:
            words.append(f"times on a {gpu} are an estimate, its published peak at the share that an H200 reaches")
    return words
