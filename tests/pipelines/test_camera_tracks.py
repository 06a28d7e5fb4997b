"""Camera files against their clips: what fits is cut and scaled, what doesn't is one line."""

import json
import math

import numpy as np
import pytest

from airshower.configs.sizes import Size
from airshower.pipelines.camera_tracks import FilmedClip, read_camera_tracks


def pose(x: float) -> list[list[float]]:
    cos, sin = math.cos(0.1 * x), math.sin(0.1 * x)
    return [[cos, -sin, 0, x], [sin, cos, 0, 0], [0, 0, 1, 1.5], [0, 0, 0, 1]]


def track(**changes: object) -> dict[str, object]:
    intrinsics = {"fx": 100, "fy": 100, "cx": 80, "cy": 45}
    poses = [pose(x) for x in range(6)]
    return {"width_px": 160, "height_px": 90, "intrinsics_px": intrinsics, "camera_to_world": poses} | changes


CLIP = FilmedClip(cameras=None, frames=5, fps=10, size=Size(180, 320))


def read(tmp_path, cameras, clip=CLIP, **file):
    (tmp_path / "cameras.json").write_text(json.dumps({"fps": 10, "weather": "rain", "cameras": cameras, **file}))
    return read_camera_tracks(str(tmp_path / "cameras.json"), clip)


def test_a_file_is_cut_to_its_clip_and_scaled_with_its_pictures(tmp_path):
    assert read_camera_tracks(None, CLIP) == {}
    (one,) = read(tmp_path, {"front": track()}).values()
    assert np.array(one.camera_to_world)[:, 0, 3].tolist() == [0, 1, 2, 3, 4]
    wide = one.resized(height_px=45, width_px=320)
    assert wide.intrinsics_px.model_dump() == {"fx": 200, "fy": 50, "cx": 160, "cy": 22.5}
    slow = FilmedClip(cameras=("rear", "front"), frames=3, fps=5, size=CLIP.size)
    several = read(tmp_path, {"front": track(), "rear": track(), "roof": track()}, slow)
    assert list(several) == ["rear", "front"]
    assert np.array(several["rear"].camera_to_world)[:, 0, 3].tolist() == [0, 2, 4]


MIRRORED = [[-1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
TRANSPOSED = np.array(pose(2)).T.tolist()


@pytest.mark.parametrize(
    ("cameras", "file", "message"),
    [
        ({}, {}, "cameras: Dictionary should have at least 1 item"),
        ({"front": {}}, {}, "cameras.front.width_px: Field required"),
        ({"front": track(camera_to_world=[pose(0), pose(1)[:3]])}, {}, r"camera_to_world.1.3: Field required"),
        ({"front": track(camera_to_world=[pose(math.nan)] * 5)}, {}, "should be a finite number"),
        ({"front": track(camera_to_world=[pose(0)] * 4)}, {}, "cameras.json has 4 matrices and the clip 5 frames"),
        ({"front": track(camera_to_world=[pose(0)] * 4 + [MIRRORED])}, {}, "matrix 4 is no pose"),
        ({"front": track(camera_to_world=[pose(0), TRANSPOSED] * 3)}, {}, "matrix 1 is no pose"),
        ({"front": track(height_px=100)}, {}, "for pictures of 160x100, and the clip's input has 320x180"),
        ({"front": track(), "rear": track()}, {}, "has the cameras front, rear: a row of one camera needs a file of"),
        ({"front": track()}, {"fps": 24}, "runs at 24 fps and the clip at 10"),
    ],
)
def test_what_does_not_fit_is_one_line_that_names_the_file(tmp_path, cameras, file, message):
    with pytest.raises(ValueError, match=message) as caught:
        read(tmp_path, cameras, **file)
    assert str(caught.value).startswith(f"camera_path: {tmp_path / 'cameras.json'}")
    assert "\n" not in str(caught.value)


def test_a_row_of_several_cameras_needs_each_of_them(tmp_path):
    clip = FilmedClip(cameras=("front", "rear"), frames=5, fps=10, size=CLIP.size)
    with pytest.raises(ValueError, match="has no camera rear, only front: add it, or fix its name"):
        read(tmp_path, {"front": track()}, clip)
