"""A line every few seconds while a command is at work, so that its log shows that it is, and where."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

INTERVAL_S = 10.0


class Ticker:
    """Prints `line()` whenever nothing was said for an interval."""

    def __init__(self, line: Callable[[], str], file: TextIO, interval_s: float) -> None:
        self._line, self._file, self._interval_s = line, file, interval_s
        self._said_s = time.monotonic()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._tick, name="ticker", daemon=True)

    def say(self, line: str) -> None:
        """Prints a line now."""
        self._said_s = time.monotonic()
        print(line, file=self._file, flush=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()

    def _tick(self) -> None:
        while not self._stopped.wait(max(0.05, self._said_s + self._interval_s - time.monotonic())):
            if time.monotonic() - self._said_s >= self._interval_s:
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
