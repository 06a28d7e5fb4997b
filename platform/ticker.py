"""A line every few seconds while a command is at work, so that its log shows that it is, and where."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

INTERVAL_S = 10.0


class Ticker:
    """Prints `line()` whenever nothing was said for an interval, `first_s` at the beginning."""

    def __init__(
        self, line: Callable[[], str], file: TextIO, interval_s: float = INTERVAL_S, first_s: float | None = None
    ) -> None:
        self._line, self._file, self._interval_s = line, file, interval_s
        first_s = interval_s if first_s is None else min(first_s, interval_s)
        self._due_s = time.monotonic() + first_s
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._tick, name="ticker", daemon=True)

    def say(self, line: str) -> None:
        """Prints a line now."""
        self._due_s = time.monotonic() + self._interval_s
        print(line, file=self._file, flush=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()

    def _tick(self) -> None:
        while not self._stopped.wait(max(0.05, self._due_s - time.monotonic())):
            if time.monotonic() >= self._due_s:
                self.say(self._line())


@contextmanager
def ticking(line: Callable[[], str], file: TextIO, interval_s: float = INTERVAL_S) -> Iterator[Ticker]:
    """A ticker for as long as the block runs."""
    ticker = Ticker(line, file, interval_s)
    ticker.start()
    try:
        yield ticker
    finally:
        ticker.stop()
