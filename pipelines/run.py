"""One run: where its rows end (ledger, manifest, names in the folder), and who is told."""

import os
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import chain, islice

import airshower
from airshower.configs.messages import Row, RowError
from airshower.configs.records import Failure, RunRecord
from airshower.pipelines.events import STAGES, Event, RowDone, RowFailed, RunStarted, Warned
from airshower.pipelines.ledger.ledger import Ledger
from airshower.pipelines.ledger.missing import Remaining
from airshower.pipelines.ledger.shown_names import show
from airshower.pipelines.manifest import Manifest, ManifestEntry, entry_of
from airshower.pipelines.telemetry import RunTelemetry

_MOST_FAILURES = 1000  # that a summary names


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """How a run ended."""

    kept: int  # made by earlier runs
    done: int  # made by this run
    failed: int
    not_retried: int  # of the failed, in earlier runs
    left: int  # not made, because the run was asked to end
    output: str  # the run folder
    manifest: str
    wall_s: float
    failures: tuple[RowFailed, ...]  # the first of them, by index


@dataclass(frozen=True, kw_only=True)
class Run:
    """Keeps what is known of every row; each ends once."""

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

    def begin(self, rows: Sequence[Row], left: Remaining, command: tuple[str, ...], epoch: int) -> None:
        """Says what there is to do, and ends the rows that need no work."""
        record = RunRecord(
            run=self.id,
            begun=datetime.now(UTC).isoformat(timespec="seconds"),
            command=command,
            working_directory=os.getcwd(),
            rows=len(rows),
            version=airshower.__version__,
            epoch=epoch,
        )
        self.ledger.begin_run(record)
        stages = tuple(stage for stage in STAGES if stage != "annotate" or any(map(annotated, left.missing)))
        self.tell(RunStarted(rows=len(rows) - len(left.made), kept=len(left.made), stages=stages))
        for entry in left.made_entries():
            self.manifest.add(entry)
            self._show(entry)
        for entry in chain((entry_of(row) for row in rows if row.error is not None), left.failed_entries()):
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
        try:
            self.ledger.fail(Failure(key=entry.key, name=entry.name, run=self.id, attempt=attempt, **said))
        except OSError as trouble:
            self.tell(Warned(message=f"{entry.name}: that it failed could not be recorded: {trouble}"))

    def unmade(self, rows: Sequence[Row]) -> Iterator[Row]:
        """Those that have not ended."""
        return (row for row in rows if row.index not in self.manifest)

    def summary(self, rows: Sequence[Row], left: Remaining, wall_s: float) -> RunSummary:
        """How it ended."""
        first = islice(self.manifest.failures(), _MOST_FAILURES)
        return RunSummary(
            kept=len(left.made),
            done=len(self.manifest) - self.manifest.failed - len(left.made),
            failed=self.manifest.failed,
            not_retried=len(left.failed),
            left=len(rows) - len(self.manifest),
            output=self.ledger.store.location,
            manifest=self.manifest.path,
            wall_s=wall_s,
            failures=tuple(_failure_of(entry, entry.error) for entry in first if entry.error is not None),
        )


def new_run_id() -> str:
    """The time, so that runs sort by it, and something that no other run has."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:8]}"


def lost(row: Row, reason: str) -> ManifestEntry:
    """The entry of a row that the run itself lost."""
    message = f"{row.name}: not generated: {reason}"
    return entry_of(replace(row, error=RowError(stage="run", type="RunError", message=message)))


def annotated(row: Row) -> bool:
    """Whether a row leaves controls or masks to annotators."""
    return row.spec is not None and row.spec.needs_annotator


def _failure_of(entry: ManifestEntry, error: RowError) -> RowFailed:
    return RowFailed(index=entry.index, name=entry.name, stage=error.stage, message=error.message)
