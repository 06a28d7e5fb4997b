"""Clips that show their map and one world pass; clips of other scenes, and cameras of different scenes, do not."""

import numpy as np
import pytest

from airshower.pipelines.evaluation.map_readout import LAYERS, layers
from airshower.pipelines.evaluation.rig import rig_scores
from airshower.pipelines.evaluation.rig_scenes import RigScene
from airshower.pipelines.world import hdmap
from airshower.pipelines.world.camera import Camera, seven_camera_rig
from airshower.pipelines.world.hdmap import render_hdmap
from airshower.pipelines.world.scene import sample_scene

HEIGHT, WIDTH = 72, 128
WAVES = 40


def background(seed: int, camera: Camera) -> np.ndarray:
    """What a camera sees of a far-away pattern, which is the same for all cameras, float (height, width, 3)."""
    random = np.random.default_rng(seed)
    waves = random.normal(0, 1, (3, WAVES, 3)) * random.uniform(4, 40, (WAVES, 1))
    phases, focal = random.uniform(0, 2 * np.pi, (3, WAVES)), camera.focal_px(WIDTH)
    down, right = np.mgrid[0:HEIGHT, 0:WIDTH] + 0.5
    rays = np.stack([right - WIDTH / 2, down - HEIGHT / 2, np.full_like(right, focal)], axis=-1) @ camera.axes().numpy()
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    return 120 + 8 * np.stack([np.sin(rays @ waves[k].T + phases[k]).sum(-1) for k in range(3)], axis=-1)


def made(seed: int) -> RigScene:
    """White lanes and red vehicles where the HD map of a scene has them, before a pattern of the scene's own."""
    pictures, maps = [], []
    for camera in seven_camera_rig().values():
        drawn = render_hdmap(sample_scene(seed), camera, frames=1, fps=10, height=HEIGHT, width=WIDTH).numpy()
        picture, red, _, blue = background(seed, camera), *np.moveaxis(drawn[0].astype(int), -1, 0)
        is_box = (red > 20) & (red > 4 * blue - 60) & (blue < 70) & (red > 3 * blue)
        picture[(drawn[0].max(-1) > 20) & ~is_box] = 235
        picture[is_box] = (200, 20, 30)
        pictures.append(picture.clip(0, 255).astype(np.uint8)[None])
        maps.append(drawn)
    return RigScene(name=str(seed), prompt="", seed=seed, frames=np.stack(pictures), hdmaps=np.stack(maps), fps=10.0)


@pytest.fixture(scope="module")
def scenes() -> list[RigScene]:
    return [made(seed) for seed in range(3)]


@pytest.fixture(scope="module")
def others() -> list[RigScene]:
    return [made(seed) for seed in range(100, 124)]


def verdicts(scenes, others, outputs) -> list[bool | None]:
    return [score.passed for score in rig_scores(scenes, others, outputs)]


def test_ground_truth_meets_every_criterion(scenes, others):
    lanes, boxes, neighbours = rig_scores(scenes, others, [scene.frames for scene in scenes])
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
