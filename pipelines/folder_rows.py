"""Which rows a run folder has: those of its manifest that the ledger still knows, and those that only the ledger knows.

A clip counts until another one is made under its name, or a fresh start begins; a row that failed, until a later one of
its name is made or fails. Rows that no command asks for any more stay. Where two have one name, the one counts that was
asked for last: a writer's own, else that of the later run. Keys of the others are kept in `ledger/superseded`, so that
their records aren't read again and again.

Columns are compared as a whole: a folder may have millions of rows, of which few are new.
"""

import json
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from airshower.configs.messages import RowError
from airshower.pipelines.ledger.ledger import CommitFile, Ledger
from airshower.pipelines.ledger.reading import Tell
from airshower.pipelines.ledger.rows_of_ledger import failed_rows, made_rows, passing_failures
from airshower.pipelines.ledger.run_records import RunRecords
from airshower.pipelines.ledger.superseded import read_superseded
from airshower.pipelines.manifest import SCHEMA, FoundManifest, ManifestEntry, find_manifest, table_of

UNMADE = "run"  # the error's stage of a row that isn't made by no fault of its own
DAMAGED = "DamagedError"  # its type, where it was made
COMPARED = ["key", "name", "status", "run", "error_type"]
_COPIED = ("index", "key", "name", "run", "source", "prompt")


@dataclass(frozen=True, kw_only=True)
class Listed:
    """What the ledger's listings say: rows that are made, and attempts that failed, by key."""

    made: Mapping[str, CommitFile]
    failed: Mapping[str, int]
    damaged: Mapping[str, str] | None = None  # of the made ones: what is wrong; None: as the manifest has it


@dataclass(frozen=True, kw_only=True)
class OtherLines:
    """The lines that stand beside a writer's own: some of those that the manifest has, and new ones."""

    found: FoundManifest
    keep: pa.BooleanArray  # of its lines: which stay
    broken: pa.BooleanArray  # and which are clips that are damaged, and no longer made
    gone: pa.BooleanArray  # and which are clips that don't count any more, or not under that name
    damaged: Mapping[str, str] = field(default_factory=dict)  # why, by key
    added: Sequence[ManifestEntry] = ()
    superseded: frozenset[str] = frozenset()  # keys

    def tables(self, first_index: int = 0) -> Iterator[pa.Table]:
        """The lines, numbered from `first_index` on."""
        for lines in filter(len, self._tables()):
            numbers = pa.array(range(first_index, first_index + len(lines)), pa.int64())
            yield lines.set_column(0, SCHEMA.field("index"), numbers)
            first_index += len(lines)

    def gone_clips(self) -> Iterator[tuple[str, dict[str, str]]]:
        """Names and files of the clips that don't count any more, or not under that name."""
        place = 0
        for batch in self.found.batches(["name", "outputs"]):
            lines = batch.filter(self.gone.slice(place, len(batch))).to_pylist()
            place += len(batch)
            yield from ((line["name"], json.loads(line["outputs"])) for line in lines)

    def _tables(self) -> Iterator[pa.Table]:
        place = 0
        for batch in self.found.batches():
            lines = pa.table(batch)
            keep, broken = (mask.slice(place, len(lines)) for mask in (self.keep, self.broken))
            place += len(lines)
            unmade = [self._unmade(line) for line in lines.filter(broken).to_pylist()]
            lines = lines.filter(keep)
            yield pa.concat_tables([lines, table_of(unmade)]).sort_by("index") if unmade else lines
        yield table_of(self.added)

    def _unmade(self, line: Mapping[str, Any]) -> ManifestEntry:
        message = f"{line['name']}: {self.damaged[line['key']]}: the command that made it makes it again"
        error = RowError(stage=UNMADE, type=DAMAGED, message=message)
        return ManifestEntry(error=error, **{name: line[name] for name in _COPIED})


def folder_lines(ledger: Ledger, tell: Tell) -> Iterator[pa.Table]:
    """All rows of a folder as lines of the manifest; what can't be read is told and left out."""
    listed = Listed(made=ledger.committed(), failed=ledger.failed())
    return other_lines(ledger, (), listed, tell).tables()


def other_lines(ledger: Ledger, own: Iterable[pa.Table], listed: Listed | None, tell: Tell) -> OtherLines:
    """The lines of a folder beside a writer's own; without `listed`, those of its manifest as it is.

    What can't be read is told and left out.
    """
    found = find_manifest(ledger.store)
    if found.epoch != ledger.epoch:  # of an earlier start, or none that can be read
        found = FoundManifest(state=found.state)
    # Whole lines, though some columns are compared: where others can't be read, the ledger has to know the rows.
    old, mine = _compared(pa.table(batch) for batch in found.batches()), _compared(own)
    done, my_clips = _is_done(old), mine.filter(_is_done(mine))["name"]
    my_name = pc.if_else(done, _is_in(old["name"], my_clips), _is_in(old["name"], mine["name"]))
    free = pc.invert(pc.or_(my_name, _is_in(old["key"], mine["key"])))
    if listed is None:
        none = pc.and_not(done, done)
        return OtherLines(found=found, keep=free, broken=none, gone=_gone(old, free, none, mine))
    return _reconciled(ledger, found, old.append_column("free", free), mine, listed, tell)


def _reconciled(
    ledger: Ledger, found: FoundManifest, old: pa.Table, mine: pa.Table, listed: Listed, tell: Tell
) -> OtherLines:
    """The lines that are free, as far as the ledger has them so, and those that it alone has."""
    reasons = _said_damaged(old) if listed.damaged is None else listed.damaged
    done, free, damaged = _is_done(old), _mask(old["free"]), _is_in(old["key"], _texts(reasons))
    broken = pc.and_(pc.and_(done, damaged), free)
    made = pc.and_not(_is_in(old["key"], _texts(listed.made)), damaged)
    is_ours = pc.or_(done, _is_in(old["run"], _texts(RunRecords(ledger).ids())))  # not of another folder's manifest
    before = _texts(read_superseded(ledger))
    clips, rows = (_joined(lines["key"], mine["key"], before) for lines in (old.filter(done), old))  # that are known
    unknown = [
        *made_rows(ledger, _but(listed.made, clips, reasons), tell),
        *failed_rows(ledger, _but(listed.failed, rows, listed.made), tell),
    ]
    if found.table is None:  # lost, and with it what no listing shows
        unknown += [row for row in passing_failures(ledger, tell) if row.key not in listed.made]
    keep, added = _settled(old, pc.and_(pc.and_(pc.equal(done, made), is_ours), free), mine, unknown)
    gone = old.filter(pc.invert(pc.or_(keep, broken)))["key"]
    counting = _joined(old.filter(keep)["key"], mine["key"], _texts(row.key for row in added))
    superseded = _without(_joined(before, gone, _texts(row.key for row in unknown)), counting)
    return OtherLines(
        found=found,
        keep=keep,
        broken=broken,
        gone=_gone(old, keep, broken, mine),
        damaged=reasons,
        added=sorted(added, key=lambda row: (row.run, row.name)),
        superseded=frozenset(key for key in superseded if key in listed.made or key in listed.failed),
    )


def _gone(old: pa.Table, keep: pa.BooleanArray, broken: pa.BooleanArray, mine: pa.Table) -> pa.BooleanArray:
    """The clips of a manifest that are neither kept nor among a writer's own as they were."""
    as_before = _is_in(_named_keys(old), _named_keys(mine.filter(_is_done(mine))))
    return pc.and_not(_is_done(old), pc.or_(pc.or_(keep, broken), as_before))


def _named_keys(lines: pa.Table) -> pa.ChunkedArray:
    return pc.binary_join_element_wise(lines["key"], lines["name"], "/")


def _said_damaged(old: pa.Table) -> dict[str, str]:
    """The clips that the manifest says are damaged, for a reader that doesn't look."""
    said = _mask(pc.equal(pc.fill_null(old["error_type"], ""), DAMAGED))
    return dict.fromkeys(old.filter(said)["key"].to_pylist(), "")


V = TypeVar("V")


def _but(listed: Mapping[str, V], known: pa.ChunkedArray, others: Container[str]) -> dict[str, V]:
    """What is listed under keys that are neither known nor among the others."""
    return {key: listed[key] for key in _without(_texts(listed), known) if key not in others}


class _Claim(NamedTuple):
    """A row that wants to count under its name; of two the one with the higher rank is right."""

    name: str
    made: bool
    rank: tuple[bool, str]  # whether it is the writer's own, and the run


def _settled(
    old: pa.Table, keep: pa.BooleanArray, mine: pa.Table, rows: Sequence[ManifestEntry]
) -> tuple[pa.BooleanArray, list[ManifestEntry]]:
    """Which old lines stay and which rows come to them, of those that have a name together."""
    names = _texts({row.name for row in rows})
    rivals = pc.and_(keep, _is_in(old["name"], names))
    own = mine.filter(_is_in(mine["name"], names))
    claims = [
        *(_Claim(row.name, row.error is None, (False, row.run)) for row in rows),
        *(_claim(line, own=False) for line in old.filter(rivals).to_pylist()),
        *(_claim(line, own=True) for line in own.to_pylist()),
    ]
    counts = _counting(claims)
    stay = pa.array(counts[len(rows) : len(claims) - len(own)], pa.bool_())
    added = [row for row, right in zip(rows, counts, strict=False) if right]
    return pc.replace_with_mask(keep, rivals, stay), added


def _claim(line: Mapping[str, Any], *, own: bool) -> _Claim:
    return _Claim(line["name"], line["status"] == "done", (own, line["run"] or ""))


def _counting(claims: Sequence[_Claim]) -> list[bool]:
    """Which claims are right: of each name the last clip, and the row that failed last where it did so after that."""
    clips: dict[str, tuple[bool, str]] = {}
    failed: dict[str, tuple[bool, str]] = {}
    for name, made, rank in claims:
        best = clips if made else failed
        best[name] = max(best.get(name, rank), rank)
    return [
        rank == clips[name] if made else rank == failed[name] and (name not in clips or rank > clips[name])
        for name, made, rank in claims
    ]


# Columns: texts may be null, masks are not.


def _compared(tables: Iterable[pa.Table]) -> pa.Table:
    schema = pa.schema([SCHEMA.field(name) for name in COMPARED])
    return pa.concat_tables([schema.empty_table(), *(table.select(COMPARED).cast(schema) for table in tables)])


def _is_done(lines: pa.Table) -> pa.BooleanArray:
    return _mask(pc.equal(lines["status"], "done"))


def _is_in(texts: pa.ChunkedArray, some: pa.ChunkedArray) -> pa.BooleanArray:
    return _mask(pc.is_in(texts, value_set=some.drop_null()))


def _mask(values: pa.ChunkedArray) -> pa.BooleanArray:
    return values.combine_chunks() if values.num_chunks else pa.array([], pa.bool_())


def _texts(texts: Iterable[str]) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(list(texts), pa.string())])


def _joined(*columns: pa.ChunkedArray) -> pa.ChunkedArray:
    return pa.chunked_array([chunk for column in columns for chunk in column.chunks], pa.string())


def _without(texts: pa.ChunkedArray, some: pa.ChunkedArray) -> list[str]:
    """The texts that are not among some."""
    return texts.drop_null().filter(pc.invert(_is_in(texts.drop_null(), some))).to_pylist()
