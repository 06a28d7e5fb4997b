"""Rows whose files can't be read, known from their beginnings: before a run, and without decoding more than a frame.

How the files of a row go together, and damage behind a file's beginning, are left to the prepare stage.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from itertools import islice

from airshower.cluster import storage
from airshower.configs.messages import Row, RowError
from airshower.configs.row_formats import AnySpec
from airshower.pipelines.decoding.depth_maps import holds_depth, read_depth
from airshower.pipelines.decoding.limits import MediaLimits
from airshower.pipelines.decoding.source import Reading
from airshower.pipelines.media import read_header
from airshower.pipelines.row_errors import one_line

_READERS = 16  # threads; they wait for storage
_BATCH = 2000  # rows that are looked at side by side
_TEXTS = ("prompt_path", "camera_path")
_LABELS = "guided_generation_mask"
_DEPTH = "depth.control_path"


def with_headers_read(rows: Sequence[Row]) -> Iterator[Row]:
    """The rows, in order, those with an error where a file holds no pictures; each file is opened once."""
    fault = cache(_fault)

    def looked_at(row: Row) -> Row:
        files = () if row.spec is None else _files(row.spec)
        found = [f"{name}: {reason}" for name, path, *how in files if (reason := fault(path, *how))]
        if not found:
            return row
        message = one_line(f"{row.source} ({row.name}): {'; '.join(found)}")
        return replace(row, spec=None, error=RowError(stage="read", type="MediaError", message=message))

    rest = iter(rows)
    with ThreadPoolExecutor(_READERS) as pool:
        while batch := list(islice(rest, _BATCH)):
            yield from pool.map(looked_at, batch)


def _files(spec: AnySpec) -> Iterator[tuple[str, str, bool, bool]]:
    """(field, path, whether it may hold depth as numbers, whether damage is kept) of the files with pictures."""
    for name, path in spec.files().items():
        labels = name == _LABELS and (path.lower().endswith(".npz") or storage.is_folder(path))
        if name not in _TEXTS and not labels:  # arrays and folders are looked at as a whole, with the clip
            yield name, path, name == _DEPTH, spec.keep_damaged_frames


def _fault(path: str, depth: bool, keep_damaged: bool) -> str | None:
    limits = MediaLimits()
    try:
        if depth and holds_depth(path, limits):
            read_depth(path, most=1, values=None, limits=limits)
        else:
            read_header(path, Reading(keep_damaged=keep_damaged))
    except (ValueError, OSError) as error:
        return str(error)
    return None
