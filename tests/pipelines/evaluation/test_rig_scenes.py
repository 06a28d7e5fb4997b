"""A scene of the rig is a valid row of all cameras, made from HD maps alone, and its clips are found again."""

import numpy as np

from airshower.configs.cameras import RIG
from airshower.configs.presets import preset
from airshower.pipelines.evaluation.rig_scenes import RigScene, read_rig_outputs, write_rig_rows
from airshower.pipelines.media import read_video, write_video
from airshower.pipelines.rows import read_rows
from airshower.pipelines.world.camera import seven_camera_rig


def scene(name: str) -> RigScene:
    levels = np.arange(7, dtype=np.uint8)[:, None, None, None, None] * 30 + 20
    videos = np.broadcast_to(levels, (7, 9, 32, 48, 3)).copy()
    return RigScene(name=name, prompt=f"{name} as drawn", seed=5, frames=videos, hdmaps=videos, fps=10.0)


def test_rows_are_valid_and_name_every_camera_s_map(tmp_path):
    scenes = [scene("scene1"), scene("scene2")]
    rows = read_rows([str(write_rig_rows(scenes, tmp_path))], overrides={}, preset=preset("tiny-multiview"))
    assert [row.error for row in rows if row.error] == []
    assert [row.name for row in rows] == ["scene1", "scene2"]
    spec = rows[1].spec
    assert spec.cameras == RIG == tuple(seven_camera_rig())
    assert set(spec.given_frames().values()) == {0}
    assert (spec.fps, spec.num_video_frames_per_view, spec.save_combined_views) == (10, 9, False)
    rear = read_video(spec.views["rear"].control_path).frames
    assert np.abs(rear.astype(int) - scenes[1].hdmaps[RIG.index("rear")]).max() < 6


def test_outputs_stand_in_the_order_of_the_cameras(tmp_path):
    made = scene("scene1")
    for camera, video in zip(RIG, made.frames, strict=True):
        write_video(tmp_path / f"scene1_{camera}.mp4", video, made.fps)
    (output,) = read_rig_outputs([made], tmp_path)
    assert np.abs(output.astype(int) - made.frames).mean() < 3
