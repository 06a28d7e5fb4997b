"""Which row is handed out next, and what is known of those that are under way. Pure: no Ray, no clock, no storage.

Rows are decided on as late as possible: only what replicas are about to need is under way, so memory doesn't grow with
a run, a stopped run leaves little behind, and a row that came back goes to whoever is free. Rows go out in parcels, one
row each unless rows are so short that handing them around would take longer than making them.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

MOST_DEATHS = 3  # of processes that a row was begun in, until it is not tried again
_PARCEL_S = 0.5  # of work in a parcel
_MOST_ROWS = 64  # of a parcel
_RATE_ROWS = 8  # rows after which the pace of a pool is known

R = TypeVar("R")


@dataclass(frozen=True, kw_only=True)
class Waiting(Generic[R]):
    """A row that nobody works on."""

    index: int
    row: R
    pools: frozenset[str]  # that can make it


@dataclass(frozen=True, kw_only=True)
class Parcel(Generic[R]):
    """Rows that are handed out together."""

    rows: tuple[R, ...]


@dataclass(frozen=True, kw_only=True)
class Later:
    """Nothing to hand out now."""


@dataclass(frozen=True, kw_only=True)
class Over:
    """Nothing will ever be handed out again."""


@dataclass(frozen=True, kw_only=True)
class Begun:
    """Where a row was begun: on a node, and whether alone in its process."""

    node: str
    alone: bool


@dataclass
class _Pool:
    """How a pool of replicas is doing."""

    replicas: int
    most_parcels: int  # under way
    numbers: int = 0  # of parcels that were handed out
    earlier: int = 0  # that another queue may have handed out before this one took its place
    parcels: dict[int, frozenset[int]] = field(default_factory=dict)  # under way, by number: rows that have not ended
    first_s: float | None = None  # when its first row ended
    ended: int = 0

    def row_s(self, now_s: float) -> float | None:
        """How long a replica takes for a row, once that is known."""
        if self.first_s is None or self.ended < _RATE_ROWS or now_s <= self.first_s:
            return None
        return self.replicas * (now_s - self.first_s) / (self.ended - 1)


class DispatchQueue(Generic[R]):
    """Rows that wait, and rows that are under way."""

    def __init__(self, *, capacity: int) -> None:
        self._capacity = capacity
        self._waiting: deque[Waiting[R]] = deque()
        self._under_way: dict[int, Waiting[R]] = {}
        self._pools: dict[str, _Pool] = {}
        self._handed_out: dict[tuple[str, int], Parcel[R]] = {}
        self._begun: dict[tuple[int, str], list[Begun]] = {}
        self._draining = self._closed = False

    @property
    def room(self) -> int:
        """How many more rows may be offered."""
        return max(0, self._capacity - len(self._waiting))

    @property
    def draining(self) -> bool:
        return self._draining

    def open_pool(self, name: str, *, replicas: int, most_parcels: int) -> None:
        """From now on a pool may ask for parcels, and have so many under way."""
        self._pools[name] = _Pool(replicas=replicas, most_parcels=most_parcels)

    @property
    def numbers(self) -> dict[str, int]:
        """How many parcels were handed out to each pool."""
        return {name: pool.numbers for name, pool in self._pools.items()}

    def succeed(self, numbers: Mapping[str, int]) -> None:
        """Takes the place of a queue that was lost, whose `numbers` were these when they were last heard.

        Since then it may have handed out as many parcels as can be under way: before it was last told of rows that had
        ended, after that, and once more where its answer to that was lost, too.
        """
        for name, pool in self._pools.items():
            pool.earlier = numbers.get(name, 0) + 3 * pool.most_parcels

    def offer(self, rows: Iterable[Waiting[R]]) -> None:
        """Puts rows at the end, in their order; those that are known already don't count again."""
        known = {waiting.index for waiting in self._waiting} | self._under_way.keys()
        self._waiting.extend(row for row in rows if row.index not in known)

    def close(self) -> None:
        """No more rows will be offered."""
        self._closed = True

    def drain(self) -> None:
        """Hands nothing out any more: what is under way may end."""
        self._draining = True

    def take(self, pool: str, number: int, now_s: float) -> Parcel[R] | Later | Over:
        """The parcel of a number, counted from 0, for a pool.

        The same number gives the same parcel until its rows have ended, and an empty one afterwards: a worker that
        hands out parcels may die, and its successor counts from 0 again. What a lost queue has handed out to the worker
        that died is not asked for again, whatever it is: such numbers are empty, too.
        """
        state = self._pools[pool]
        if number == 0 and state.numbers == 0:
            state.numbers = state.earlier
        if number < state.numbers:
            return self._handed_out.get((pool, number), Parcel(rows=()))
        if self._draining or (self._closed and not self._waiting):
            return Over()
        if len(state.parcels) >= state.most_parcels:
            return Later()
        chosen = self._next(pool, self._rows_of_a_parcel(state, now_s))
        if not chosen:
            return Later()
        self._under_way |= {row.index: row for row in chosen}
        state.numbers = number + 1
        state.parcels[number] = frozenset(row.index for row in chosen)
        self._handed_out[pool, number] = Parcel(rows=tuple(row.row for row in chosen))
        return self._handed_out[pool, number]

    def begin(
        self, indices: Sequence[int], stage: str, at: Begun, lost_nodes: Callable[[], Iterable[str]] = tuple
    ) -> dict[int, int]:
        """That rows are begun in a stage, in one process; by row, how many processes died of it, as far as is known.

        A row that was begun before and has not ended was lost with its process. Of rows that were begun together, each
        may have been the cause, so that counts once; those that were alone are the cause. What was lost with a whole
        node is nobody's fault.
        """
        deaths = {}
        for index in indices:
            before = self._begun.get((index, stage), [])
            if before:  # rare, and nodes are asked for only then
                gone = frozenset(lost_nodes())
                before = [begun for begun in before if begun.node not in gone]
            deaths[index] = min(1, sum(not begun.alone for begun in before)) + sum(begun.alone for begun in before)
            self._begun[index, stage] = [*before, at]
        return deaths

    def end(self, indices: Iterable[int], now_s: float) -> None:
        """That rows have ended, however they did."""
        ended = frozenset(indices)
        for index in ended:
            self._under_way.pop(index, None)
        self._begun = {place: begun for place, begun in self._begun.items() if place[0] not in ended}
        for name, pool in self._pools.items():
            for number, rows in list(pool.parcels.items()):
                pool.ended += len(rows & ended)
                pool.parcels[number] = rows - ended
                if not pool.parcels[number]:
                    del pool.parcels[number], self._handed_out[name, number]
            if pool.ended and pool.first_s is None:
                pool.first_s = now_s

    def _rows_of_a_parcel(self, pool: _Pool, now_s: float) -> int:
        row_s = pool.row_s(now_s)
        if row_s is None:
            return 1
        # Towards the end, every replica gets some of what is left.
        share = len(self._waiting) // (2 * pool.replicas)
        return max(1, min(int(_PARCEL_S / row_s) if row_s > 0 else _MOST_ROWS, _MOST_ROWS, share))

    def _next(self, pool: str, most: int) -> list[Waiting[R]]:
        """The first rows that a pool can make, taken off the queue."""
        chosen: list[Waiting[R]] = []
        passed: list[Waiting[R]] = []
        while self._waiting and len(chosen) < most:
            row = self._waiting.popleft()
            (chosen if pool in row.pools else passed).append(row)
        self._waiting.extendleft(reversed(passed))
        return chosen
