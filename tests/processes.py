"""The processes that a test looks at or kills. They come and go meanwhile: one that has ended is never an error."""

from collections.abc import Callable, Iterator
from contextlib import suppress

import psutil


def commands_below(parent: int | None = None) -> Iterator[tuple[psutil.Process, str]]:
    """Every process below one (this one by default), children of children too, with its command line."""
    for process in psutil.Process(parent).children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # or a zombie
            yield process, " ".join(process.cmdline())


def kill(process: psutil.Process) -> bool:
    """Sends SIGKILL; False where it has ended already."""
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return False
    return True


def stop(process: psutil.Process) -> bool:
    """Sends SIGSTOP; False where it has ended already."""
    try:
        process.suspend()
    except psutil.NoSuchProcess:
        return False
    return True


def kill_below(part_of_command: str, how: Callable[[psutil.Process], bool] = kill) -> bool:
    """Kills, or else stops, the processes below this one whose command has a part; False where there was none."""
    hit = [how(process) for process, command in commands_below() if part_of_command in command]
    return any(hit)


def is_running(pid: int) -> bool:
    """False for a zombie, too: one stays where nobody waits for it."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
