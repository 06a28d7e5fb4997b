"""Batch generation: rows in, clips and a manifest out, as one streaming Ray Data graph.

    rows -> prepare (CPU tasks) -> annotate (actor, only where a row needs it) -> text (actor)
         -> generate (pool of replicas) -> write (CPU tasks) -> entries

Rows flow one by one, so the first clip is written while later rows still wait, and Ray Data holds a stage back when the
next one is slower: memory depends on the object store, not on the number of rows. Assumes that rows are read and
validated. Deliberately no resume: running rows again makes the same files again.
Ray is imported once the session has set its environment, which also keeps the import of this module cheap.
"""

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from airshower.cluster.session import ray_session
from airshower.configs.messages import Row, RowError
from airshower.configs.model_source import ModelSource
from airshower.configs.offload import check_offload
from airshower.pipelines.events import (
    STAGES,
    Event,
    LiveEvent,
    PoolsStarted,
    RowDone,
    RowFailed,
    RunStarted,
    StageFinished,
    Warned,
)
from airshower.pipelines.manifest import Manifest, ManifestEntry, entry_of
from airshower.pipelines.monitor import Reporter, start_monitor
from airshower.pipelines.pools import Pools, plan_pools
from airshower.pipelines.stages import LoadError, rows_of
from airshower.pipelines.write import open_run_folder, sweep_run_folder

if TYPE_CHECKING:
    from ray.data import Dataset

    from airshower.pipelines.graph import GraphParts

_POLL_INTERVAL_S = 0.25


class RunError(RuntimeError):
    """The run as a whole stopped; rows that were done stay done, and the manifest says which were not."""


@dataclass(frozen=True, kw_only=True)
class GenerateSettings:
    """How rows are generated; what is generated is in the rows."""

    source: ModelSource
    replicas: int | None = None  # None: one per GPU, or per CPU where there is no GPU
    device: str = "auto"  # auto | cpu | cuda
    address: str | None = None  # of a Ray cluster; None: RAY_ADDRESS or a local one
    verbose: bool = False  # let Ray talk
    stall_timeout_s: float = 6 * 3600  # a run in which no row moves for so long is given up


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """How a run ended."""

    done: int
    failed: int
    output: str  # the run folder
    manifest: str
    wall_s: float
    failures: tuple[RowFailed, ...]  # by index


def generate(
    rows: Sequence[Row],
    output: str,
    settings: GenerateSettings,
    on_event: Callable[[Event], None] | None = None,
    *,
    parts: "Callable[[str, str], GraphParts] | None" = None,
) -> RunSummary:
    """Generates every row into the run folder `output`; rows that fail never stop the others.

    `on_event` is called from the calling thread only. `parts` (device, folder) -> GraphParts replaces the model's own
    stages. Raises OutputError for a folder that can't be written, ClusterError and ValueError for a cluster that lacks
    what is asked for (a GPU to offload from, too), RunError when the run as a whole stops.
    """
    begun_s = time.monotonic()
    if len({row.index for row in rows}) < len(rows):
        raise ValueError("rows share an index: number them, the manifest has one line per index")
    check_offload(settings.source.offload, settings.device, settings.source.preset)
    tell = on_event or _ignore
    folder = open_run_folder(output)
    manifest = Manifest(folder)
    ready = [row for row in rows if row.error is None]
    annotates = any(row.spec is not None and row.spec.needs_annotator for row in ready)
    tell(RunStarted(rows=len(rows), stages=tuple(stage for stage in STAGES if annotates or stage != "annotate")))
    for row in rows:
        if row.error is not None:
            _finish(entry_of(row), manifest, tell)
    try:
        if ready:
            with ray_session(
                address=settings.address, verbose=settings.verbose, stall_timeout_s=settings.stall_timeout_s
            ) as cluster:
                pools = plan_pools(
                    cluster,
                    device=settings.device,
                    replicas=settings.replicas,
                    rows=len(ready),
                    text_on_gpu=settings.source.preset.text_on_gpu,
                    annotates=annotates,
                )
                check_offload(settings.source.offload, pools.device, settings.source.preset)
                tell(PoolsStarted(replicas=pools.replicas, device=pools.device))
                reporter = start_monitor()
                graph = _graph(ready, parts or _parts_for(settings), pools, folder, reporter)
                _follow(graph, ready, manifest, reporter, tell)
    finally:
        manifest.write()
        sweep_run_folder(folder)
    return _summary(manifest, folder, time.monotonic() - begun_s)


def _graph(
    rows: Sequence[Row], parts: "Callable[[str, str], GraphParts]", pools: Pools, folder: str, reporter: Reporter
) -> "Dataset":
    from airshower.pipelines.graph import build_graph

    return build_graph(rows, parts(pools.device, folder), pools, reporter)


def _parts_for(settings: GenerateSettings) -> "Callable[[str, str], GraphParts]":
    from airshower.pipelines.graph import parts_of

    return lambda device, folder: parts_of(settings.source, device, folder)


def _follow(
    graph: "Dataset", rows: Sequence[Row], manifest: Manifest, reporter: Reporter, tell: Callable[[Event], None]
) -> None:
    """Runs the graph to its end: entries go to the manifest, events to the listener; every row ends in the manifest."""
    told: set[tuple[int, str]] = set()  # stages of unfinished rows that the listener knows of
    try:
        for entry in _stream(graph):
            _tell_live(reporter.drain(), told, manifest, tell)
            if entry is None or entry.index in manifest:
                continue
            if entry.error is not None and entry.error.type == LoadError.__name__:
                raise RunError(entry.error.message)
            for event in _untold_stages(entry, told):
                tell(event)
            told -= {(entry.index, stage) for stage in entry.seconds}
            _finish(entry, manifest, tell)
    except BaseException as error:
        for entry in _unfinished(rows, manifest, _one_line(error)):
            manifest.add(entry)  # not told: the one exception says it for all of them
        raise
    for entry in _unfinished(rows, manifest, "it was lost on its way: run it again"):
        _finish(entry, manifest, tell)


def _unfinished(rows: Sequence[Row], manifest: Manifest, reason: str) -> list[ManifestEntry]:
    """Failed entries for the rows that are not in the manifest."""
    missing = [row for row in rows if row.index not in manifest]
    errors = [RowError(stage="run", type="RunError", message=f"{row.name}: not generated: {reason}") for row in missing]
    return [entry_of(replace(row, error=error)) for row, error in zip(missing, errors, strict=True)]


def _stream(graph: "Dataset") -> Iterator[ManifestEntry | None]:
    """The graph's entries as they come, and None in between so that the caller can look elsewhere.

    Ray Data's iterator blocks until a row is done; a thread waits for it, so events and Ctrl-C get through meanwhile.
    Raises RunError when the execution fails.
    """
    entries: queue.SimpleQueue[ManifestEntry | Exception | None] = queue.SimpleQueue()
    abandoned = threading.Event()

    def pump() -> None:
        try:
            for batch in graph.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
                for entry in rows_of(batch):
                    entries.put(entry)
                if abandoned.is_set():
                    return
            entries.put(None)
        except Exception as error:  # noqa: BLE001 -- crosses to the caller's thread
            entries.put(error)

    threading.Thread(target=pump, name="generate-stream", daemon=True).start()
    try:
        while True:
            try:
                item = entries.get(timeout=_POLL_INTERVAL_S)
            except queue.Empty:
                yield None
                continue
            if isinstance(item, Exception):
                raise RunError(f"the run stopped: {_one_line(item)}: see Ray's logs, or use --verbose") from item
            if item is None:
                return
            yield item
    finally:
        abandoned.set()


def _tell_live(
    events: Sequence[LiveEvent],
    told: set[tuple[int, str]],
    manifest: Manifest,
    tell: Callable[[Event], None],
) -> None:
    for event in events:
        if isinstance(event, Warned):
            tell(event)
            continue
        if event.index in manifest:
            continue
        if isinstance(event, StageFinished):
            if (event.index, event.stage) in told:  # a stage that ran again after its worker died
                continue
            told.add((event.index, event.stage))
        tell(event)


def _untold_stages(entry: ManifestEntry, told: set[tuple[int, str]]) -> Iterator[StageFinished]:
    """The stages of a finished row that the monitor did not report yet; the entry knows them all."""
    for stage, seconds in entry.seconds.items():
        failed_here = entry.error is not None and entry.error.stage == stage
        if (entry.index, stage) not in told and not failed_here:
            yield StageFinished(index=entry.index, name=entry.name, stage=stage, seconds=seconds)


def _finish(entry: ManifestEntry, manifest: Manifest, tell: Callable[[Event], None]) -> None:
    manifest.add(entry)
    if entry.error is not None:
        tell(_failure_of(entry, entry.error))
    else:
        tell(RowDone(index=entry.index, name=entry.name, video=entry.video or "", seconds=entry.seconds))


def _failure_of(entry: ManifestEntry, error: RowError) -> RowFailed:
    return RowFailed(index=entry.index, name=entry.name, stage=error.stage, message=error.message)


def _summary(manifest: Manifest, folder: str, wall_s: float) -> RunSummary:
    failures = tuple(_failure_of(entry, entry.error) for entry in manifest.failures if entry.error is not None)
    return RunSummary(
        done=len(manifest) - len(failures),
        failed=len(failures),
        output=folder,
        manifest=manifest.path,
        wall_s=wall_s,
        failures=failures,
    )


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _ignore(event: Event) -> None:
    pass
