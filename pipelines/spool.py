"""Sequences of records that are on disk: a run of a million rows keeps their places in memory, not the rows.

The file has no name and is gone with its process. For the thread that made it.
"""

import os
import pickle
import tempfile
from array import array
from collections.abc import Iterable, Sequence
from typing import Generic, TypeVar, overload

_BUFFER_BYTES = 1 << 20

T = TypeVar("T")


class Spool(Sequence[T]):
    """Grows at its end; items are read again every time they are asked for."""

    def __init__(self, items: Iterable[T] = ()) -> None:
        self._file = tempfile.TemporaryFile(prefix="airshower-")  # noqa: SIM115 -- open as long as this lives
        self._ends = array("q", [0])  # of each item in the file
        self._buffer = bytearray()  # of what isn't in the file yet
        for item in items:
            self.append(item)

    def append(self, item: T) -> None:
        """Raises OSError where the disk for temporary files is full."""
        data = pickle.dumps(item, pickle.HIGHEST_PROTOCOL)
        self._buffer += data
        self._ends.append(self._ends[-1] + len(data))
        if len(self._buffer) >= _BUFFER_BYTES:
            self._flush()

    def _flush(self) -> None:
        self._file.write(self._buffer)
        self._file.flush()
        self._buffer.clear()

    def __len__(self) -> int:
        return len(self._ends) - 1

    @overload
    def __getitem__(self, place: int) -> T: ...

    @overload
    def __getitem__(self, place: slice) -> "Chosen[T]": ...

    def __getitem__(self, place: int | slice) -> "T | Chosen[T]":
        if isinstance(place, slice):
            return Chosen(self, range(*place.indices(len(self))))
        if not -len(self) <= place < len(self):
            raise IndexError(f"item {place} of {len(self)}")
        place %= len(self)
        if self._buffer:
            self._flush()
        begin, end = self._ends[place], self._ends[place + 1]
        return pickle.loads(os.pread(self._file.fileno(), end - begin, begin))


class Chosen(Sequence[T], Generic[T]):
    """Some items of a sequence, in an order of their own."""

    def __init__(self, items: Sequence[T], places: Iterable[int]) -> None:
        self._items, self._places = items, array("q", places)

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, place: int) -> T: ...

    @overload
    def __getitem__(self, place: slice) -> "Chosen[T]": ...

    def __getitem__(self, place: int | slice) -> "T | Chosen[T]":
        if isinstance(place, slice):
            return Chosen(self._items, self._places[place])
        return self._items[self._places[place]]
