"""LeRobot dataset, format v3.0: an episode per clip, a row per frame, a video file per camera and shard.

    meta/info.json, meta/stats.json, meta/tasks.parquet
    meta/episodes/chunk-000/file-000.parquet
    data/chunk-000/file-000.parquet
    videos/observation.images.<camera>/chunk-000/file-000.mp4

Captions are the tasks. Nobody acts in our clips, so there is no `action` and no robot's state; camera poses are there
where they are known. The n-th shard is the n-th file of each kind. All clips have to have one rate, one size and the
same videos, which the format asks for.
"""

import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from airshower.configs.export_records import ShardDone
from airshower.pipelines.export.clips import Clip, ExportError, Media
from airshower.pipelines.export.dataset_format import Before
from airshower.pipelines.export.feature_stats import Stats, picture_stats, pooled, value_stats
from airshower.pipelines.export.lerobot_features import (
    features_of,
    frame_values,
    pictures,
    refuse_what_differs,
    table_of,
)
from airshower.pipelines.joined_videos import join_videos

VERSION = "v3.0"
_FILES_OF_A_CHUNK = 1000
_DATA_PATH = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
_VIDEO_PATH = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
_EPISODES_PATH = "meta/episodes/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"


class LeRobotWriter:
    """Files that LeRobot 0.4 and later reads with `LeRobotDataset(repo_id, root=FOLDER)`."""

    def write_shard(self, clips: Iterable[Clip], before: Before, place: Path) -> dict[str, Any]:
        shard = _Shard(before)
        for clip in clips:
            shard.add(clip)
        shard.write(place)
        return {
            "fps": shard.about["fps"],
            "features": shard.about["features"],
            "stats": {name: pooled([stats[name] for stats in shard.stats]) for name in shard.stats[0]},
        }

    def dataset_files(self, shards: Sequence[ShardDone], total: Before) -> dict[str, bytes]:
        first = shards[0].about
        info = {
            "codebase_version": VERSION,
            "robot_type": None,
            "total_episodes": total.clips,
            "total_frames": total.frames,
            "total_tasks": len(total.captions),
            "chunks_size": _FILES_OF_A_CHUNK,
            "data_files_size_in_mb": 100,
            "video_files_size_in_mb": 200,
            "fps": first["fps"],
            "splits": {"train": f"0:{total.clips}"},
            "data_path": _DATA_PATH,
            "video_path": _VIDEO_PATH,
            "features": first["features"],
        }
        stats = {name: pooled([shard.about["stats"][name] for shard in shards]) for name in first["stats"]}
        return {
            "meta/tasks.parquet": _tasks(total.captions),
            "meta/stats.json": _json(stats),
            "meta/info.json": _json(info),
        }


class _Shard:
    """The episodes of one shard, collected until its files can be written."""

    def __init__(self, before: Before) -> None:
        self.about = before.first
        self.stats: list[Stats] = []
        self._before = before
        self._captions = dict(before.captions)
        self._place = {
            "chunk_index": before.shards // _FILES_OF_A_CHUNK,
            "file_index": before.shards % _FILES_OF_A_CHUNK,
        }
        self._frames = 0
        self._tables: list[pa.Table] = []
        self._episodes: list[dict[str, Any]] = []
        self._videos: dict[str, list[tuple[bytes, int]]] = {}

    def add(self, clip: Clip) -> None:
        """Takes the next episode; raises ExportError for a clip that isn't like those before."""
        features = features_of(clip)
        about = {"fps": _whole(clip.fps), "features": features}
        self.about = self.about or about
        refuse_what_differs(clip, about, self.about)
        number, begins = self._before.clips + len(self._episodes), self._before.frames + self._frames
        task = self._captions.setdefault(clip.caption, len(self._captions))
        values = frame_values(clip, episode=number, begins=begins, task=task)
        self._tables.append(table_of(values, features))
        media = pictures(clip)
        stats = {name: value_stats(value) for name, value in values.items()}
        stats |= {name: picture_stats(video, clip.frames) for name, video in media.items()}
        self.stats.append(stats)
        self._episodes.append(self._episode(clip, number, begins, media, stats))
        for name, video in media.items():
            self._videos.setdefault(name, []).append((video.data, clip.frames))
        self._frames += clip.frames

    def write(self, place: Path) -> None:
        """Writes the shard's files below a folder."""
        with pq.ParquetWriter(_made(place / _DATA_PATH.format(**self._place)), self._tables[0].schema) as data:
            for table in self._tables:
                data.write_table(table)
        pq.write_table(pa.Table.from_pylist(self._episodes), _made(place / _EPISODES_PATH.format(**self._place)))
        for name, videos in self._videos.items():
            path = _made(place / _VIDEO_PATH.format(video_key=name, **self._place))
            try:
                join_videos(videos, float(self.about["fps"]), path)
            except ValueError as error:
                clips = ", ".join(episode["airshower_name"] for episode in self._episodes[:3])
                raise ExportError(
                    f"clips {clips}, ...: {name}: {error}: export those of each kind apart, by --select"
                ) from None

    def _episode(
        self, clip: Clip, number: int, begins: int, media: dict[str, Media], stats: dict[str, Stats]
    ) -> dict[str, Any]:
        row: dict[str, Any] = {
            "episode_index": number,
            "tasks": [clip.caption],
            "length": clip.frames,
            "dataset_from_index": begins,
            "dataset_to_index": begins + clip.frames,
        }
        kinds = ("data", *(f"videos/{name}" for name in media), "meta/episodes")
        row |= {f"{kind}/{index}": value for kind in kinds for index, value in self._place.items()}
        fps = float(self.about["fps"])
        for name in media:
            row[f"videos/{name}/from_timestamp"] = self._frames / fps
            row[f"videos/{name}/to_timestamp"] = (self._frames + clip.frames) / fps
        row |= {f"stats/{name}/{what}": value for name, found in stats.items() for what, value in found.items()}
        row["airshower_key"], row["airshower_name"] = clip.key, clip.name
        row["airshower"] = json.dumps(clip.described(), ensure_ascii=False, sort_keys=True)
        return row


def _tasks(captions: dict[str, int]) -> bytes:
    """The captions as pandas writes a table of which they are the index."""
    table = pa.table({"task_index": pa.array(captions.values(), pa.int64()), "task": pa.array(captions, pa.string())})
    columns = [("task_index", "int64", "int64"), ("task", "unicode", "object")]
    about = {
        "index_columns": ["task"],
        "column_indexes": [],
        "columns": [
            {"name": name, "field_name": name, "pandas_type": kind, "numpy_type": numpy, "metadata": None}
            for name, kind, numpy in columns
        ],
        "creator": {"library": "pyarrow", "version": pa.__version__},
        "pandas_version": "2.0.0",
    }
    file = io.BytesIO()
    pq.write_table(table.replace_schema_metadata({"pandas": json.dumps(about)}), file)
    return file.getvalue()


def _whole(fps: float) -> int | float:
    """The rate as LeRobot knows it, a whole number, where it is one."""
    return int(fps) if fps == int(fps) else fps


def _made(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _json(value: dict[str, Any]) -> bytes:
    return (json.dumps(value, indent=4, ensure_ascii=False) + "\n").encode()
