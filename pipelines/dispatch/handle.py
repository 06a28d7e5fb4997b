"""How driver and stages speak to the dispatcher of a run, and how it is started and ended.

Whoever speaks to it goes on when it doesn't answer: it may be lost, and started again. Ray is imported where it is
used, as in `dispatcher`.
"""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, cast

from airshower.cluster.lost_nodes import taking_leave
from airshower.configs.messages import Row
from airshower.pipelines.dispatch.beats import beat
from airshower.pipelines.dispatch.dispatcher import Dispatcher, Heard, Standing
from airshower.pipelines.dispatch.queue import Begun, Later, Over, Parcel, Waiting
from airshower.pipelines.events import LiveEvent, RowProgress, Warned

if TYPE_CHECKING:
    from ray import ObjectRef
    from ray.actor import ActorHandle

_ANSWER_TIMEOUT_S = 30.0
_BEATS = 10  # that a process sends in the time after which its silence counts
_PROGRESS_INTERVAL_S = 0.5

Answer = TypeVar("Answer")


class Dispatch:
    """Driver's and workers' end of the dispatcher. Travels in pickles."""

    def __init__(self, dispatcher: "ActorHandle[Dispatcher] | None" = None, hang_timeout_s: float = math.inf) -> None:
        """`dispatcher` None: nobody hears, and no row was ever begun before."""
        self._dispatcher = dispatcher
        self.hang_timeout_s = hang_timeout_s
        self.answer_timeout_s = min(_ANSWER_TIMEOUT_S, hang_timeout_s / 2)

    def exchange(
        self,
        rows: Sequence[Waiting[Row]] = (),
        ended: Sequence[int] = (),
        *,
        close: bool = False,
        leaving: frozenset[str] = frozenset(),
        numbers: Mapping[str, int],
    ) -> Heard | None:
        """See `Dispatcher.exchange`; None when it doesn't answer."""
        if self._dispatcher is None:
            return None
        return self._ask(
            self._dispatcher.exchange.remote(rows, ended, close=close, leaving=leaving, numbers=numbers),
            otherwise=None,
        )

    def restart(self) -> None:
        """Ends the dispatcher's process, which hangs; Ray starts another one."""
        import ray

        if self._dispatcher is not None:
            ray.kill(self._dispatcher, no_restart=False)

    def watch_this_process(self) -> None:
        """From now on, the process that this is called in is ended should it hang."""
        if self._dispatcher is not None:
            beat(self._dispatcher, self.hang_timeout_s / _BEATS)

    def drain(self) -> None:
        """Lets what is under way end, at the latest between two chunks, and nothing begin."""
        if self._dispatcher is not None:
            self._ask(self._dispatcher.drain.remote(), otherwise=None)

    def take(self, pool: str, number: int) -> Parcel[Row] | Over:
        """Rows for a pool, waited for as long as it takes."""
        import ray

        if self._dispatcher is None:
            return Over()
        self.watch_this_process()
        while True:
            taken = cast("Parcel[Row] | Later | Over", ray.get(self._dispatcher.take.remote(pool, number)))
            if not isinstance(taken, Later):
                return taken

    def begin(self, indices: Sequence[int], stage: str, *, alone: bool = False) -> Standing:
        """Says that this process begins rows; nobody is known to have died when the dispatcher doesn't answer."""
        unknown = Standing(deaths={}, elsewhere=False)
        if self._dispatcher is None:
            return unknown
        import ray

        self.watch_this_process()
        at = Begun(node=ray.get_runtime_context().get_node_id(), alone=alone)
        return self._ask(self._dispatcher.begin.remote(indices, stage, at), otherwise=unknown)

    def asked_to_stop(self) -> bool:
        """Whether this process's node is about to leave or the run to end; not, when the dispatcher doesn't answer."""
        if self._dispatcher is None:
            return False
        import ray

        node = ray.get_runtime_context().get_node_id()
        return self._ask(self._dispatcher.asked_to_stop.remote(node), otherwise=False)

    def report(self, *events: LiveEvent) -> None:
        """Tells the driver, without waiting."""
        if self._dispatcher is not None and events:
            self._dispatcher.report.remote(events)

    def warn(self, message: str) -> None:
        """Tells the user something that no row fails of."""
        self.report(Warned(message=message))

    def progress_of(self, index: int, name: str) -> "ProgressCallback":
        """A callback for one row's generation that reports at most twice a second."""
        return ProgressCallback(self, index, name)

    def _ask(self, answer: "ObjectRef", otherwise: Answer) -> Answer:
        import ray

        try:
            return ray.get(answer, timeout=self.answer_timeout_s)
        except ray.exceptions.RayError:
            return otherwise


class ProgressCallback:
    """Called with a fraction 0..1 from inside the sampler; throttled."""

    def __init__(self, dispatch: Dispatch, index: int, name: str) -> None:
        self._dispatch, self._index, self._name = dispatch, index, name
        self._last_s = 0.0

    def __call__(self, fraction: float) -> None:
        now_s = time.monotonic()
        if now_s - self._last_s >= _PROGRESS_INTERVAL_S:
            self._last_s = now_s
            self._dispatch.report(RowProgress(index=self._index, name=self._name, fraction=fraction))


@contextmanager
def dispatcher(pools: dict[str, tuple[int, int]], hang_timeout_s: float) -> Iterator[Dispatch]:
    """The actor of one run, which ends with the block. `pools` as for `Dispatcher`; a process of the run that says
    nothing for `hang_timeout_s` may hang.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    # It lives and dies with the driver's node: a run loses nothing that it would not lose anyway.
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
    options: dict[str, Any] = {"num_cpus": 0, "max_restarts": -1, "max_task_retries": -1, "scheduling_strategy": here}
    actor = cast("ActorHandle[Dispatcher]", ray.remote(**options)(Dispatcher).remote(pools))
    with taking_leave(partial(ray.kill, actor)):
        yield Dispatch(actor, hang_timeout_s)
