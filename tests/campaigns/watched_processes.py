"""The memory of processes that come and go."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

from tests.processes import commands_below

_LOOK_S = 0.05


@contextmanager
def watched_below(part_of_command: str) -> Iterator[dict[int, int]]:
    """The most memory, in bytes by process id, that each process below this one took whose command has a part."""
    peaks: dict[int, int] = {}
    over = threading.Event()

    def watch() -> None:
        while not over.wait(_LOOK_S):
            for process, command in commands_below():
                if part_of_command in command:
                    try:
                        peaks[process.pid] = max(peaks.get(process.pid, 0), process.memory_info().rss)
                    except psutil.Error:
                        continue

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield peaks
    finally:
        over.set()
        thread.join()
