"""Rows by kind, before any of them is prepared: the file that leads each is looked at, for its length and size.

Of a manifest with very many inputs only some are looked at; the rest is taken to be like most of these. What can't be
read is no error here: the run will say so of the row.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from airshower.configs.messages import Row
from airshower.configs.multiview_spec import MultiviewSpec
from airshower.configs.presets import ModelPreset
from airshower.configs.row_formats import AnySpec
from airshower.configs.row_kind import RowKind
from airshower.configs.sizes import SIZES, Size, nearest_size
from airshower.pipelines.decoding.source import Reading
from airshower.pipelines.media import VideoHeader, read_header

MOST_LOOKED_AT = 2000
_READERS = 16  # threads; they wait for storage


@dataclass(frozen=True, kw_only=True)
class RowKinds:
    """The kinds of some rows; those without one can't be planned."""

    of_row: dict[int, RowKind]  # by the row's index
    assumed: int = 0  # rows whose files were not looked at
    unknown: dict[str, str] = field(default_factory=dict)  # why, by the row's name

    def counts(self, indices: Iterable[int] | None = None) -> dict[RowKind, int]:
        """How many rows there are of each kind, of all or of those that are named."""
        chosen = self.of_row if indices is None else (index for index in indices if index in self.of_row)
        return dict(Counter(self.of_row[index] for index in chosen))


def kinds_of(rows: Sequence[Row], preset: ModelPreset, *, most_looked_at: int = MOST_LOOKED_AT) -> RowKinds:
    """The kinds of all rows that have a spec; the files of at most so many are looked at."""
    from airshower.actors.row_kinds import kind_of  # loads torch

    leaders = {row.index: _leader(row.spec) for row in rows if row.spec is not None}
    headers, reasons = _headers(sorted({path for path in leaders.values() if path is not None}), most_looked_at)
    likely = Counter(headers.values()).most_common(1)
    of_row: dict[int, RowKind] = {}
    alike: dict[RowKind, RowKind] = {}  # a million rows share a few objects
    unknown: dict[str, str] = {}
    assumed = 0
    for row in rows:
        if row.spec is None:
            continue
        path = leaders[row.index]
        header = None if path is None else headers.get(path)
        try:
            if path is not None and header is None:
                if path in reasons or not likely:
                    raise ValueError(reasons.get(path, "no file of the rows could be read"))
                header, assumed = likely[0][0], assumed + 1
            frames, size = _frames(row.spec, header), _size(row.spec, header)
            kind = kind_of(row.spec, preset, frames=frames, size=size)
            of_row[row.index] = alike.setdefault(kind, kind)
        except ValueError as error:
            unknown[row.name] = str(error)
    return RowKinds(of_row=of_row, assumed=assumed, unknown=unknown)


def _leader(spec: AnySpec) -> str | None:
    """The file that settles a clip's length and size; None where the spec does."""
    if isinstance(spec, MultiviewSpec):
        return next((view.control_path for view in spec.views.values() if view.control_path is not None), None)
    return spec.video_path or next(control.control_path for control in spec.controls.values())


def _headers(paths: Sequence[str], most: int) -> tuple[dict[str, VideoHeader], dict[str, str]]:
    """Headers by path, and reasons for those that can't be read; looks at files from all over."""
    chosen = paths[:: max(1, -(-len(paths) // most))]

    def look(path: str) -> VideoHeader | str:
        try:
            return read_header(path, Reading(keep_damaged=True))  # what is there counts; damage fails its row later
        except (ValueError, OSError) as error:
            return str(error)

    with ThreadPoolExecutor(_READERS) as pool:
        found: Mapping[str, VideoHeader | str] = dict(zip(chosen, pool.map(look, chosen), strict=True))
    headers = {path: header for path, header in found.items() if isinstance(header, VideoHeader)}
    return headers, {path: reason for path, reason in found.items() if isinstance(reason, str)}


def _frames(spec: AnySpec, header: VideoHeader | None) -> int:
    """Of the clip, of each camera."""
    if isinstance(spec, MultiviewSpec):
        from airshower.pipelines.prepare_views import most_frames  # loads torch

        wanted = most_frames(spec)
        every = 1 if header is None else max(1, round(header.fps / (spec.fps or header.fps)))
        return wanted if header is None else min(wanted, -(-header.frames // every))
    if header is None:
        raise ValueError("no file says how long it is")
    return min(header.frames, spec.max_frames or header.frames)


def _size(spec: AnySpec, header: VideoHeader | None) -> Size:
    resolution = spec.resolution or ""
    if isinstance(spec, MultiviewSpec):
        return SIZES[resolution][spec.aspect_ratio]
    if header is None:
        raise ValueError("no file says how large it is")
    return nearest_size(resolution, header.height, header.width)
