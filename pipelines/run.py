"""One run: where its rows end (ledger, manifest, names in the folder), and who is told."""

import os
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import count, islice

import airshower
from airshower.configs.messages import Row, RowError
from airshower.configs.records import Failure, RunRecord
from airshower.pipelines.events import STAGES, Event, RowDone, RowFailed, RunStarted, Warned
from airshower.pipelines.folder_manifest import Manifest
from airshower.pipelines.folder_rows import UNMADE
from airshower.pipelines.ledger.ledger import Ledger
from airshower.pipelines.ledger.missing import Remaining
from airshower.pipelines.ledger.run_records import RunRecords
from airshower.pipelines.ledger.shown_names import show
from airshower.pipelines.manifest import ManifestEntry, entry_of
from airshower.pipelines.own_files import listed
from airshower.pipelines.telemetry import RunTelemetry

_MOST_FAILURES = 1000  # that a summary names
_MOST_DAMAGED = 5  # that are told of one by one
_NOTED = 5_000  # failures in a file


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
    left: Remaining
    notes: Iterator[int] = field(default_factory=count)  # numbers of files of failures

    def tell(self, event: Event) -> None:
        """Tells whoever listens."""
        self.telemetry.hear(event)
        self.listener(event)

    def begin(self, rows: Sequence[Row], command: tuple[str, ...], notes: Sequence[str] = ()) -> None:
        """Says what there is to do, with what was noticed so far, and ends the rows that need no work."""
        left = self.left
        record = RunRecord(
            run=self.id,
            begun=datetime.now(UTC).isoformat(timespec="seconds"),
            command=command,
            working_directory=os.getcwd(),
            rows=len(rows),
            version=airshower.__version__,
            epoch=self.ledger.epoch,
        )
        RunRecords(self.ledger).begin(record, left.keys)
        stages = tuple(stage for stage in STAGES if stage != "annotate" or any(map(annotated, left.missing)))
        self.tell(RunStarted(rows=len(rows) - len(left.made), kept=len(left.made), stages=stages))
        for note in (*notes, *_of_damage(left)):
            self.tell(Warned(message=note))
        kept: list[str] = []  # what others have put in the place of links
        for entry in left.made_entries:
            self.manifest.add(entry)
            kept += self._show(entry)
        if kept:
            self.tell(Warned(message=f"{listed(kept)}: no longer what a run wrote there: kept as they are"))
        if left.renamed:
            self.tell(Warned(message=f"renamed, for nothing else of the row differs: {listed(list(left.renamed))}"))
        unread = (entry_of(row) for row in rows if row.error is not None)
        while batch := list(islice(unread, _NOTED)):
            self._note_failures(batch)
            for entry in batch:
                self.end(entry)
        for entry in left.failed:
            self.end(entry)

    def end(self, entry: ManifestEntry) -> None:
        """A row has ended; it is in the manifest before anybody is told."""
        entry = self.telemetry.ended(entry)
        self.manifest.add(entry)
        if entry.error is not None:
            self.tell(_failure_of(entry, entry.error))
        else:
            if kept := self._show(entry):
                self.tell(
                    Warned(message=f"{listed(kept)}: no run wrote that: it is kept, and the clip is {entry.video}")
                )
            self.tell(RowDone(index=entry.index, name=entry.name, video=entry.video or "", seconds=entry.seconds))

    def _show(self, entry: ManifestEntry) -> list[str]:
        """Names that others have."""
        try:
            return show(self.ledger.store, entry)
        except OSError as error:
            self.tell(Warned(message=f"{entry.name} is made, but not under its name ({error}): see {entry.video}"))
            return []

    def record_failure(self, entry: ManifestEntry, error: RowError) -> None:
        """Where an attempt failed by the row's own fault, the next run need not try it again."""
        try:
            if error.transient:
                self._note_failures([entry])
            else:
                self.ledger.fail(self._failure(entry, error, attempt=self.left.attempts.get(entry.key, 0) + 1))
        except OSError as trouble:
            self.tell(Warned(message=f"{entry.name}: that it failed could not be recorded: {trouble}"))

    def _note_failures(self, entries: Sequence[ManifestEntry]) -> None:
        failures = [self._failure(entry, entry.error, attempt=1) for entry in entries if entry.error is not None]
        RunRecords(self.ledger).note_failures(self.id, next(self.notes), failures)

    def _failure(self, entry: ManifestEntry, error: RowError, *, attempt: int) -> Failure:
        return Failure(
            key=entry.key,
            name=entry.name,
            source=entry.source,
            run=self.id,
            attempt=attempt,
            stage=error.stage,
            type=error.type,
            message=error.message,
        )

    def as_next_edition(self, row: Row) -> Row:
        """The row as it will be committed: one whose clip is damaged outweighs that."""
        return replace(row, edition=self.left.editions.get(row.key, 0))

    def settle(self) -> None:
        """Writes the manifest with all rows that the folder has; raises OSError."""
        self.manifest.settle(self.left.damaged, self.left.editions, lambda line: self.tell(Warned(message=line)))

    def unmade(self, rows: Sequence[Row]) -> Iterator[Row]:
        """Those that have not ended."""
        return (row for row in rows if row.index not in self.manifest)

    def summary(self, rows: Sequence[Row], wall_s: float) -> RunSummary:
        """How it ended."""
        left = self.left
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
    """The time to the millisecond, so that runs sort by it, and something that no other run has."""
    now = datetime.now(UTC)
    return f"{now:%Y%m%dT%H%M%S}{now.microsecond // 1000:03d}-{uuid.uuid4().hex[:8]}"


def _of_damage(left: Remaining) -> Iterator[str]:
    """What is told of clips that don't count, of very many the first few."""
    for key, what in islice(left.damaged.items(), _MOST_DAMAGED):
        then = (
            "this clip is made again" if key in left.again else "this clip is left out until its command is run again"
        )
        yield f"{what}: {then}"
    if len(left.damaged) > _MOST_DAMAGED:
        yield f"and {len(left.damaged) - _MOST_DAMAGED} more clips are damaged: {len(left.again)} in all are made again"


def lost(row: Row, reason: str) -> ManifestEntry:
    """The entry of a row that the run itself lost."""
    message = f"{row.name}: not generated: {reason}"
    return entry_of(replace(row, error=RowError(stage=UNMADE, type="RunError", message=message)))


def annotated(row: Row) -> bool:
    """Whether a row leaves controls or masks to annotators."""
    return row.spec is not None and row.spec.needs_annotator


def _failure_of(entry: ManifestEntry, error: RowError) -> RowFailed:
    return RowFailed(index=entry.index, name=entry.name, stage=error.stage, message=error.message)
