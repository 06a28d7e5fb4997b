"""What is left to do of some rows: those that the ledger doesn't have.

Rows that failed before are left alone unless they are to be tried again: most would fail the same way. What can't be
known to have failed for good, such as a row that was lost with its run, was never recorded as failed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from airshower.configs.messages import Row, RowError
from airshower.configs.records import Commit
from airshower.pipelines.events import STAGES
from airshower.pipelines.ledger.ledger import Ledger
from airshower.pipelines.manifest import ManifestEntry, entry_of


@dataclass(frozen=True, kw_only=True)
class Remaining:
    """Rows by what the ledger knows of them."""

    missing: tuple[Row, ...]
    made: tuple[ManifestEntry, ...]
    failed: tuple[ManifestEntry, ...]  # before, and not to be tried again
    attempts: dict[str, int]  # failed ones, by key


def remaining(rows: Sequence[Row], ledger: Ledger, *, retry_failed: bool) -> Remaining:
    """Looks rows with keys up, by two listings; records are read only of those that are found."""
    by_key = {row.key: row for row in rows}
    made_keys = ledger.committed() & by_key.keys()
    attempts = {key: count for key, count in ledger.failed().items() if key in by_key and key not in made_keys}
    made = [made_entry(by_key[commit.key], commit) for commit in ledger.commits(made_keys)]
    skipped = {} if retry_failed else attempts
    failed = [
        failed_entry(by_key[failure.key], RowError(stage=failure.stage, type=failure.type, message=failure.message))
        for failure in ledger.failures(skipped)
    ]
    missing = [row for row in rows if row.key not in made_keys and row.key not in skipped]
    return Remaining(missing=tuple(missing), made=tuple(made), failed=tuple(failed), attempts=attempts)


def made_entry(row: Row, commit: Commit) -> ManifestEntry:
    """The entry of a row that a commit says is made."""
    outputs = {kind: f"{commit.folder}/{path}" for kind, path in commit.outputs.items()}
    return replace(
        entry_of(row),
        outputs=outputs,
        frames=commit.frames,
        fps=commit.fps,
        height=commit.height,
        width=commit.width,
        chunks=commit.chunks,
        seconds={stage: commit.seconds[stage] for stage in STAGES if stage in commit.seconds},
    )


def failed_entry(row: Row, error: RowError) -> ManifestEntry:
    """The entry of a row that failed before."""
    return entry_of(replace(row, error=error))
