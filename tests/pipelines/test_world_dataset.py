"""Written datasets: every file is there, videos decode to what was rendered, rows point at real files."""

import json

import av
import numpy as np
import pytest

from airshower.configs.sizes import Size
from airshower.pipelines.camera_tracks import FilmedClip, read_camera_tracks
from airshower.pipelines.own_files import InTheWayError
from airshower.pipelines.rows import read_rows
from airshower.pipelines.world.controls import SEGMENTATION_COLOURS
from airshower.pipelines.world.dataset import write_dataset

SIZE = {"frames": 3, "fps": 10, "height": 48, "width": 80, "supersample": 1}
VIDEOS = ("rgb", "depth", "seg", "edge", "normal", "base_colour", "roughness", "metallic", "hdmap")


def decode(path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def test_single_view_clip_is_complete_and_its_row_resolves(tmp_path):
    written = write_dataset(tmp_path, clips=1, seed=5, **SIZE)
    assert not list(tmp_path.iterdir()), "nothing happens before the first clip is asked for"
    assert list(written) == ["street_00005"]
    folder = tmp_path / "street_00005"
    for name in VIDEOS:
        assert decode(folder / f"{name}.mp4").shape == (3, 48, 80, 3), name
    row = json.loads((tmp_path / "street_00005.json").read_text())
    assert row["name"] == "street_00005"
    assert row["prompt"].endswith(".")
    for path in (row["video_path"], *(row[key]["control_path"] for key in ("depth", "seg", "edge"))):
        assert (tmp_path / path).is_file()
    clip = FilmedClip(cameras=None, frames=3, fps=10, size=Size(48, 80))
    (camera,) = read_camera_tracks(str(tmp_path / row["camera_path"]), clip).values()
    assert camera.intrinsics_px.model_dump() == pytest.approx({"fx": 40, "fy": 40, "cx": 40, "cy": 24})
    assert len(camera.camera_to_world) == 3
    assert np.load(folder / "environment.npz")["radiance"].shape == (128, 256, 3)


def test_segmentation_labels_survive_the_video(tmp_path):
    list(write_dataset(tmp_path, clips=1, seed=6, **SIZE))
    colours = np.array(list(SEGMENTATION_COLOURS.values()), np.float32)
    video = decode(tmp_path / "street_00006" / "seg.mp4").astype(np.float32)
    away = np.linalg.norm(video[..., None, :] - colours, axis=-1).min(-1)
    assert np.median(away) < 8


def test_several_views_get_a_folder_and_a_row_each(tmp_path):
    list(write_dataset(tmp_path, clips=1, seed=5, views=("front_wide", "rear"), **(SIZE | {"frames": 1})))
    assert (tmp_path / "street_00005" / "rear" / "rgb.mp4").is_file()
    row = json.loads((tmp_path / "street_00005_front_wide.json").read_text())
    assert (tmp_path / row["video_path"]).is_file()
    cameras = json.loads((tmp_path / "street_00005" / "cameras.json").read_text())["cameras"]
    assert np.array(cameras["rear"]["camera_to_world"]).shape == (1, 4, 4)
    together = json.loads((tmp_path / "multiview" / "street_00005.json").read_text())
    (row,) = read_rows([str(tmp_path / "multiview")], overrides={}, preset=None)
    assert row.error is None
    assert row.spec.cameras == ("front_wide", "rear")
    clip = FilmedClip(cameras=row.spec.cameras, frames=1, fps=10, size=Size(48, 80))
    assert list(read_camera_tracks(row.spec.camera_path, clip)) == ["front_wide", "rear"]
    assert list(json.loads((tmp_path / "street_00005" / "rear" / "cameras.json").read_text())["cameras"]) == ["rear"]
    assert together["fps"] == SIZE["fps"]


@pytest.mark.parametrize(
    ("change", "message"), [({"width": 81}, "must be even"), ({"views": ("top",)}, "choose at least one")]
)
def test_wrong_settings_are_refused(tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        next(write_dataset(tmp_path, clips=1, seed=0, **(SIZE | change)))


def test_a_scene_that_is_there_is_kept_and_nothing_of_others_is_replaced(tmp_path):
    list(write_dataset(tmp_path, clips=1, seed=5, **SIZE))
    before = contents(tmp_path)
    list(write_dataset(tmp_path, clips=2, seed=5, **SIZE))
    assert {path: data for path, data in contents(tmp_path).items() if path in before} == before
    (tmp_path / "street_00007.json").write_text("{}")
    before = contents(tmp_path)
    with pytest.raises(InTheWayError, match=r"holds street_00007\.json, not as this call writes it"):
        list(write_dataset(tmp_path, clips=2, seed=6, **SIZE))
    with pytest.raises(InTheWayError, match=r"holds street_00005\.json, street_00005/, street_00006\.json"):
        list(write_dataset(tmp_path, clips=2, seed=5, weather="rain", **SIZE))
    (tmp_path / "street_00008").mkdir()
    with pytest.raises(InTheWayError, match="holds street_00008/, not"):
        list(write_dataset(tmp_path, clips=1, seed=8, **SIZE))
    assert contents(tmp_path) == before


def contents(folder) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
