"""How far a run folder is: rows made, failed and missing, counted without reading a clip."""

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from airshower.pipelines.folder_rows import UNMADE, folder_lines
from airshower.pipelines.ledger.ledger import Ledger
from airshower.pipelines.ledger.reading import Tell
from airshower.pipelines.ledger.run_records import RunRecords
from airshower.pipelines.manifest import SCHEMA

_COLUMNS = ["key", "name", "status", "source", "error_stage", "error_type", "error_message"]


@dataclass(frozen=True, kw_only=True)
class FailedRow:
    """A row that isn't made, and why."""

    name: str
    stage: str
    type: str
    message: str
    source: str = ""


@dataclass(frozen=True, kw_only=True)
class FolderState:
    """Rows of a folder that are made, that failed, and that are neither: of the last command, or damaged clips."""

    made: int
    failed: tuple[FailedRow, ...]
    unmade: tuple[FailedRow, ...]  # which the manifest knows of
    missing: int  # these and others

    @property
    def wanted(self) -> int:
        """All of them."""
        return self.made + len(self.failed) + self.missing


def state_of(ledger: Ledger, tell: Tell) -> FolderState:
    """As the manifest and the ledger have it now; what can't be read is told and left out."""
    none = SCHEMA.empty_table().select(_COLUMNS)
    lines = pa.concat_tables([none, *(table.select(_COLUMNS) for table in folder_lines(ledger, tell))])
    rest = lines.filter(pc.equal(lines["status"], "failed"))
    failed = rest.filter(pc.not_equal(rest["error_stage"], UNMADE))
    unmade = rest.filter(pc.equal(rest["error_stage"], UNMADE))
    untold = _asked_last(ledger).difference(ledger.committed(), rest["key"].to_pylist())
    return FolderState(
        made=len(lines) - len(rest),
        failed=_failed_rows(failed),
        unmade=_failed_rows(unmade),
        missing=len(unmade) + len(untold),
    )


def _failed_rows(lines: pa.Table) -> tuple[FailedRow, ...]:
    said = {"stage": "error_stage", "type": "error_type", "message": "error_message", "source": "source"}
    return tuple(
        FailedRow(name=line["name"], **{key: line[column] or "" for key, column in said.items()})
        for line in lines.to_pylist()
    )


def _asked_last(ledger: Ledger) -> set[str]:
    """The keys of the rows of the last run."""
    records = RunRecords(ledger)
    return records.keys(runs[-1]) if (runs := records.ids()) else set()
