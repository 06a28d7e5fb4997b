"""From sources to drafts: which files hold rows, and what each row says, before anything is validated.

A source is a file (one JSON or JSONC spec or a list of them, JSONL, CSV, Parquet), a folder of such files (its own
level only, without what a run has written there) or a pattern with `*`. In CSV and Parquet a column is a field, an
empty cell is a field not given, and a dotted column such as `edge.control_weight` sets a field of a control. A file
that can't be read becomes one failed draft, so that it never stops the others. Paths inside a draft stay as they were
written.
"""

import csv
import io
import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from itertools import chain
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import TypeAdapter, ValidationError

from airshower.cluster import storage
from airshower.configs.row_formats import field_type
from airshower.pipelines.jsonc import parse_jsonc
from airshower.pipelines.ledger.shown_names import is_shown_name
from airshower.pipelines.manifest import is_manifest

_PARQUET_ROWS = 10_000  # read at a time
_ENDINGS = (".json", ".jsonc", ".jsonl", ".ndjson", ".csv", ".parquet")


_A_RECORD = 'is what a run wrote of a clip, no spec: put what it has as "spec" into a file of its own'


class InputError(ValueError):
    """What the user asked for can't be started at all, in one line with the remedy."""


@dataclass(frozen=True, kw_only=True)
class Draft:
    """One row as it was written. `name` is its default name; `error` is set when the row could not even be read."""

    name: str
    source: str  # the file, and the line, row or item in it
    file: str
    fields: Any = None
    error: str | None = None


def spec_files(source: str) -> list[str]:
    """The spec files that a file, folder, pattern or URL stands for, sorted; raises InputError where there is none."""
    path = storage.absolute(source)
    try:
        if storage.is_folder(path):
            files = [file for file in storage.list_files(path) if _ending(file) in _ENDINGS and not _is_of_a_run(file)]
        elif storage.exists(path):
            files = [path]
        elif any(character in path for character in "*?["):
            files = [file for file in storage.list_matching(path) if _ending(file) in _ENDINGS]
        else:
            raise InputError(f"{source} does not exist: give a spec file, a folder of spec files or a URL of either")
    except OSError as error:
        raise InputError(f"source {source}: {error}") from error
    if not files:
        raise InputError(f"{source} holds no spec file: a spec file ends in one of {', '.join(_ENDINGS)}")
    if _ending(files[0]) not in _ENDINGS:
        raise InputError(f"{source} is no spec file: its name must end in one of {', '.join(_ENDINGS)}")
    return files


def _is_of_a_run(file: str) -> bool:
    """Whether a run wrote it: a folder may be the output of one, too."""
    return is_shown_name(file) or is_manifest(file)


def read_drafts(file: str) -> Iterator[Draft]:
    """The rows of one spec file, in order; one failed draft where it can't be read, none where it is empty."""
    try:
        yield from _drafts(file)
        return
    except UnicodeDecodeError as error:
        reason = f"is not UTF-8 text (byte {error.start}): save it as UTF-8"
    except (ValueError, csv.Error, pa.ArrowException) as error:
        ending = _ending(file)
        kind = "Parquet" if ending == ".parquet" else "CSV" if ending == ".csv" else "JSON"
        reason = f"is not valid {kind}: {' '.join(str(error).split())}"
    except OSError as error:
        reason = str(error)
    yield Draft(name=stem(file), source=file, file=file, error=reason)


def _drafts(file: str) -> Iterable[Draft]:
    ending = _ending(file)
    data = storage.read_bytes(file)
    if not data.strip():
        return ()
    if ending == ".parquet":
        return _parquet_drafts(file, data)
    text = data.decode("utf-8-sig")
    if ending == ".csv":
        return _csv_drafts(file, text)
    return _line_drafts(file, text) if ending in (".jsonl", ".ndjson") else _json_drafts(file, text)


def stem(file: str) -> str:
    """The file's name without folder and ending."""
    return PurePosixPath(file).stem


def typed(name: str, text: str) -> Any:  # noqa: ANN401 - as many types as fields
    """`text` as a value of the field's type, for sources that know only text; unchanged where it is no such value."""
    adapter = _adapter(name)
    if adapter is not None:
        for parse in (adapter.validate_strings, adapter.validate_json):
            with suppress(ValidationError):
                return parse(text)
    return text


@cache
def _adapter(name: str) -> TypeAdapter[Any] | None:
    wanted = field_type(name)
    return None if wanted is None else TypeAdapter(wanted)


def nested(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Fields with dotted names put into the objects they belong to: {"edge.control_weight": 1} -> {"edge": {...}}."""
    result: dict[str, Any] = {}
    for name, value in fields.items():
        control, dot, key = name.partition(".")
        inner = result.setdefault(control, {}) if dot else None
        if isinstance(inner, dict):
            inner[key] = value
        elif isinstance(value, dict):
            result[name] = {**value, **result.get(name, {})}
        else:
            result[name] = value
    return result


def _ending(file: str) -> str:
    return PurePosixPath(file).suffix.lower()


def _json_drafts(file: str, text: str) -> list[Draft]:
    value = parse_jsonc(text)
    if not isinstance(value, list):
        error = _A_RECORD if isinstance(value, dict) and "frames_sha256" in value else None
        return [Draft(name=stem(file), source=file, file=file, fields=value, error=error)]
    return [_part(file, "item", number, item) for number, item in enumerate(value, start=1)]


def _line_drafts(file: str, text: str) -> Iterator[Draft]:
    for number, line in enumerate(io.StringIO(text, newline="\n"), start=1):
        if not line.strip():
            continue
        try:
            yield _part(file, "line", number, parse_jsonc(line.rstrip("\n"), first_line=number))
        except ValueError as error:
            yield _part(file, "line", number, error=f"is not valid JSON: {error}")


def _csv_drafts(file: str, text: str) -> Iterator[Draft]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    header = [name.strip() for name in next(reader)]
    if len(set(header)) < len(header):
        raise ValueError("two columns of the header have the same name: keep one")
    for cells in reader:
        number = reader.line_num
        if len(cells) > len(header):
            error = f"has {len(cells)} cells under a header of {len(header)}: put cells that hold a comma in quotes"
            yield _part(file, "line", number, error=error)
        elif any(cells):
            fields = {name: typed(name, cell) for name, cell in zip(header, cells, strict=False) if cell != ""}
            yield _part(file, "line", number, nested(fields))


def _parquet_drafts(file: str, data: bytes) -> Iterator[Draft]:
    batches = pq.ParquetFile(pa.BufferReader(data)).iter_batches(_PARQUET_ROWS)
    rows = chain.from_iterable(batch.to_pylist() for batch in batches)
    for number, row in enumerate(rows, start=1):
        yield _part(file, "row", number, nested(_given_cells(row)))


def _part(file: str, part: str, number: int, fields: Any = None, error: str | None = None) -> Draft:  # noqa: ANN401
    """The draft of one part of a file that holds several rows."""
    return Draft(name=f"{stem(file)}-{number}", source=f"{file} {part} {number}", file=file, fields=fields, error=error)


def _given_cells(row: Mapping[str, Any]) -> dict[str, Any]:
    """The cells that hold something. Tables keep a column of whole numbers with gaps as floats: 7.0 is 7 again."""
    cells: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, Mapping):
            cells[name] = _given_cells(value)
        elif isinstance(value, float) and value.is_integer():
            cells[name] = int(value)
        elif value is not None and not (isinstance(value, float) and math.isnan(value)):
            cells[name] = value
    return cells
