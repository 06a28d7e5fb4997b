"""What a process and everything it started use, read from Linux's /proc while they run.

Resident memory counts pages that processes share (libraries, Ray's object store) once per process; the proportional
set counts them once in all, so it is the truer number. Short peaks between two samples are missed.
"""

import os
import threading
from pathlib import Path

_INTERVAL_S = 0.5
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class ProcessTreeMeter:
    """Samples the tree under a process, in a thread, until the block ends."""

    def __init__(self, root_pid: int) -> None:
        self.peak_rss_bytes = self.peak_pss_bytes = 0
        self._root_pid = root_pid
        self._cpu_s: dict[int, float] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> "ProcessTreeMeter":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    @property
    def cpu_s(self) -> float:
        """CPU seconds of all processes that were seen."""
        return sum(self._cpu_s.values())

    def __str__(self) -> str:
        gib = 2**30
        return (
            f"peak RSS {self.peak_rss_bytes / gib:.2f} GiB (proportional {self.peak_pss_bytes / gib:.2f} GiB) "
            f"of the process tree, {self.cpu_s:.0f} CPU seconds"
        )

    def _sample(self) -> None:
        while not self._ended.wait(_INTERVAL_S):
            memory = [_memory_bytes(pid) for pid in process_tree(self._root_pid)]
            self.peak_rss_bytes = max(self.peak_rss_bytes, sum(rss for rss, _ in memory))
            self.peak_pss_bytes = max(self.peak_pss_bytes, sum(pss for _, pss in memory))
            for pid in process_tree(self._root_pid):
                self._cpu_s[pid] = max(_cpu_s(pid), self._cpu_s.get(pid, 0))


def process_tree(root_pid: int) -> list[int]:
    """The process and all its descendants that live now."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        fields = _stat(int(folder.name))
        if fields:
            children.setdefault(int(fields[1]), []).append(int(folder.name))
    tree = [root_pid]
    for pid in tree:
        tree.extend(children.get(pid, []))
    return tree


def command_line(pid: int) -> str:
    """A process's command line, "" when it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the third (state) on."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _cpu_s(pid: int) -> float:
    fields = _stat(pid)
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S if fields else 0.0


def _memory_bytes(pid: int) -> tuple[int, int]:
    """Resident and proportional set of one process."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    except OSError:
        return 0, 0
    sizes = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines}
    return sizes.get("Rss", 0), sizes.get("Pss", 0)
