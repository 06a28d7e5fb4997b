"""When a run will end, as it goes on: the plan's own guess at first, then what its rows took and how many are made.

Two things are learned. Times of stages correct the service times, so rows that are still to come are seen as they are.
The pace, rows made in the time that passed, tells what no service time knows of: replicas that wait, or are gone.
"""

import math
from collections import Counter
from collections.abc import Mapping

from airshower.configs.gpus import Gpu
from airshower.configs.row_kind import RowKind
from airshower.pipelines.events import Event, RowDone, RowFailed, StageFinished
from airshower.pipelines.planning.plan import Finish, Plan, paced_s, spread_of, workload_of
from airshower.pipelines.planning.service_times import ServiceTimes

_ROUNDS = 4.0  # rows per replica after which the pace counts as much as the service times
_ROUND_SPREAD = 0.25  # of the pace after one round
_80_PERCENT = 1.28


class Forecast:
    """Follows the events of one run; `kinds` are by the row's index."""

    def __init__(self, plan: Plan, kinds: Mapping[int, RowKind], times: ServiceTimes) -> None:
        self._plan, self._times = plan, times
        self._open = {index: kind for index, kind in kinds.items() if kind in plan.rows}
        self._left = Counter(self._open.values())
        self._made: Counter[RowKind] = Counter()

    def tell(self, event: Event) -> None:
        """Any event of the run."""
        if isinstance(event, StageFinished) and event.index in self._open:
            known, gpu = self._gpu(event.stage)
            if known:
                self._times.learn(self._open[event.index], gpu, {event.stage: event.seconds})
        elif isinstance(event, RowDone | RowFailed) and event.index in self._open:
            kind = self._open.pop(event.index)
            self._left[kind] -= 1
            self._made[kind] += isinstance(event, RowDone)

    def finish(self, elapsed_s: float) -> Finish:
        """Seconds from the start of the run to its end, as seen after `elapsed_s` of them."""
        left = +self._left  # kinds of which there are some
        if not left:
            return Finish(seconds=elapsed_s, low_s=elapsed_s, high_s=elapsed_s)
        left_s, longest_s = self._cluster_s(left), self._longest_s(left)
        rounds = self._made.total() / self._plan.replicas
        weight = rounds / (rounds + _ROUNDS)
        begun_s = min(left_s, longest_s) / 2  # rows under way are half done, more or less
        worked_s = elapsed_s - self._plan.workload.start_s
        pace = (self._cluster_s(self._made) + begun_s) / worked_s if worked_s > 0 and rounds else 1.0
        waited_s = max(0.0, -worked_s)  # replicas are still loading
        rest_s = waited_s + max(left_s - (begun_s if rounds else 0.0), longest_s / 2) / pace**weight
        of_times = spread_of(left, self._plan.placement, self._times) * (1 - weight)
        spread = math.hypot(of_times, _ROUND_SPREAD * weight / math.sqrt(1 + rounds))
        factor = math.exp(_80_PERCENT * spread)
        return Finish(seconds=elapsed_s + rest_s, low_s=elapsed_s + rest_s / factor, high_s=elapsed_s + rest_s * factor)

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
