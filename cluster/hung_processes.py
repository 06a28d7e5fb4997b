"""A process that hangs, stopped or stuck, told from one that works, and ended. Linux only, as Ray's workers here are.

A hung process says nothing and uses no CPU. One that says nothing and works, because it waits for its turn on a busy
machine or is in a long call that lets no other thread run, is left alone. What a GPU does isn't seen here.
"""

import os
import signal
import socket
import time
from dataclasses import dataclass
from pathlib import Path

_LOOK_S = 1.0
_USER_TICKS, _SYSTEM_TICKS, _STARTED = 10, 11, 18  # places in /proc/PID/stat, behind name and state


@dataclass(frozen=True, kw_only=True)
class Process:
    """Of one machine; its number may be another's later, so it also says when it was started."""

    node: str  # Ray's id
    host: str
    pid: int
    started: int  # in ticks of the machine's clock


def this_process(node: str) -> Process:
    """The one that asks, on a node."""
    return Process(node=node, host=socket.gethostname(), pid=os.getpid(), started=_stat(os.getpid())[_STARTED])


def end_if_hung(process: Process, look_s: float = _LOOK_S) -> bool:
    """Kills a process of this machine that uses no CPU for a while; whether it was there, and did not."""
    try:
        before = _stat(process.pid)
        time.sleep(look_s)
        after = _stat(process.pid)
        if after[_STARTED] != process.started or _used(before) != _used(after):
            return False
        os.kill(process.pid, signal.SIGKILL)
    except (FileNotFoundError, ProcessLookupError):  # it has ended
        return False
    return True


def _used(stat: list[int]) -> int:
    return stat[_USER_TICKS] + stat[_SYSTEM_TICKS]


def _stat(pid: int) -> list[int]:
    """The numbers behind the name, which may hold anything, parentheses too; raises ProcessLookupError for a zombie."""
    state, *numbers = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    if state == "Z":
        raise ProcessLookupError(f"process {pid} has ended")
    return list(map(int, numbers))
