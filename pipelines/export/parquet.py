"""Parquet: one row per clip, with its videos in the table or as files beside it.

    shard-000000.parquet
    clips/NAME-KEY/edge.mp4, ...    only without embedding; the table has their paths

Columns are the same whatever a run holds, so that shards of many runs can be read together; what a clip doesn't have
is null. A row is a row group where it holds videos: readers then hold one clip at a time.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from airshower.configs.cameras import RIG
from airshower.configs.export_records import ShardDone
from airshower.configs.multiview_spec import HDMAP
from airshower.configs.spec import CONTROLS
from airshower.pipelines.camera_tracks import ALONE
from airshower.pipelines.export.clips import Clip, Media
from airshower.pipelines.export.dataset_format import Before

_CAMERA = pa.struct(
    [
        ("name", pa.string()),
        ("width_px", pa.int64()),
        ("height_px", pa.int64()),
        *((name, pa.float64()) for name in ("fx", "fy", "cx", "cy")),
        ("camera_to_world", pa.list_(pa.list_(pa.float64()))),  # per frame, 16 numbers row by row
    ]
)
_ABOUT = [
    ("key", pa.string()),
    ("sample", pa.string()),
    ("name", pa.string()),
    ("caption", pa.string()),
    ("negative_prompt", pa.string()),
    ("seed", pa.int64()),
    ("frames", pa.int64()),
    ("fps", pa.float64()),
    ("height", pa.int64()),
    ("width", pa.int64()),
    ("views", pa.list_(pa.string())),
    ("cameras", pa.list_(_CAMERA)),
    ("model", pa.string()),  # JSON, as is `spec`
    ("spec", pa.string()),
    ("frames_sha256", pa.string()),
]
_MEDIA = (
    "video",
    *(f"video_{camera}" for camera in RIG),
    *(f"control_{control}" for control in (*CONTROLS, HDMAP, *(f"{HDMAP}_{camera}" for camera in RIG))),
    *(f"mask_{control}" for control in CONTROLS),
    "input",
)


class ParquetWriter:
    """One table per shard; nothing describes them all."""

    def __init__(self, *, embed: bool) -> None:
        self._embed = embed
        media = [(name if embed else f"{name}_path", pa.large_binary() if embed else pa.string()) for name in _MEDIA]
        self._schema = pa.schema([*_ABOUT, *media])

    def write_shard(self, clips: Iterable[Clip], before: Before, place: Path) -> dict[str, Any]:
        path = place / f"shard-{before.shards:06d}.parquet"
        rows = (_about(clip) | self._media(clip, place) for clip in clips)
        groups = ([row] for row in rows) if self._embed else iter([list(rows)])
        with pq.ParquetWriter(path, self._schema, compression="zstd") as table:
            for group in groups:
                table.write_table(pa.Table.from_pylist(group, schema=self._schema))
        return {}

    def dataset_files(self, shards: Sequence[ShardDone], total: Before) -> dict[str, bytes]:
        return {}

    def _media(self, clip: Clip, place: Path) -> dict[str, bytes | str]:
        media = dict(_named(clip))
        if self._embed:
            return {name: file.data for name, file in media.items()}
        folder = place / "clips" / clip.sample
        folder.mkdir(parents=True)
        paths = {name: folder / f"{name}.{file.ending}" for name, file in media.items()}
        for name, path in paths.items():
            path.write_bytes(media[name].data)
        return {f"{name}_path": path.relative_to(place).as_posix() for name, path in paths.items()}


def _named(clip: Clip) -> Iterator[tuple[str, Media]]:
    """The clip's videos by column."""
    for camera, view in clip.views.items():
        yield "video" if camera == ALONE else f"video_{camera}", view
    for label, media in clip.beside.items():
        yield label if label in _MEDIA else f"control_{label}", media


def _about(clip: Clip) -> dict[str, Any]:
    """The clip's other columns."""
    about = clip.described()
    values = {name: about.get(name) for name, _ in _ABOUT} | {"sample": clip.sample}
    values |= {name: json.dumps(about[name], ensure_ascii=False, sort_keys=True) for name in ("model", "spec")}
    if clip.cameras is not None:
        values["cameras"] = [
            {
                "name": name,
                "width_px": track.width_px,
                "height_px": track.height_px,
                **track.intrinsics_px.model_dump(),
                "camera_to_world": [[value for row in matrix for value in row] for matrix in track.camera_to_world],
            }
            for name, track in clip.cameras.cameras.items()
        ]
    return values
