"""Hostile files through the batch's prepare stage, in a process that is watched."""

import multiprocessing
import resource
import time
from collections.abc import Iterable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from tests.campaigns.hostile_outcomes import HostileFile, Outcome
from tests.pipelines.decoding.mutated import row_of

_MOST_SECONDS = 60
_MEMORY_BYTES = 3 << 30  # of address space, beyond what the process starts with


def through_prepare(files: Iterable[HostileFile], leader: Path, folder: Path) -> Iterator[Outcome]:
    """What becomes of each as a row's file; `leader` is the input of rows where it is another."""
    worker = _Worker(leader)
    try:
        for file in files:
            path = folder / file.name
            path.write_bytes(file.content)
            outcome = worker.outcome(file, path)
            path.unlink()
            if outcome.end in ("crashed", "hung"):
                worker = _Worker(leader)
            yield outcome
    finally:
        worker.end()


class _Worker:
    """A process that prepares rows."""

    def __init__(self, leader: Path) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=_prepare_rows, args=[other, str(leader)], daemon=True)
        self._process.start()
        other.close()

    def outcome(self, file: HostileFile, path: Path) -> Outcome:
        begun_s = time.perf_counter()
        self._pipe.send((str(path), file.field, file.frames))
        if not self._pipe.poll(_MOST_SECONDS):
            self.end()
            return Outcome(file=file, end="hung", seconds=_MOST_SECONDS)
        try:
            message, seconds, peak_mib = self._pipe.recv()
        except EOFError:
            self._process.join()
            took_s = time.perf_counter() - begun_s
            return Outcome(file=file, end="crashed", message=f"exit code {self._process.exitcode}", seconds=took_s)
        end: Any = "refused" if message else "read"
        return Outcome(file=file, end=end, message=message, seconds=seconds, peak_mib=peak_mib)

    def end(self) -> None:
        self._process.kill()
        self._process.join()


def _prepare_rows(pipe: Connection, leader: str) -> None:
    """Runs in the worker: the stage as Ray Data's tasks run it."""
    from functools import partial

    from airshower.configs.messages import Row
    from airshower.pipelines.dispatch.handle import Dispatch
    from airshower.pipelines.dispatch.parcels import packed, unpacked
    from airshower.pipelines.prepare_row import prepare_row
    from airshower.pipelines.stages import prepare_stage

    held_bytes = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (held_bytes + _MEMORY_BYTES,) * 2)
    stage = partial(prepare_stage, prepare=prepare_row, dispatch=Dispatch())
    while True:
        path, field, frames = pipe.recv()
        row = Row(index=0, name="row", source="campaign", spec=_spec(path, field, leader, frames))
        before_mib = _reset_peak_mib()
        begun_s = time.perf_counter()
        (done,) = unpacked(stage(packed([row])))
        seconds = time.perf_counter() - begun_s
        message = "" if done.error is None else done.error.message
        pipe.send((message, seconds, _mib("VmHWM") - before_mib))


def _spec(path: str, field: str, leader: str, frames: int) -> Any:
    from airshower.configs.presets import preset
    from airshower.configs.row_formats import spec_of

    fields = {"name": "row", "resolution": "144", **row_of(field, path, leader, frames)}
    return spec_of(fields).resolved(preset("transfer2.5-2b"))


def _reset_peak_mib() -> float:
    Path("/proc/self/clear_refs").write_text("5")
    return _mib("VmRSS")


def _mib(what: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(what))
