"""Rows whose input can't be played, known from its header: before a run, and without decoding more than one frame.

Controls, masks and how they go with the input are left to the prepare stage.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from itertools import islice

from airshower.configs.messages import Row, RowError
from airshower.pipelines.decoding.source import Reading
from airshower.pipelines.media import read_header
from airshower.pipelines.row_errors import one_line

_READERS = 16  # threads; they wait for storage
_BATCH = 2000  # rows that are looked at side by side
_INPUTS = ("video_path", "input_path")


def with_headers_read(rows: Sequence[Row]) -> Iterator[Row]:
    """The rows, in order, those with an error where an input is no video or image; each file is opened once."""
    fault = cache(_fault)

    def looked_at(row: Row) -> Row:
        files = {} if row.spec is None else row.spec.files()
        inputs = {name: path for name, path in files.items() if name.rpartition(".")[2] in _INPUTS}
        keep = row.spec is not None and row.spec.keep_damaged_frames
        found = next((f"{name}: {reason}" for name, path in inputs.items() if (reason := fault(path, keep))), None)
        if found is None:
            return row
        message = one_line(f"{row.source} ({row.name}): {found}")
        return replace(row, spec=None, error=RowError(stage="read", type="MediaError", message=message))

    rest = iter(rows)
    with ThreadPoolExecutor(_READERS) as pool:
        while batch := list(islice(rest, _BATCH)):
            yield from pool.map(looked_at, batch)


def _fault(path: str, keep_damaged: bool) -> str | None:
    try:
        read_header(path, Reading(keep_damaged=keep_damaged))
    except (ValueError, OSError) as error:
        return str(error)
    return None
