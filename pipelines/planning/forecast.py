"""When a run will end, as it goes on: the plan's own guess at first, then what its rows took and how many are made.

Three things are learned. Times of stages correct the service times, so rows that are still to come are seen as they
are. The pace, rows made in the time that passed, tells what no service time knows of: replicas that wait, or are gone.
And what hasn't moved for a while is expected to take about a quarter of that yet, so that a run which is late is never
about to end.
"""

import math
from collections import Counter
from collections.abc import Mapping

from airshower.configs.gpus import Gpu
from airshower.configs.row_kind import RowKind
from airshower.pipelines.events import Event, Loaded, RowDone, RowFailed, RowProgress, StageFinished
from airshower.pipelines.planning.plan import Finish, Plan, paced_s, spread_of, workload_of
from airshower.pipelines.planning.service_times import ServiceTimes

_ROUNDS = 4.0  # rows per replica after which the pace counts as much as the service times
_ROUND_SPREAD = 0.25  # of the pace after one round
_80_PERCENT = 1.28
_STILL = 0.25  # of the time without news


class Forecast:
    """Follows the events of one run; `kinds` are by the row's index."""

    def __init__(self, plan: Plan, kinds: Mapping[int, RowKind], times: ServiceTimes) -> None:
        self._plan, self._times = plan, times
        self._open = {index: kind for index, kind in kinds.items() if kind in plan.rows}
        self._left = Counter(self._open.values())
        self._made: Counter[RowKind] = Counter()
        self._fractions: dict[int, float] = {}  # of open rows that say how far they are
        self._moved, self._moved_s = True, 0.0  # whether there was news since it was looked; when there was some
        self._loaded, self._loaded_s = False, math.inf  # a replica

    def tell(self, event: Event) -> None:
        """Any event of the run."""
        self._moved |= isinstance(event, StageFinished | RowDone | RowFailed | RowProgress | Loaded)
        if isinstance(event, Loaded) and event.what == "replica":
            self._loaded = True
        elif isinstance(event, RowProgress) and event.index in self._open:
            self._fractions[event.index] = event.fraction
        elif isinstance(event, StageFinished) and event.index in self._open:
            known, gpu = self._gpu(event.stage)
            if known:
                self._times.learn(self._open[event.index], gpu, {event.stage: event.seconds})
        elif isinstance(event, RowDone | RowFailed) and event.index in self._open:
            kind = self._open.pop(event.index)
            self._fractions.pop(event.index, None)
            self._left[kind] -= 1
            self._made[kind] += isinstance(event, RowDone)

    def finish(self, elapsed_s: float) -> Finish:
        """Seconds from the start of the run to its end, as seen after `elapsed_s` of them."""
        left = +self._left  # kinds of which there are some
        if not left:
            return Finish(seconds=elapsed_s, low_s=elapsed_s, high_s=elapsed_s)
        self._look(elapsed_s)
        left_s, longest_s = self._cluster_s(left), self._longest_s(left)
        begun_s, least_s = self._under_way(left_s, longest_s)
        rounds = self._made.total() / self._plan.replicas
        weight = rounds / (rounds + _ROUNDS)
        worked_s = elapsed_s - (self._plan.workload.start_s if math.isinf(self._loaded_s) else self._loaded_s)
        pace = (self._cluster_s(self._made) + begun_s) / worked_s if worked_s > 0 and rounds else 1.0
        waited_s = max(0.0, -worked_s)  # replicas are still loading
        rest_s = waited_s + max(left_s - begun_s, least_s) / pace**weight
        rest_s = max(rest_s, _STILL * (elapsed_s - self._moved_s))
        of_times = spread_of(left, self._plan.placement, self._times) * (1 - weight)
        spread = math.hypot(of_times, _ROUND_SPREAD * weight / math.sqrt(1 + rounds))
        factor = math.exp(_80_PERCENT * spread)
        return Finish(seconds=elapsed_s + rest_s, low_s=elapsed_s + rest_s / factor, high_s=elapsed_s + rest_s * factor)

    def _look(self, elapsed_s: float) -> None:
        """Events don't say when they were; they are no older than the last look."""
        if self._moved:
            self._moved, self._moved_s = False, elapsed_s
        if self._loaded:
            self._loaded_s = min(elapsed_s, self._loaded_s)

    def _under_way(self, left_s: float, longest_s: float) -> tuple[float, float]:
        """How much of the work that is left is done, and how much time the longest of the rows begun needs at least."""
        if self._fractions:
            pools = self._plan.placement.pools
            row_s = {i: min(pool.generate_s(self._open[i], self._times) for pool in pools) for i in self._fractions}
            done_s = sum(self._fractions[i] * row_s[i] for i in row_s) / self._plan.replicas
            return min(left_s, done_s), max((1 - self._fractions[i]) * row_s[i] for i in row_s)
        if self._made:  # more or less half done
            return min(left_s, longest_s) / 2, longest_s / 2
        return 0.0, longest_s / 2

    def _gpu(self, stage: str) -> tuple[bool, Gpu | None]:
        """Whether it is known where a stage ran, and on which GPU: with several types, events don't say."""
        placed = self._plan.placement
        if stage == "text":
            return True, placed.text_gpu
        if stage in ("prepare", "write"):
            return True, None
        return len(placed.pools) == 1, placed.pools[0].gpu

    def _cluster_s(self, rows: Mapping[RowKind, int]) -> float:
        """What the rows take all pools together, by what is known of times now."""
        if not any(rows.values()):
            return 0.0
        return max(paced_s(workload_of(rows, self._plan.placement, self._times)).values())

    def _longest_s(self, rows: Mapping[RowKind, int]) -> float:
        pools = self._plan.placement.pools
        return max(min(pool.generate_s(kind, self._times) for pool in pools) for kind in rows)
