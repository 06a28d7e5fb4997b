"""`airshower export` on a run of the tiny network, from rows of the sample world, and what it says of wrong calls."""

import json

import av
import pyarrow.parquet as pq
import pytest
import ray.data

from airshower.pipelines.media import read_video
from airshower.pipelines.world.dataset import write_dataset
from airshower.platform.cli import main


def call(*arguments: object, code: int = 0) -> None:
    with pytest.raises(SystemExit, match=f"^{code}$"):
        main([str(argument) for argument in arguments])


@pytest.mark.cluster
@pytest.mark.usefixtures("cluster")
def test_a_real_run_in_every_format(random_model, tmp_path, capsys):
    list(write_dataset(tmp_path / "scenes", clips=2, seed=5, frames=5, fps=10, height=32, width=48, supersample=1))
    flags = ("--num-steps", 1, "--num-video-frames-per-chunk", 5, "--device", "cpu", "--replicas", 1)
    run = tmp_path / "run"
    call("generate", tmp_path / "scenes", "--output", run, "--weights", random_model, *flags)
    for name in ("webdataset", "lerobot", "parquet"):
        call("export", run, tmp_path / name, "--format", name)
        assert f"{tmp_path / name}: 2 clips added; 1 shard in all\n" in capsys.readouterr().out
    rows = ray.data.read_parquet(str(tmp_path / "parquet")).take_all()
    assert sorted(row["name"] for row in rows) == ["street_00005", "street_00006"]
    for row in rows:
        assert row["video"] == (run / f"{row['name']}.mp4").read_bytes()
        assert row["control_depth"] == (run / f"{row['name']}_control_depth.mp4").read_bytes()
        scene = json.loads((tmp_path / "scenes" / f"{row['name']}.json").read_text())
        assert row["caption"] == scene["prompt"]
        (camera,) = row["cameras"]
        filmed = json.loads((tmp_path / "scenes" / row["name"] / "cameras.json").read_text())["cameras"]["front"]
        assert camera["camera_to_world"][4] == [value for line in filmed["camera_to_world"][4] for value in line]
        # the clip is larger than its input: 256x144 from 48x32
        assert camera["fx"] == pytest.approx(filmed["intrinsics_px"]["fx"] * row["width"] / 48)
        assert (camera["width_px"], camera["height_px"]) == (row["width"], row["height"])
    videos = tmp_path / "lerobot" / "videos"
    names = {f"observation.images.{name}" for name in ("camera", "edge", "vis", "depth", "seg")}
    assert {folder.name for folder in videos.iterdir()} == names
    for name in names:
        assert len(read_video(str(videos / name / "chunk-000" / "file-000.mp4")).frames) == 10
    assert pq.read_table(tmp_path / "lerobot" / "data").num_rows == 10
    with av.open(str(videos / "observation.images.depth" / "chunk-000" / "file-000.mp4")) as container:
        assert container.streams.video[0].average_rate == 10
    call("export", run, tmp_path / "webdataset", "--format", "webdataset")
    assert "0 clips added, 2 were there; 1 shard in all" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("RUN", "DEST", "--format", "zarr"), "'zarr' is not one of 'webdataset', 'lerobot', 'parquet'"),
        (("RUN", "DEST", "--format", "lerobot", "--no-embed"), "--no-embed: lerobot has no choice of it: remove it"),
        (("RUN", "DEST", "--format", "parquet"), "RUN: no ledger here, so it is no run folder: name the --output"),
        (("RUN", "DEST"), "Missing option '--format'"),
    ],
)
def test_a_wrong_call_is_one_line(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    call("export", *arguments, code=2)
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
