"""Commits that don't hold what they say: their record or files are gone, cut or replaced.

Sizes are compared for the whole folder by two listings, without reading a file; what they make doubtful is looked at
again by its record, since a listing may be older than a file. Content is compared where that is asked for, by reading
everything. Nothing is changed here: a row that is damaged is made again, as its next edition.
"""

import hashlib
import re
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import groupby

import numpy as np
import pyarrow as pa

from airshower.cluster.store import Store
from airshower.configs.records import Commit, listing_hash
from airshower.pipelines.ledger.ledger import DATA, CommitFile, Ledger
from airshower.pipelines.ledger.reading import LedgerError, side_by_side
from airshower.pipelines.manifest import find_manifest

ATTEMPT = re.compile(r"(.+)-([0-9a-f]{32})")  # a folder in data/: a row's name and the nonce of one attempt at it
_COLUMNS = ["key", "status", "record", "edition", "listing", "record_bytes"]


def damaged_by_size(ledger: Ledger, committed: Mapping[str, CommitFile]) -> dict[str, str]:
    """The rows that are not made after all, by key, with what is wrong: as far as names and sizes tell."""
    if not committed:
        return {}
    stored = _StoredFolders(ledger.store)
    unread = dict(committed)  # whose records have to be read
    for batch in find_manifest(ledger.store).batches(_COLUMNS):
        for key in _sound_keys(batch, stored, committed):
            unread.pop(key, None)

    def wrong(commit: Commit) -> str | None:
        if next(stored.of([commit.folder.partition("/")[2]])) == commit.listing:
            return None
        return next(differences(ledger.store, commit, contents=False), None)

    return _damaged(ledger, unread, wrong)


def damaged_by_content(ledger: Ledger, committed: Mapping[str, CommitFile]) -> dict[str, str]:
    """The same, as reading every file tells."""
    return _damaged(ledger, committed, lambda commit: next(differences(ledger.store, commit, contents=True), None))


def _damaged(
    ledger: Ledger, committed: Mapping[str, CommitFile], wrong: Callable[[Commit], str | None]
) -> dict[str, str]:
    """What is wrong with commits, as their records tell, or with these themselves."""

    def look(item: tuple[str, CommitFile]) -> tuple[str, str | None]:
        try:
            commit = ledger.commit_of(item[0], item[1].edition)
        except LedgerError as error:
            return item[0], str(error)
        return item[0], "its commit is gone" if commit is None else wrong(commit)

    return {key: what for key, what in side_by_side(look, committed.items()) if what is not None}


def _sound_keys(batch: pa.RecordBatch, stored: "_StoredFolders", committed: Mapping[str, CommitFile]) -> Iterator[str]:
    """The keys in a piece of the manifest whose commit and files have the sizes that the line says."""
    lines = [line for line in batch.to_pylist() if line["status"] == "done" and line["key"] and line["record"]]
    found = stored.of(line["record"].partition("/")[2].partition("/")[0] for line in lines)
    for line, there in zip(lines, found, strict=True):
        commit = CommitFile(edition=line["edition"], size_bytes=line["record_bytes"])
        if committed.get(line["key"]) == commit and there == line["listing"]:
            yield line["key"]


class _StoredFolders:
    """What a listing says of each folder in data/: 16 bytes of memory for each, of millions."""

    def __init__(self, store: Store) -> None:
        numbers, hashes = array("Q"), array("Q")
        for folder, entries in groupby(store.sizes(DATA), key=lambda entry: entry[0].partition("/")[0]):
            if (number := _number(folder)) is not None:
                numbers.append(number)
                hashes.append(int(listing_hash((name.partition("/")[2], size) for name, size in entries), 16))
        order = np.argsort(np.asarray(numbers))
        self._numbers, self._hashes = np.asarray(numbers)[order], np.asarray(hashes)[order]

    def of(self, folders: Iterable[str]) -> Iterator[str | None]:
        """`listing_hash` of each, None where there is no folder of the name."""
        for number in map(_number, folders):
            place = 0 if number is None else int(np.searchsorted(self._numbers, np.uint64(number)))
            there = place < len(self._numbers) and number == int(self._numbers[place])
            yield f"{int(self._hashes[place]):016x}" if there else None


def _number(folder: str) -> int | None:
    """Half of the nonce in a folder's name, which is random."""
    match = ATTEMPT.fullmatch(folder)
    return None if match is None else int(match[2][:16], 16)


def differences(store: Store, commit: Commit, *, contents: bool) -> Iterator[str]:
    """What a commit's files are not as it says, a line each: by their sizes, or by what they hold."""
    sizes = dict(store.sizes(commit.folder))
    for name, wanted in commit.files.items():
        where = store.url(f"{commit.folder}/{name}")
        if name not in sizes:
            yield f"{where} is missing"
        elif sizes[name] != wanted.size_bytes:
            yield f"{where} has {sizes[name]} bytes, {wanted.size_bytes} were committed"
        elif contents and hashlib.sha256(store.read(f"{commit.folder}/{name}")).hexdigest() != wanted.sha256:
            yield f"{where} has other content than was committed"
