"""Rows from CSV text: a column is a field, an empty cell is a field not given.

Cells are set apart by commas, semicolons or tabs, whichever makes the first line name most fields; a line `sep=;`
before it, as Excel writes, says it outright. A quoted cell may go over several lines. What is no CSV costs the line it
begins on, and reading goes on with the next one: a quote that is never closed doesn't swallow the rows after it. A line
that begins with # is a comment, unless it has as many cells as the header and its first cell may be such a text.
"""

import csv
import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from airshower.configs.row_formats import plain_type
from airshower.pipelines.row_lines import fault_of
from airshower.pipelines.row_values import typed

_DELIMITERS = (",", ";", "\t")
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)
_GAPS = ("", "nan", "NaN", "<NA>")  # what Python and pandas write where there is no value, text or not
_QUOTES = 'has a quote that is not closed, or text behind a closing one: write a quote inside quotes twice ("")'


@dataclass(frozen=True, kw_only=True)
class CsvRow:
    """A row of the table: its fields, or what is wrong with it."""

    line: int  # that it begins on, counted from 1
    fields: dict[str, Any] | None = None
    error: str | None = None


def read_csv(lines: Iterable[str]) -> Iterator[CsvRow]:
    """The rows below the header; lines that are blank or comments are passed over. Raises ValueError for the header."""
    source = _Lines(lines)
    header, delimiter = _header(source)
    for number, cells in _records(source, header, delimiter):
        if isinstance(cells, str):
            yield CsvRow(line=number, error=cells)
        elif any(cell.strip() for cell in cells[len(header) :]):
            rule = f"has {len(cells)} cells under a header of {len(header)}"
            yield CsvRow(line=number, error=f"{rule}: put cells that hold {delimiter!r} in quotes")
        elif any(cell.strip() for cell in cells):
            given = {name: cell for name, cell in zip(header, cells, strict=False) if cell not in _GAPS}
            yield CsvRow(line=number, fields={name: typed(name, cell) for name, cell in given.items()})


class _Lines:
    """Lines that can be given back. `taken` are those since `mark`, `number` is that of the first of them."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines, self._returned = iter(lines), deque[str]()
        self.taken: list[str] = []
        self.number = 1

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._returned.popleft() if self._returned else next(self._lines)
        self.taken.append(line)
        return line

    def mark(self) -> None:
        self.number += len(self.taken)
        self.taken.clear()

    def give_back(self, kept: int) -> None:
        """All but the first `kept` lines that were taken."""
        self._returned.extendleft(reversed(self.taken[kept:]))
        del self.taken[kept:]


def _header(source: _Lines) -> tuple[list[str], str]:
    """The names of the columns and what sets cells apart."""
    said: str | None = None
    for line in source:
        if separator := _SEPARATOR_LINE.fullmatch(line):
            said = separator[1]
        elif line.strip() and not line.startswith("#"):
            break
    else:
        return [], ","
    if fault := fault_of(line):
        raise ValueError(f"its header {fault}")
    headers = {mark: _names(line, mark) for mark in ([said] if said else _DELIMITERS)}
    delimiter, names = max(headers.items(), key=lambda item: (_known(item[1]), len(item[1])))
    if not _known(names):
        first = line.strip()
        raise ValueError(f"its first line names no field ({first:.60}): begin with one such as prompt,video_path")
    if twice := next((name for name in names if name and names.count(name) > 1), None):
        raise ValueError(f"two columns of the header have the same name {twice!r}: keep one")
    # pandas' names for columns without one; of several, each keeps its cells
    return [name or f"Unnamed: {place}" for place, name in enumerate(names)], delimiter


def _names(line: str, delimiter: str) -> list[str]:
    return [name.strip() for name in next(csv.reader([line], delimiter=delimiter), [])]


def _known(names: Sequence[str]) -> int:
    return sum(plain_type(name) is not None for name in names)


def _records(source: _Lines, header: Sequence[str], delimiter: str) -> Iterator[tuple[int, list[str] | str]]:
    """Cells, or what is wrong, with the number of the line that they begin on."""
    reader = csv.reader(source, delimiter=delimiter, strict=True)
    while True:
        source.mark()
        if _passes_comment(source, header, delimiter):
            continue
        try:
            cells: list[str] | str = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            source.give_back(1)
            reader = csv.reader(source, delimiter=delimiter, strict=True)
            too_long = f"has a cell of more than {csv.field_size_limit()} characters, or {_QUOTES.removeprefix('has ')}"
            cells = too_long if "field limit" in str(error) else _QUOTES
        yield source.number, fault_of("".join(source.taken)) or cells


def _passes_comment(source: _Lines, header: Sequence[str], delimiter: str) -> bool:
    """Whether the next line is a comment; it is taken then."""
    line = next(source, "")
    is_comment = line.startswith("#")
    if is_comment and header[0] != "name" and plain_type(header[0]) is str:
        is_comment = len(next(csv.reader([line], delimiter=delimiter))) < len(header)
    if not is_comment:
        source.give_back(0)
    return is_comment
