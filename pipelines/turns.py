"""Whose turn it is in a process that works on several rows at once: one row has the device, others are read or written.

A row that a process died with before takes its turn alone: should the next process die, too, there is no doubt of
which row it was, and no other row is lost with it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition, Lock


class Turns:
    """Shared by the threads of one process."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._inside = 0
        self._alone = False
        self._alone_waiting = 0
        self.device = Lock()

    @contextmanager
    def beside_others(self) -> Iterator[None]:
        """Waits until no row is alone, or about to be."""
        with self._changed:
            self._changed.wait_for(lambda: not self._alone and not self._alone_waiting)
            self._inside += 1
        try:
            yield
        finally:
            self._leave()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Waits until no row is inside."""
        with self._changed:
            self._alone_waiting += 1
            self._changed.wait_for(lambda: not self._inside)
            self._alone_waiting -= 1
            self._inside, self._alone = 1, True
        try:
            yield
        finally:
            self._alone = False
            self._leave()

    def _leave(self) -> None:
        with self._changed:
            self._inside -= 1
            self._changed.notify_all()
