"""The queue of a run as a Ray actor on the driver's node, and the handle with which driver and stages speak to it.

The driver offers rows and hears what happens; workers fetch rows, say which they begin, and report. The driver stays
the one who knows: should the actor be lost, a new one is told again what has not ended.
Ray is imported where it is used: a driver must set Ray's environment before (`airshower.cluster.session`).
"""

import asyncio
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast

from airshower.configs.messages import Row
from airshower.pipelines.dispatch.queue import Begun, DispatchQueue, Later, Over, Parcel, Waiting
from airshower.pipelines.events import LiveEvent, RowProgress, Warned

if TYPE_CHECKING:
    from ray import ObjectRef
    from ray.actor import ActorHandle

_CAPACITY = 512  # rows that wait; the driver has the others
_ANSWER_TIMEOUT_S = 30.0
_TAKE_WAIT_S = 5.0  # that a request for rows stays open
_PROGRESS_INTERVAL_S = 0.5

Answer = TypeVar("Answer")


@dataclass(frozen=True, kw_only=True)
class Heard:
    """What the driver hears from the dispatcher."""

    instance: str  # another one than before has lost what it knew
    numbers: dict[str, int]  # of parcels that were handed out, by pool
    room: int  # for rows that may be offered
    events: list[LiveEvent]


@dataclass(frozen=True, kw_only=True)
class Standing:
    """What a worker hears of the rows that it is about to begin."""

    deaths: dict[int, int]  # of processes, by row
    elsewhere: bool  # this is not the time, or the node, to begin a row


class Dispatcher:
    """The actor: one event loop, so nothing in it needs a lock."""

    def __init__(self, pools: dict[str, tuple[int, int]]) -> None:
        """`pools`: replicas of each, and how many parcels it may have under way."""
        import ray

        self._succeeds = ray.get_runtime_context().was_current_actor_reconstructed
        self._queue: DispatchQueue[Row] = DispatchQueue(capacity=_CAPACITY)
        for name, (replicas, most_parcels) in pools.items():
            self._queue.open_pool(name, replicas=replicas, most_parcels=most_parcels)
        self._instance = uuid.uuid4().hex
        self._events: list[LiveEvent] = []
        self._leaving: frozenset[str] = frozenset()  # nodes
        self._changed = asyncio.Event()

    async def exchange(
        self,
        rows: Sequence[Waiting[Row]],
        ended: Sequence[int],
        *,
        close: bool,
        leaving: frozenset[str],
        numbers: Mapping[str, int],
    ) -> Heard:
        """The driver's: new rows, rows that have ended, whether there will be more; nodes that are about to leave; the
        `numbers` that it heard last.
        """
        if self._succeeds:
            self._queue.succeed(numbers)
            self._succeeds = False
        self._queue.end(ended, time.monotonic())
        self._queue.offer(rows)
        if close:
            self._queue.close()
        self._leaving = leaving
        events, self._events = self._events, []
        self._wake()
        return Heard(instance=self._instance, numbers=self._queue.numbers, room=self._queue.room, events=events)

    async def asked_to_stop(self, node: str) -> bool:
        """A worker's: whether what it does is to go on elsewhere, on another node or in another run."""
        return node in self._leaving or self._queue.draining

    async def drain(self) -> None:
        self._queue.drain()
        self._wake()

    async def take(self, pool: str, number: int) -> Parcel[Row] | Later | Over:
        """A worker's: rows as soon as there are some."""
        until_s = time.monotonic() + _TAKE_WAIT_S
        while isinstance(taken := self._queue.take(pool, number, time.monotonic()), Later):
            left_s = until_s - time.monotonic()
            changed = self._changed
            try:
                await asyncio.wait_for(changed.wait(), left_s)
            except TimeoutError:
                return taken
        return taken

    async def begin(self, indices: Sequence[int], stage: str, at: Begun) -> Standing:
        """A worker's: that it begins rows."""
        if await self.asked_to_stop(at.node):
            return Standing(deaths={}, elsewhere=True)
        return Standing(deaths=self._queue.begin(indices, stage, at, _lost_nodes), elsewhere=False)

    async def report(self, events: Sequence[LiveEvent]) -> None:
        self._events += events

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


class Dispatch:
    """Driver's and workers' end of the dispatcher. Travels in pickles."""

    def __init__(self, dispatcher: "ActorHandle[Dispatcher] | None" = None) -> None:
        self._dispatcher = dispatcher  # None: nobody hears, and no row was ever begun before

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

    def drain(self) -> None:
        """Lets what is under way end, at the latest between two chunks, and nothing begin."""
        if self._dispatcher is not None:
            self._ask(self._dispatcher.drain.remote(), otherwise=None)

    def take(self, pool: str, number: int) -> Parcel[Row] | Over:
        """Rows for a pool, waited for as long as it takes."""
        import ray

        if self._dispatcher is None:
            return Over()
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
            return ray.get(answer, timeout=_ANSWER_TIMEOUT_S)
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


def start_dispatcher(pools: dict[str, tuple[int, int]]) -> Dispatch:
    """Starts the actor of one run; it ends with the driver's Ray job, or when nobody holds its handle."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    # It lives and dies with the driver's node: a run loses nothing that it would not lose anyway.
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
    options: dict[str, Any] = {"num_cpus": 0, "max_restarts": -1, "max_task_retries": -1, "scheduling_strategy": here}
    actor = ray.remote(**options)(Dispatcher).remote(pools)
    return Dispatch(cast("ActorHandle[Dispatcher]", actor))


def _lost_nodes() -> list[str]:
    import ray

    return [node["NodeID"] for node in ray.nodes() if not node["Alive"]]
