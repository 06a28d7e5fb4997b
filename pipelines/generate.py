"""Batch generation: rows in, clips and a manifest out, as one streaming Ray Data graph.

    rows -> prepare (CPU tasks) -> annotate (actor, only where a row needs it) -> text (actor)
         -> generate (pool of replicas) -> write (CPU tasks) -> entries

Rows flow one by one, so the first clip is written while later rows still wait, and Ray Data holds a stage back when the
next one is slower: memory depends on the object store, not on the number of rows. Assumes that rows are read and
validated. The ledger in the run folder knows what is made: running rows again makes only what is missing.
Ray is imported once the session has set its environment, which also keeps the import of this module cheap.
"""

import os
import queue
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

import airshower
from airshower.cluster.session import ray_session
from airshower.cluster.store import open_store
from airshower.configs.gang_layout import ALONE, GangLayout
from airshower.configs.messages import Row, RowError
from airshower.configs.model_source import ModelSource
from airshower.configs.offload import check_offload
from airshower.configs.records import Failure, RunRecord
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
from airshower.pipelines.ledger.commit_row import commit_row
from airshower.pipelines.ledger.keyed_rows import with_keys
from airshower.pipelines.ledger.ledger import Ledger, salt
from airshower.pipelines.ledger.missing import Remaining, remaining
from airshower.pipelines.ledger.shown_names import show
from airshower.pipelines.manifest import Manifest, ManifestEntry, entry_of
from airshower.pipelines.monitor import Reporter, start_monitor
from airshower.pipelines.pools import plan_pools
from airshower.pipelines.stages import LoadError, rows_of
from airshower.pipelines.telemetry import RunTelemetry, run_telemetry

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
    gang: GangLayout = ALONE  # of each replica
    verbose: bool = False  # let Ray talk
    retry_failed: bool = False  # rows that failed in earlier runs, too
    fresh: bool = False  # all rows again; earlier clips stay, but no longer count
    command: tuple[str, ...] = ()  # what the user typed, for the ledger
    stall_timeout_s: float = 6 * 3600  # a run in which no row moves for so long is given up


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """How a run ended."""

    kept: int  # made by earlier runs
    done: int  # made by this run
    failed: int
    not_retried: int  # of the failed, in earlier runs
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
    parts: "Callable[[str], GraphParts] | None" = None,
) -> RunSummary:
    """Makes every row that the run folder `output`, a path or URL, doesn't have; rows that fail never stop the others.

    `on_event` is called from the calling thread only. `parts` (device) -> GraphParts replaces the model's own stages.
    Raises StoreError for a folder that can't be used and LedgerError for what is in it, WeightsError for weights that
    are missing, TelemetryError for traces that can't go where the environment says, ClusterError and ValueError for a
    cluster that lacks what is asked for (a GPU to offload from, too), RunError when the run as a whole stops.
    """
    begun_s = time.monotonic()
    if len({row.index for row in rows}) < len(rows):
        raise ValueError("rows share an index: number them, the manifest has one line per index")
    check_offload(settings.source.offload, settings.device, settings.source.preset)
    settings.gang.check_offload(settings.source.offload)
    ledger = Ledger(open_store(output))
    ledger.require()
    epoch = ledger.begin_epoch() if settings.fresh else ledger.epoch()
    rows = with_keys(rows, settings.source, salt=salt(epoch))
    left = remaining([row for row in rows if row.key], ledger, retry_failed=settings.retry_failed)
    tell, run_id = on_event or _ignore, _new_run_id()
    with run_telemetry(run_id, ledger.store, tell, gang=settings.gang.ranks) as telemetry:
        run = _Run(
            id=run_id,
            ledger=ledger,
            manifest=Manifest(ledger.store),
            listener=tell,
            telemetry=telemetry,
            attempts=left.attempts,
        )
        run.begin(rows, left, settings.command)
        try:
            if left.missing:
                _make(telemetry.traced(left.missing), settings, parts or _parts_for(settings), run)
        finally:
            run.manifest.write()
    return run.summary(left, time.monotonic() - begun_s)


@dataclass(frozen=True, kw_only=True)
class _Run:
    """One run: where its rows end, and who is told."""

    id: str
    ledger: Ledger
    manifest: Manifest
    listener: Callable[[Event], None]
    telemetry: RunTelemetry
    attempts: dict[str, int]  # failed ones before this run, by key

    def tell(self, event: Event) -> None:
        """Tells whoever listens."""
        self.telemetry.hear(event)
        self.listener(event)

    def begin(self, rows: Sequence[Row], left: Remaining, command: tuple[str, ...]) -> None:
        """Says what there is to do, and ends the rows that need no work."""
        record = RunRecord(
            run=self.id,
            begun=datetime.now(UTC).isoformat(timespec="seconds"),
            command=command,
            working_directory=os.getcwd(),
            rows=len(rows),
            version=airshower.__version__,
        )
        self.ledger.begin_run(record)
        stages = tuple(stage for stage in STAGES if stage != "annotate" or any(map(_annotated, left.missing)))
        self.tell(RunStarted(rows=len(rows) - len(left.made), kept=len(left.made), stages=stages))
        for entry in left.made:
            self.manifest.add(entry)
            self._show(entry)
        for entry in (*(entry_of(row) for row in rows if row.error is not None), *left.failed):
            self.end(entry)

    def end(self, entry: ManifestEntry) -> None:
        """A row has ended; it is in the manifest before anybody is told."""
        entry = self.telemetry.ended(entry)
        self.manifest.add(entry)
        if entry.error is not None:
            self.tell(_failure_of(entry, entry.error))
        else:
            self._show(entry)
            self.tell(RowDone(index=entry.index, name=entry.name, video=entry.video or "", seconds=entry.seconds))

    def _show(self, entry: ManifestEntry) -> None:
        try:
            show(self.ledger.store, entry)
        except OSError as error:
            self.tell(Warned(message=f"{entry.name} is made, but not under its name ({error}): see {entry.video}"))

    def record_failure(self, entry: ManifestEntry, error: RowError) -> None:
        """Where an attempt failed by the row's own fault, the next run need not try it again."""
        if error.transient:
            return
        said = {"stage": error.stage, "type": error.type, "message": error.message}
        attempt = self.attempts.get(entry.key, 0) + 1
        self.ledger.fail(Failure(key=entry.key, name=entry.name, run=self.id, attempt=attempt, **said))

    def summary(self, left: Remaining, wall_s: float) -> RunSummary:
        """How it ended."""
        failures = tuple(_failure_of(entry, entry.error) for entry in self.manifest.failures if entry.error is not None)
        return RunSummary(
            kept=len(left.made),
            done=len(self.manifest) - len(failures) - len(left.made),
            failed=len(failures),
            not_retried=len(left.failed),
            output=self.ledger.store.location,
            manifest=self.manifest.path,
            wall_s=wall_s,
            failures=failures,
        )


def _new_run_id() -> str:
    """The time, so that runs sort by it, and something that no other run has."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:8]}"


def _annotated(row: Row) -> bool:
    return row.spec is not None and row.spec.needs_annotator


def _make(rows: Sequence[Row], settings: GenerateSettings, parts: "Callable[[str], GraphParts]", run: _Run) -> None:
    with ray_session(
        address=settings.address, verbose=settings.verbose, stall_timeout_s=settings.stall_timeout_s
    ) as cluster:
        pools = plan_pools(
            cluster,
            device=settings.device,
            replicas=settings.replicas,
            rows=len(rows),
            text_on_gpu=settings.source.preset.text_on_gpu,
            annotates=any(map(_annotated, rows)),
            gang=settings.gang.ranks,
        )
        check_offload(settings.source.offload, pools.device, settings.source.preset)
        run.tell(PoolsStarted(replicas=pools.replicas, device=pools.device))
        reporter = start_monitor()
        from airshower.pipelines.graph import build_graph  # imports Ray

        write = partial(commit_row, ledger=run.ledger, run=run.id)
        _follow(build_graph(rows, parts(pools.device), write, pools, reporter), rows, run, reporter)


def _parts_for(settings: GenerateSettings) -> "Callable[[str], GraphParts]":
    def parts(device: str) -> "GraphParts":
        from airshower.pipelines.graph import parts_of  # imports Ray

        return parts_of(settings.source, device, settings.gang)

    return parts


def _follow(graph: "Dataset", rows: Sequence[Row], run: _Run, reporter: Reporter) -> None:
    """Runs the graph to its end: entries go to the manifest, events to the listener; every row ends in the manifest."""
    manifest, tell = run.manifest, run.tell
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
            if entry.error is not None:
                run.record_failure(entry, entry.error)
            run.end(entry)
    except BaseException as error:
        for entry in _unfinished(rows, manifest, _one_line(error)):
            manifest.add(entry)  # not told: the one exception says it for all of them
        raise
    for entry in _unfinished(rows, manifest, "it was lost on its way: run it again"):
        run.end(entry)


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


def _failure_of(entry: ManifestEntry, error: RowError) -> RowFailed:
    return RowFailed(index=entry.index, name=entry.name, stage=error.stage, message=error.message)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _ignore(event: Event) -> None:
    pass
