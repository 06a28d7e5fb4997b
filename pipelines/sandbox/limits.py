"""How much a process may take that reads strangers' files."""

import math
import os
import resource
from dataclasses import dataclass
from pathlib import Path

_OPEN_FILES = 64  # libraries are mapped and closed again; a row's files are read one at a time


@dataclass(frozen=True, kw_only=True)
class SandboxLimits:
    """What one call may take, of this machine."""

    memory_bytes: int  # of address space, beyond what Python and its libraries take before the call
    timeout_s: float  # by the clock, and of CPU time as well


def apply_limits(limits: SandboxLimits) -> None:
    """Limits this process for good: memory, CPU time, open files; files it can't write at all."""
    cpu_s = math.ceil(limits.timeout_s)
    _limit(resource.RLIMIT_AS, _address_space_bytes() + limits.memory_bytes)
    _limit(resource.RLIMIT_CPU, cpu_s, cpu_s + 1)  # SIGXCPU ends the process, and SIGKILL one that doesn't hear it
    _limit(resource.RLIMIT_NOFILE, _OPEN_FILES)
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_CORE, 0)


def _limit(kind: int, value: int, most: int | None = None) -> None:
    held = resource.getrlimit(kind)[1]
    values = (value, value if most is None else most)
    resource.setrlimit(kind, values if held == resource.RLIM_INFINITY else (min(values[0], held), min(values[1], held)))


def _address_space_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * os.sysconf("SC_PAGE_SIZE")
