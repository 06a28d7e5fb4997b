"""Names that a run folder has: no row of a later command is shown in the place of another row's files.

A row of the same name takes the place of the earlier one; that is how a row is changed. Within a command, names are
looked at where rows are read (`airshower.pipelines.row_names`).
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import PurePosixPath
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from airshower.configs.messages import Row, RowError
from airshower.pipelines.ledger.shown_names import shown_as
from airshower.pipelines.manifest import FoundManifest
from airshower.pipelines.spool import Spool

_BATCH = 20_000  # rows that are looked up together


class _Doubt(NamedTuple):
    """A row that would write a stem which begins with the name of a clip in the folder."""

    row: Row
    stem: str
    clip: str  # its name in small letters


class _Clip(NamedTuple):
    """A clip in the folder."""

    name: str
    stems: frozenset[str]  # of its files, in small letters


def with_free_names(rows: Sequence[Row], found: FoundManifest) -> Sequence[Row]:
    """The rows, those with an error that would be shown in the place of a clip of another name.

    Clips that a row of the command is, under its old name, don't count: they get the new one.
    """
    names = _other_names(rows, found)
    if not len(names):
        return rows
    doubts = list(_doubts(rows, pc.utf8_lower(names)))
    shown = dict(_shown({doubt.clip for doubt in doubts}, found)) if doubts else {}
    clashing = {doubt.row.index: shown[doubt.clip].name for doubt in doubts if _is_clash(doubt, shown[doubt.clip])}
    if not clashing:
        return rows
    checked: Spool[Row] = Spool()
    for row in rows:
        clip = clashing.get(row.index)
        checked.append(row if clip is None else replace(row, spec=None, key="", error=_clash(row, clip)))
    return checked


def _other_names(rows: Sequence[Row], found: FoundManifest) -> pa.ChunkedArray:
    """Names of the folder's clips that no row of the command is."""
    columns = ["name", "key", "status"]
    lines = pa.Table.from_batches(found.batches(columns), pa.schema([(name, pa.string()) for name in columns]))
    lines = lines.filter(pc.equal(lines["status"], "done"))
    if not len(lines):
        return lines["name"]
    keys = pa.array([row.key for row in rows if row.key], pa.string())
    return lines.filter(pc.invert(pc.is_in(lines["key"], value_set=keys)))["name"]


def _doubts(rows: Iterable[Row], names: pa.ChunkedArray) -> Iterator[_Doubt]:
    rest = (row for row in rows if row.spec is not None)
    while batch := list(islice(rest, _BATCH)):
        beginnings = [
            _Doubt(row, stem, beginning)
            for row in batch
            if row.spec is not None
            for stem in map(str.lower, row.spec.video_stems())
            for beginning in _beginnings(stem)
        ]
        value_set = pa.array({one.clip for one in beginnings}, pa.string())
        known = set(names.filter(pc.is_in(names, value_set=value_set)).to_pylist())
        yield from (one for one in beginnings if one.clip in known)


def _beginnings(stem: str) -> Iterator[str]:
    """The names of which a row's file could have this stem: itself, and up to each underscore."""
    yield stem
    yield from (stem[:place] for place, letter in enumerate(stem) if letter == "_" and place)


def _shown(names: set[str], found: FoundManifest) -> Iterator[tuple[str, _Clip]]:
    """The clips that have one of these names, by it, in small letters."""
    value_set = pa.array(names, pa.string())
    for batch in found.batches(["name", "status", "outputs"]):
        ours = pc.and_(pc.equal(batch["status"], "done"), pc.is_in(pc.utf8_lower(batch["name"]), value_set=value_set))
        for line in batch.filter(ours).to_pylist():
            shown = shown_as(line["name"], json.loads(line["outputs"]))
            stems = frozenset(PurePosixPath(name).stem.lower() for name in shown)
            yield line["name"].lower(), _Clip(line["name"], stems)


def _is_clash(doubt: _Doubt, clip: _Clip) -> bool:
    return doubt.stem in clip.stems and doubt.row.name != clip.name


def _clash(row: Row, clip: str) -> RowError:
    if clip.lower() == row.name.lower():
        rule = f"is one file with {clip!r}, which this run folder has, on disks that don't tell A from a"
    else:
        rule = f"clashes with the files of {clip!r}, which this run folder has"
    message = f"{row.source} ({row.name}): name {row.name!r} {rule}: give the row another name, or another --output"
    return RowError(stage="read", type="InputError", message=message)
