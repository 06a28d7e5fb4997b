"""Keeping the manifest of a run folder up to date while a run goes on: the run's own rows, then the folder's others.

The file is rewritten whole and atomically, so a reader always finds a complete table; of a long run that is done
rarely. Runs at work in one folder take over each other's lines, and what gets lost between them is found in the ledger,
which is compared at the end of each.
"""

import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from airshower.cluster.store import Store
from airshower.pipelines.folder_rows import COMPARED, Listed, OtherLines, other_lines
from airshower.pipelines.ledger.ledger import Ledger
from airshower.pipelines.ledger.reading import Tell
from airshower.pipelines.ledger.shown_names import hide
from airshower.pipelines.ledger.superseded import write_superseded
from airshower.pipelines.manifest import (
    BATCH_LINES,
    FoundManifest,
    ManifestEntry,
    find_manifest,
    schema_of,
    table_of,
)
from airshower.pipelines.own_files import MANIFEST_NAME, InTheWayError, NotOursError, keep_aside
from airshower.pipelines.spool import Spool

_FLUSH_SHARE = 0.05  # of the time, at most, goes into writing the manifest
_MOST_COMPARED = 3  # times that the ledger is compared at the end


def look_at_manifest(store: Store, tell: Tell) -> FoundManifest:
    """A run folder's manifest; tells of a damaged one, and raises InTheWayError where another's file has its name."""
    found = find_manifest(store)
    if found.state == "another's":
        raise InTheWayError(f"{NotOursError(store.url(MANIFEST_NAME))}, or give another --output")
    if found.state == "damaged":
        tell(f"{store.url(MANIFEST_NAME)} is damaged: it is written again, and kept as it is in ledger/damaged/")
    return found


class Manifest:
    """Collects the entries of one run, and writes the table."""

    def __init__(self, ledger: Ledger, run: str, *, flush_interval_s: float = 5.0) -> None:
        self.path = ledger.store.url(MANIFEST_NAME)
        self._ledger, self._run = ledger, run
        self._entries: Spool[ManifestEntry] = Spool()
        self._places: dict[int, int] = {}  # of the last entry of each row, by its index
        self._failed: set[int] = set()
        self._flush_interval_s = flush_interval_s
        self._flush_s = time.monotonic() + flush_interval_s

    def add(self, entry: ManifestEntry) -> None:
        """Adds one finished row, and rewrites the file when that is due."""
        self._places[entry.index] = len(self._entries)
        self._entries.append(replace(entry, run=self._run))
        (self._failed.add if entry.error is not None else self._failed.discard)(entry.index)
        begun_s = time.monotonic()
        if begun_s >= self._flush_s:
            with suppress(OSError):  # a full disk may have room again; the write at the end tells
                self.write()
            now_s = time.monotonic()
            self._flush_s = now_s + self._flush_interval_s + (now_s - begun_s) / _FLUSH_SHARE

    def __contains__(self, index: object) -> bool:
        return index in self._places

    @property
    def failed(self) -> int:
        """How many rows failed."""
        return len(self._failed)

    def failures(self) -> Iterator[ManifestEntry]:
        """The failed rows, by index."""
        return (self._entries[self._places[index]] for index in sorted(self._failed))

    def __len__(self) -> int:
        return len(self._places)

    def write(self) -> None:
        """Replaces the file by a table of the run's rows so far, and of the others that it has; raises OSError."""
        self._replace(partial(self._others, listed=None, tell=_ignore))

    def settle(self, damaged: Mapping[str, str], editions: Mapping[str, int], tell: Tell) -> None:
        """The same with all that the ledger has, whoever made it; raises OSError, LedgerError.

        `damaged` are commits that don't count, and `editions` those that will, as this run has found them.
        """
        compared: Listed | None = None
        for _ in range(_MOST_COMPARED):
            listed = _listed(self._ledger, damaged, editions)
            if listed == compared:
                return
            compared = listed
            others = self._replace(partial(self._others, listed=listed, tell=tell))
            if others is not None:
                write_superseded(self._ledger, others.superseded)

    def _replace(self, others_of: Callable[[Iterable[pa.Table]], OtherLines]) -> OtherLines | None:
        """None where a fresh start has begun meanwhile: then the table is no longer this run's."""
        found = find_manifest(self._ledger.store)
        if found.epoch > self._ledger.epoch:
            return None
        if found.state == "another's":
            raise NotOursError(self.path)
        if found.state == "damaged":
            keep_aside(self._ledger.store, MANIFEST_NAME)
        first_index = max(self._places, default=-1) + 1
        with tempfile.TemporaryDirectory(prefix="airshower-") as folder:
            file = Path(folder) / MANIFEST_NAME
            with pq.ParquetWriter(file, schema_of(self._ledger.epoch), write_page_checksum=True) as writer:
                own: list[pa.Table] = []
                for table in self._own_tables():
                    writer.write_table(table)
                    own.append(table.select(COMPARED))
                others = others_of(own)
                for table in others.tables(first_index):
                    writer.write_table(table)
            self._ledger.store.put(MANIFEST_NAME, file)
        for name, outputs in others.gone_clips():
            with suppress(OSError):  # a link that stays shows a clip that was made, and no more
                hide(self._ledger.store, name, outputs)
        return others

    def _others(self, own: Iterable[pa.Table], listed: Listed | None, tell: Tell) -> OtherLines:
        return other_lines(self._ledger, own, listed, tell)

    def _own_tables(self) -> Iterator[pa.Table]:
        entries = (self._entries[self._places[index]] for index in sorted(self._places))
        while batch := list(islice(entries, BATCH_LINES)):
            yield table_of(batch)


def _listed(ledger: Ledger, damaged: Mapping[str, str], editions: Mapping[str, int]) -> Listed:
    made = ledger.committed()
    still = {key: what for key, what in damaged.items() if key in made and made[key].edition < editions[key]}
    return Listed(made=made, failed=ledger.failed(), damaged=still)


def _ignore(line: str) -> None:
    pass
