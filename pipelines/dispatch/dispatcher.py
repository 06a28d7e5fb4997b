"""The queue of a run as a Ray actor on the driver's node; `handle` has how driver and stages speak to it.

The driver offers rows and hears what happens; workers fetch rows, say which they begin, and report. The driver stays
the one who knows: should the actor be lost, a new one is told again what has not ended.
Ray is imported where it is used: a driver must set Ray's environment before (`airshower.cluster.session`).
"""

import asyncio
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from airshower.cluster.hung_processes import Process
from airshower.cluster.lost_nodes import lost_nodes
from airshower.configs.messages import Row
from airshower.pipelines.dispatch.queue import Begun, DispatchQueue, Later, Over, Parcel, Waiting
from airshower.pipelines.events import LiveEvent

_CAPACITY = 512  # rows that wait; the driver has the others
_TAKE_WAIT_S = 5.0  # that a request for rows stays open


@dataclass(frozen=True, kw_only=True)
class Heard:
    """What the driver hears from the dispatcher."""

    instance: str  # another one than before has lost what it knew
    numbers: dict[str, int]  # of parcels that were handed out, by pool
    room: int  # for rows that may be offered
    events: list[LiveEvent]
    alive: set[Process]  # that have said so meanwhile


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
        self._alive: set[Process] = set()
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
        alive, self._alive = self._alive, set()
        self._wake()
        return Heard(
            instance=self._instance, numbers=self._queue.numbers, room=self._queue.room, events=events, alive=alive
        )

    async def beat(self, process: Process) -> None:
        """A worker's: that it lives."""
        self._alive.add(process)

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
        return Standing(deaths=self._queue.begin(indices, stage, at, lost_nodes), elsewhere=False)

    async def report(self, events: Sequence[LiveEvent]) -> None:
        self._events += events

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
