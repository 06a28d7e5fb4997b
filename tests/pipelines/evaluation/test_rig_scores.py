"""Ground truth passes; cameras of different scenes and clips of other scenes do not."""

import numpy as np
import pytest

from airshower.pipelines.evaluation.map_readout import LAYERS, layers
from airshower.pipelines.evaluation.rig import rig_scores
from airshower.pipelines.evaluation.rig_scenes import RigScene
from airshower.pipelines.world import hdmap
from airshower.pipelines.world.camera import seven_camera_rig
from airshower.pipelines.world.hdmap import render_hdmap
from airshower.pipelines.world.render import render_rgb
from airshower.pipelines.world.scene import sample_scene

SHAPE = {"frames": 1, "fps": 10.0, "height": 64, "width": 112}


def rendered(seed: int) -> RigScene:
    scene, cameras = sample_scene(seed), seven_camera_rig().values()
    return RigScene(
        name=str(seed),
        prompt="",
        frames=np.stack([render_rgb(scene, camera, supersample=1, **SHAPE).numpy() for camera in cameras]),
        hdmaps=np.stack([render_hdmap(scene, camera, **SHAPE).numpy() for camera in cameras]),
        fps=10.0,
    )


@pytest.fixture(scope="module")
def scenes() -> list[RigScene]:
    return [rendered(seed) for seed in range(3)]


@pytest.fixture(scope="module")
def others() -> list[RigScene]:
    return [rendered(seed) for seed in range(100, 108)]


def verdicts(scenes, others, outputs) -> list[bool | None]:
    return [score.passed for score in rig_scores(scenes, others, outputs)]


def test_ground_truth_meets_every_criterion(scenes, others):
    truth = [scene.frames for scene in scenes]
    lanes, boxes, neighbours = rig_scores(scenes, others, truth)
    assert lanes.passed
    assert boxes.passed
    assert neighbours.passed
    assert neighbours.mean > 0.5
    assert abs(neighbours.mean_shuffled) < 0.2
    assert (lanes.mean, neighbours.mean) == (lanes.ground_truth, neighbours.ground_truth)


def test_clips_of_another_scene_miss_the_map(scenes, others):
    moved_on = [scene.frames for scene in [*scenes[1:], scenes[0]]]
    assert verdicts(scenes, others, moved_on) == [False, False, True]


def test_cameras_of_different_scenes_do_not_agree(scenes, others):
    odd = np.arange(len(seven_camera_rig()))[:, None, None, None, None] % 2 == 1
    mixed = [
        np.where(odd, one.frames, other.frames) for one, other in zip(scenes, [*scenes[1:], scenes[0]], strict=True)
    ]
    assert verdicts(scenes, others, mixed)[-1] is False


def test_layers_are_told_by_colour_whatever_the_distance():
    picture = np.zeros((1, 1, 16, 16, 3), np.uint8)
    picture[..., :8, :, :] = np.array(hdmap.VEHICLE) * 0.3 * 0.24  # the far side of a far box
    picture[..., 12:, :, :] = np.array(hdmap.KERB) * 0.3
    found = dict(zip(LAYERS, np.moveaxis(layers(picture)[0, 0], -1, 0), strict=True))
    assert found["boxes"][0].min() > 0.8 > 0.2 > found["boxes"][-1].max()
    assert found["lanes"][0].max() < 0.2 < found["lanes"][-1].min()
