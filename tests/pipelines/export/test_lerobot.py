"""LeRobot's format v3.0, read back as LeRobot reads it: by the paths and times that the episodes name."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from airshower.cluster.store import open_store
from airshower.configs.export_records import ExportSettings
from airshower.pipelines.export.clips import ExportError
from airshower.pipelines.export.export import export
from airshower.pipelines.media import read_video
from tests.pipelines.export.conftest import Run, pictures

SETTINGS = ExportSettings(dataset="lerobot")
CAMERA = "observation.images.camera"


def test_every_episode_is_where_the_tables_say(run, tmp_path):
    export(run.ledger, open_store(tmp_path / "set"), SETTINGS)
    run.clip("d", "0", prompt="rain 5", frames=3)
    export(run.ledger, open_store(tmp_path / "set"), SETTINGS)
    info = json.loads((tmp_path / "set" / "meta" / "info.json").read_text())
    assert {name: info[name] for name in ("codebase_version", "total_episodes", "total_frames", "total_tasks")} == {
        "codebase_version": "v3.0",
        "total_episodes": 4,
        "total_frames": 19,
        "total_tasks": 3,
    }
    assert (info["fps"], info["splits"], info["chunks_size"]) == (10, {"train": "0:4"}, 1000)
    assert not any(name.startswith("action") for name in info["features"])
    episodes = pq.read_table(tmp_path / "set" / "meta" / "episodes").to_pylist()
    assert [(row["airshower_name"], row["length"]) for row in episodes] == [("b", 9), ("c", 2), ("a.1", 5), ("d", 3)]
    rows = pq.read_table(tmp_path / "set" / "data").to_pylist()
    assert [row["index"] for row in rows] == list(range(19))
    tasks = pq.read_table(tmp_path / "set" / "meta" / "tasks.parquet").to_pandas()
    assert (tasks.index.name, list(tasks.index)) == ("task", ["rain 9", "rain 2", "rain 5"])
    for episode, seed in zip(episodes, (10, 11, 12, 0), strict=True):
        place = {"chunk_index": episode["data/chunk_index"], "file_index": episode["data/file_index"]}
        table = pq.read_table(tmp_path / "set" / info["data_path"].format(**place)).to_pylist()
        own = [row for row in table if row["episode_index"] == episode["episode_index"]]
        assert own == rows[episode["dataset_from_index"] : episode["dataset_to_index"]]
        assert np.allclose([row["timestamp"] for row in own], np.arange(episode["length"]) / 10)
        assert [tasks.index[row["task_index"]] for row in own] == episode["tasks"] * episode["length"]
        assert [row["observation.camera_to_world.camera"][3] for row in own] == [
            0.5 * row["frame_index"] for row in own
        ]
        place = {index: episode[f"videos/{CAMERA}/{index}"] for index in place}
        video = read_video(str(tmp_path / "set" / info["video_path"].format(video_key=CAMERA, **place)))
        begin, end = (round(10 * episode[f"videos/{CAMERA}/{edge}_timestamp"]) for edge in ("from", "to"))
        assert end - begin == episode["length"]
        assert np.abs(video.frames[begin:end].astype(int) - pictures(seed, episode["length"])).mean() < 8


def test_features_are_described_and_statistics_are_those_of_all_frames(run, tmp_path):
    export(run.ledger, open_store(tmp_path / "set"), ExportSettings(dataset="lerobot", shard_mib=0.001))
    info, stats = (json.loads((tmp_path / "set" / "meta" / f"{name}.json").read_text()) for name in ("info", "stats"))
    schema = pq.read_schema(tmp_path / "set" / "data" / "chunk-000" / "file-002.parquet")
    videos = [name for name, feature in info["features"].items() if feature["dtype"] == "video"]
    assert videos == [CAMERA, "observation.images.edge"]
    assert schema.names == [name for name in info["features"] if name not in videos]
    for name in schema.names:
        kind, shape = schema.field(name).type, info["features"][name]["shape"]
        number = kind if shape == [1] else kind.value_type
        assert number == pa.from_numpy_dtype(info["features"][name]["dtype"])
        assert shape == [1] or kind.list_size == shape[0]
    assert set(stats) == set(info["features"])
    rows = pq.read_table(tmp_path / "set" / "data").to_pandas()
    for name in ("timestamp", "index", "episode_index"):
        own = rows[name]
        found = {"min": own.min(), "max": own.max(), "mean": own.mean(), "std": own.std(ddof=0)}
        assert {what: stats[name][what][0] for what in found} == pytest.approx(found, rel=1e-5)
        assert stats[name]["count"] == [16]
    assert np.shape(stats[CAMERA]["mean"]) == (3, 1, 1)
    made = np.concatenate([pictures(10, 9), pictures(11, 2), pictures(12, 5)])
    assert np.allclose(np.ravel(stats[CAMERA]["mean"]), made.mean(axis=(0, 1, 2)) / 255, atol=0.02)


def test_images_are_left_out_and_counted(run, tmp_path):
    run.clip("z", "f", frames=1)
    said = []
    assert export(run.ledger, open_store(tmp_path / "set"), SETTINGS, tell=said.append).added == 3
    assert said == ["1 of 4 clips are images and left out: LeRobot's clips are videos"]
    with pytest.raises(ExportError, match="all clips are images, and LeRobot's are videos: export to webdataset or"):
        export(run.ledger, open_store(tmp_path / "none"), SETTINGS, select="z")


@pytest.mark.parametrize(
    ("clip", "message"),
    [
        ({"fps": 24}, "clip z runs at 24 fps, the first one at 10"),
        ({"filmed": False}, "the first one has observation.camera_to_world.camera, z hasn't: .*--no-cameras"),
    ],
)
def test_a_clip_that_the_dataset_cannot_hold_is_named_and_can_be_left_out(run, tmp_path, clip, message):
    run.clip("z", "f", **clip)
    with pytest.raises(ExportError, match=message) as caught:
        export(run.ledger, open_store(tmp_path / "set"), SETTINGS)
    assert "\n" not in str(caught.value)
    assert export(run.ledger, open_store(tmp_path / "set"), SETTINGS, select="[!z]*").added == 3


def test_cameras_of_a_rig_are_features_of_their_own(tmp_path):
    run = Run(tmp_path / "run")
    run.views("one", "a", apart=True)
    run.views("two", "b", apart=True)
    export(run.ledger, open_store(tmp_path / "set"), SETTINGS)
    features = json.loads((tmp_path / "set" / "meta" / "info.json").read_text())["features"]
    assert [name.removeprefix("observation.") for name in features][:8] == [
        "images.front_wide",
        "images.rear",
        "images.hdmap_front_wide",
        "images.hdmap_rear",
        "camera_to_world.front_wide",
        "intrinsics_px.front_wide",
        "camera_to_world.rear",
        "intrinsics_px.rear",
    ]
