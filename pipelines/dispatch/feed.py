"""The driver's rows on their way to the dispatcher: a few at a time, and again where they came back. Pure."""

import heapq
from collections.abc import Iterable, Iterator
from itertools import islice

from airshower.configs.messages import Row
from airshower.pipelines.dispatch.queue import Waiting


class Feed:
    """Rows that are to be made, in order; those under way are remembered until they end."""

    def __init__(self, rows: Iterable[Waiting[Row]]) -> None:
        self._rest: Iterator[Waiting[Row]] = iter(rows)
        self._open: dict[int, Waiting[Row]] = {}
        self._back: list[tuple[float, int]] = []  # when a row is due again, and its index
        self._returns: dict[int, int] = {}
        self._exhausted = False

    @property
    def done(self) -> bool:
        """Whether every row has ended."""
        return self._exhausted and not self._open

    def next(self, most: int, now_s: float) -> list[Waiting[Row]]:
        """Rows to offer now."""
        rows: list[Waiting[Row]] = []
        while self._back and self._back[0][0] <= now_s and len(rows) < most:
            _, index = heapq.heappop(self._back)
            rows.append(self._open[index])
        fresh = list(islice(self._rest, most - len(rows)))
        self._exhausted = len(rows) + len(fresh) < most
        self._open |= {row.index: row for row in fresh}
        return rows + fresh

    def again(self) -> list[Waiting[Row]]:
        """Every row that has not ended, for a dispatcher that knows of none."""
        due = {index for _, index in self._back}
        return [row for index, row in self._open.items() if index not in due]

    def end(self, index: int) -> None:
        """That a row has ended."""
        self._open.pop(index, None)
        self._returns.pop(index, None)

    def come_back(self, index: int, due_s: float) -> None:
        """That a row is to be offered once more, at a time."""
        self._returns[index] = self.returns(index) + 1
        heapq.heappush(self._back, (due_s, index))

    def returns(self, index: int) -> int:
        """How often a row came back."""
        return self._returns.get(index, 0)
