"""What is left to do of some rows: those that the ledger doesn't have, or has and are damaged.

Rows that failed before are left alone unless they are to be tried again: most would fail the same way. What can't be
known to have failed for good, such as a row that was lost with its run, was never recorded as failed.
"""

from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from airshower.configs.messages import Row, RowError, StoredClip
from airshower.configs.records import Commit, Failure
from airshower.pipelines.events import STAGES
from airshower.pipelines.ledger.damage import damaged_by_content, damaged_by_size
from airshower.pipelines.ledger.ledger import CommitFile, Ledger
from airshower.pipelines.ledger.reading import Tell
from airshower.pipelines.manifest import ManifestEntry, entry_of, find_manifest
from airshower.pipelines.own_files import MANIFEST_NAME
from airshower.pipelines.spool import Chosen, Spool


@dataclass(frozen=True, kw_only=True)
class Remaining:
    """Rows by what the ledger knows of them."""

    missing: Sequence[Row]
    made: Sequence[Row]
    made_entries: Iterator[ManifestEntry]  # of these, in some order; for one reader
    failed: Sequence[ManifestEntry]  # before, and not to be tried again
    attempts: dict[str, int]  # failed ones, by key, of rows that are not made
    keys: bytes  # of all rows, one after the other
    damaged: dict[str, str]  # commits of the folder that don't count: what is wrong, by key
    editions: dict[str, int]  # those that will, by key
    again: frozenset[str]  # keys of the rows that are made again for it
    renamed: Sequence[str]  # in words, the made ones that had another name: known when all their entries are read


def remaining(
    rows: Sequence[Row], ledger: Ledger, *, retry_failed: bool, verify: bool = False, tell: Tell
) -> Remaining:
    """Looks rows up, those that have keys, by listings; with `verify` what is made is read as well."""
    committed, failed = ledger.committed(), ledger.failed()
    if committed and find_manifest(ledger.store).state == "none":
        tell(f"{ledger.store.url(MANIFEST_NAME)} is missing: it is written again")
    damaged = damaged_by_size(ledger, committed)
    if verify:
        asked = {row.key for row in rows} - damaged.keys()
        damaged |= damaged_by_content(ledger, {key: file for key, file in committed.items() if key in asked})
    made_places, failed_places, missing_places = array("q"), array("q"), array("q")
    attempts: dict[str, int] = {}
    keys, again = bytearray(), set[str]()
    for place, row in enumerate(rows):
        if not row.key:
            continue
        keys += bytes.fromhex(row.key)
        if row.key in committed and row.key not in damaged:
            made_places.append(place)
            continue
        if row.key in damaged:
            again.add(row.key)
        if row.key in failed:
            attempts[row.key] = failed[row.key]
        (failed_places if row.key in failed and not retry_failed else missing_places).append(place)
    entries, unread = _failed_entries(Chosen(rows, failed_places), ledger, attempts, failed_places, tell)
    made, renamed = Chosen(rows, made_places), list[str]()
    missing = array("q", sorted((*missing_places, *unread))) if unread else missing_places
    return Remaining(
        missing=Chosen(rows, missing),
        made=made,
        made_entries=_made_entries(made, ledger, committed, tell, renamed),
        failed=entries,
        attempts=attempts,
        keys=bytes(keys),
        damaged=damaged,
        editions={key: committed[key].edition + 1 for key in damaged},
        again=frozenset(again),
        renamed=renamed,
    )


def _made_entries(
    made: Sequence[Row], ledger: Ledger, committed: Mapping[str, CommitFile], tell: Tell, renamed: list[str]
) -> Iterator[ManifestEntry]:
    """From the last manifest where they are in it, else from commits."""
    places = {row.key: place for place, row in enumerate(made)}
    for key, known in find_manifest(ledger.store).clips():
        if key in places and _is_of(known, committed[key]):
            row = made[places.pop(key)]
            if row.name != known.name:
                renamed.append(f"{known.name} to {row.name}")
            yield replace(known, **_asked(row))
    for commit in ledger.commits({key: committed[key] for key in places}, tell):
        yield made_entry(made[places[commit.key]], commit, committed[commit.key].size_bytes)


def _failed_entries(
    rows: Sequence[Row], ledger: Ledger, attempts: Mapping[str, int], places: Sequence[int], tell: Tell
) -> tuple[Sequence[ManifestEntry], list[int]]:
    """Of rows that failed before, and the places of those whose record of it can't be read: they are tried again."""
    by_key = {row.key: (row, place) for row, place in zip(rows, places, strict=True)}
    entries: Spool[ManifestEntry] = Spool()
    for failure in ledger.failures({key: attempts[key] for key in by_key}, tell):
        row, _ = by_key.pop(failure.key)
        entries.append(entry_of(replace(row, error=error_of(failure))))
    return entries, [place for _, place in by_key.values()]


def error_of(failure: Failure) -> RowError:
    """As the row had it."""
    return RowError(stage=failure.stage, type=failure.type, message=failure.message)


def _is_of(entry: ManifestEntry, commit: CommitFile) -> bool:
    return entry.stored is not None and (entry.edition, entry.stored.record_bytes) == commit


def _asked(row: Row) -> dict[str, Any]:
    """What an entry says of the row as it is now: a commit doesn't know where the row stands, or its name."""
    entry = entry_of(row)
    return {name: getattr(entry, name) for name in ("index", "name", "key", "source", "prompt")}


def stored_clip(commit: Commit, record_bytes: int | None = None) -> StoredClip:
    """What listings say of it; `record_bytes` is what one has said of its record."""
    if record_bytes is None:
        record_bytes = len(commit.model_dump_json().encode())
    return StoredClip(listing=commit.listing, record_bytes=record_bytes)


def made_entry(row: Row, commit: Commit, record_bytes: int | None = None) -> ManifestEntry:
    """The entry of a row that a commit says is made; `record_bytes` as above."""
    outputs = {kind: f"{commit.folder}/{path}" for kind, path in commit.outputs.items()}
    return replace(
        entry_of(row),
        outputs=outputs,
        edition=commit.edition,
        stored=stored_clip(commit, record_bytes),
        frames=commit.frames,
        fps=commit.fps,
        height=commit.height,
        width=commit.width,
        chunks=commit.chunks,
        seconds={stage: commit.seconds[stage] for stage in STAGES if stage in commit.seconds},
    )
