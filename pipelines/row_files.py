"""From a file to drafts: what each row of it says, before anything is validated.

A file is JSON (one spec, a list of them, or one per line), JSONL, CSV or Parquet, by its ending; standard input, `-`,
is what it looks like. What can't be read becomes a failed draft: of a line alone, where lines can be told apart, or
else of the file, so that it never stops the others. Paths inside a draft stay as they were written.
"""

import csv
import io
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from airshower.cluster import storage
from airshower.pipelines.jsonc import is_comment, parse_jsonc
from airshower.pipelines.row_csv import read_csv
from airshower.pipelines.row_lines import encoding_of, fault_of, lines_of
from airshower.pipelines.row_names import usable_name

STANDARD_INPUT = "-"
EMPTY = "is empty: write a row into it"
ENDINGS = (".json", ".jsonc", ".jsonl", ".ndjson", ".csv", ".tsv", ".parquet")
_LINES, _TABLES = (".jsonl", ".ndjson"), (".csv", ".tsv")
_PARQUET_ROWS = 10_000  # read at a time
_PARQUET_MARK = b"PAR1"
_COMMENTS = re.compile(r"(\s+|(#|//)[^\n]*|/\*.*?\*/)*", re.DOTALL)


_A_RECORD = 'is what a run wrote of a clip, no spec: put what it has as "spec" into a file of its own'


class InputError(ValueError):
    """What the user asked for can't be started at all, in one line with the remedy."""


@dataclass(frozen=True, kw_only=True)
class Draft:
    """One row as it was written. `name` is its default name; `error` is set when the row could not even be read."""

    name: str
    source: str  # the file, and the line, row or item in it
    file: str  # whose folder relative paths start at; "-" and "" are in the working directory
    fields: Any = None
    error: str | None = None


def read_drafts(file: str) -> Iterator[Draft]:
    """The rows of one file, in order; one failed draft where it can't be read or is empty."""
    first = None
    try:
        drafts = iter(_drafts(file))
        first = next(drafts, None)
        if first is not None:
            yield first
        yield from drafts
    except UnicodeDecodeError as error:
        yield _whole(file, error=f"is not {error.encoding.upper()} text (byte {error.start}): save it as UTF-8")
    except (ValueError, csv.Error, pa.ArrowException) as error:
        yield _whole(file, error=f"is not valid {_kind(file)}: {' '.join(str(error).split())}")
    except OSError as error:
        yield _whole(file, error=str(error))
    else:
        if first is None:
            yield _whole(file, error=EMPTY)


def ending_of(file: str) -> str:
    """What tells a file's kind, in small letters."""
    return PurePosixPath(file).suffix.lower()


def _kind(file: str) -> str:
    if file == STANDARD_INPUT:
        return "JSON, CSV or Parquet"
    ending = ending_of(file)
    return "Parquet" if ending == ".parquet" else "CSV" if ending in _TABLES else "JSON"


def _drafts(file: str) -> Iterable[Draft]:
    if file == STANDARD_INPUT:
        return _looked_at(file, sys.stdin.buffer.read())
    ending = ending_of(file)
    if ending in _LINES:
        return _line_drafts(file, _lines(file))
    if ending in _TABLES:
        return _csv_drafts(file, _lines(file))
    data = storage.read_bytes(file)
    if not data.strip():
        return ()
    if ending == ".parquet":
        return _parquet_drafts(file, data)
    return _json_drafts(file, data.decode(encoding_of(data)))


def _looked_at(file: str, data: bytes) -> Iterable[Draft]:
    """The rows of data that no ending tells the kind of."""
    if data.startswith(_PARQUET_MARK):
        return _parquet_drafts(file, data)
    lines = list(lines_of(io.BytesIO(data)))
    text = "".join(lines)
    return _json_drafts(file, text) if _bare(text).lstrip().startswith(("{", "[")) else _csv_drafts(file, lines)


def _bare(text: str) -> str:
    """The text with the comments before its first value as spaces, so that its lines keep their numbers."""
    return _COMMENTS.sub(lambda comments: re.sub(r"[^\n]", " ", comments[0]), text, count=1)


def _lines(file: str) -> Iterator[str]:
    with storage.open_file(file) as opened, storage.as_os_error(file):
        yield from lines_of(opened)


def _json_drafts(file: str, text: str) -> Iterable[Draft]:
    """The rows of a whole text: one, those of a list, or one per line whatever the file is called."""
    text = _bare(text)
    try:
        value = parse_jsonc(text)
    except ValueError as error:
        if text.lstrip().startswith("{") and any(_object_in(line) is not None for line in io.StringIO(text)):
            return _lines_as_drafts(file, io.StringIO(text))
        several = ": write several rows as a list, or each in one line" if "Extra data" in str(error) else ""
        raise ValueError(f"{error}{several}") from None
    if not isinstance(value, list):
        is_record = isinstance(value, dict) and "frames_sha256" in value
        return [_whole(file, error=_A_RECORD) if is_record else _whole(file, fields=value)]
    return [_part(file, "item", number, item) for number, item in enumerate(value, start=1)]


def _object_in(text: str) -> dict[str, Any] | None:
    try:
        value = parse_jsonc(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _line_drafts(file: str, lines: Iterable[str]) -> Iterable[Draft]:
    """The rows of lines of JSON, or of the list or the one object that they are together."""
    rest = iter(lines)
    head = list(_until_value(rest))
    start = _bare(head[-1]).lstrip()[:1] if head else ""
    if start == "[" or (start == "{" and _object_in(head[-1]) is None):
        head, rest = [*head, *rest], iter(())
        text = _bare("".join(head))
        if start == "[" or _object_in(text) is not None:
            return _json_drafts(file, text)
    return _lines_as_drafts(file, chain(head, rest))


def _until_value(lines: Iterator[str]) -> Iterator[str]:
    """The lines to the first one that is more than a comment."""
    for line in lines:
        yield line
        if not is_comment(line):
            return


def _lines_as_drafts(file: str, lines: Iterable[str]) -> Iterator[Draft]:
    for number, line in enumerate(lines, start=1):
        line = line.strip().lstrip("\ufeff")  # files with a mark, one behind the other
        if fault := fault_of(line):
            yield _part(file, "line", number, error=fault)
        elif not is_comment(line):
            try:
                yield _part(file, "line", number, parse_jsonc(line, first_line=number))
            except ValueError as error:
                yield _part(file, "line", number, error=f"is not valid JSON: {error}")


def _csv_drafts(file: str, lines: Iterable[str]) -> Iterator[Draft]:
    for row in read_csv(lines):
        yield _part(file, "line", row.line, row.fields, row.error)


def _parquet_drafts(file: str, data: bytes) -> Iterator[Draft]:
    table = pq.ParquetFile(pa.BufferReader(data))
    names = table.schema_arrow.names
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ValueError(f"two columns have the same name {twice!r}: keep one")
    rows = chain.from_iterable(map(_rows_of, table.iter_batches(_PARQUET_ROWS)))
    for number, row in enumerate(rows, start=1):
        said = {"error": row} if isinstance(row, str) else {"fields": row}
        yield _part(file, "row", number, **said)


def _rows_of(batch: pa.RecordBatch) -> list[dict[str, Any] | str]:
    """The rows of a batch, or what is wrong with each."""
    try:
        return batch.to_pylist()
    except ValueError as error:  # text that is not UTF-8, say
        if len(batch) == 1:
            return [f"can't be read: {error}: write it again"]
        return [row for place in range(len(batch)) for row in _rows_of(batch.slice(place, 1))]


def _whole(file: str, fields: Any = None, error: str | None = None) -> Draft:  # noqa: ANN401
    """The draft of a file that holds one row, or can't be read."""
    name, source = _called(file)
    return Draft(name=usable_name(name), source=source, file=file, fields=fields, error=error)


def _part(file: str, part: str, number: int, fields: Any = None, error: str | None = None) -> Draft:  # noqa: ANN401
    """The draft of one part of a file that holds several rows."""
    name, source = _called(file)
    name, source = usable_name(name, f"-{number}"), f"{source} {part} {number}"
    return Draft(name=name, source=source, file=file, fields=fields, error=error)


def _called(file: str) -> tuple[str, str]:
    """A file's name without folder and ending, and how messages call it."""
    return ("stdin", "standard input") if file == STANDARD_INPUT else (PurePosixPath(file).stem, file)
