"""What is left to do of some rows: those that the ledger doesn't have.

Rows that failed before are left alone unless they are to be tried again: most would fail the same way. What can't be
known to have failed for good, such as a row that was lost with its run, was never recorded as failed.
"""

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from airshower.configs.messages import Row, RowError
from airshower.configs.records import Commit
from airshower.pipelines.events import STAGES
from airshower.pipelines.ledger.ledger import Ledger
from airshower.pipelines.manifest import ManifestEntry, entry_of, known_clips
from airshower.pipelines.spool import Chosen


@dataclass(frozen=True, kw_only=True)
class Remaining:
    """Rows by what the ledger knows of them."""

    missing: Sequence[Row]
    made: Sequence[Row]
    failed: Sequence[Row]  # before, and not to be tried again
    attempts: dict[str, int]  # failed ones, by key, of rows that are not made
    ledger: Ledger

    def made_entries(self) -> Iterator[ManifestEntry]:
        """Of the rows that are made, in some order: from the last manifest where they are in it, else from commits."""
        places = {row.key: place for place, row in enumerate(self.made)}
        for key, known in known_clips(self.ledger.store):
            if (place := places.pop(key, None)) is not None:
                yield replace(known, **_asked(self.made[place]))
        for commit in self.ledger.commits(places):
            yield made_entry(self.made[places[commit.key]], commit)

    def failed_entries(self) -> Iterator[ManifestEntry]:
        """Of the rows that failed and are not tried again."""
        rows = {row.key: row for row in self.failed}
        for failure in self.ledger.failures({key: self.attempts[key] for key in rows}):
            error = RowError(stage=failure.stage, type=failure.type, message=failure.message)
            yield entry_of(replace(rows[failure.key], error=error))


def remaining(rows: Sequence[Row], ledger: Ledger, *, retry_failed: bool) -> Remaining:
    """Looks rows up, those that have keys, by two listings."""
    committed, failed = ledger.committed(), ledger.failed()
    made_places, failed_places, missing_places = array("q"), array("q"), array("q")
    attempts: dict[str, int] = {}
    for place, row in enumerate(rows):
        if not row.key:
            continue
        if row.key in committed:
            made_places.append(place)
            continue
        if row.key in failed:
            attempts[row.key] = failed[row.key]
        (failed_places if row.key in failed and not retry_failed else missing_places).append(place)
    return Remaining(
        missing=Chosen(rows, missing_places),
        made=Chosen(rows, made_places),
        failed=Chosen(rows, failed_places),
        attempts=attempts,
        ledger=ledger,
    )


def _asked(row: Row) -> dict[str, Any]:
    """What an entry says of the row as it is now: a commit doesn't know where the row stands, or its name."""
    entry = entry_of(row)
    return {name: getattr(entry, name) for name in ("index", "name", "key", "source", "prompt")}


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
