"""Rendering: exact buffers, determinism, and looks that differ by weather and time of day."""

import numpy as np
import pytest
import torch

from airshower.pipelines.evaluation.looks import LOOKS, Look, confusion, fit_looks
from airshower.pipelines.world import rays
from airshower.pipelines.world.camera import front_camera, seven_camera_rig
from airshower.pipelines.world.controls import depth_control, normal_image, segmentation_control
from airshower.pipelines.world.hdmap import render_hdmap
from airshower.pipelines.world.light import environment_light
from airshower.pipelines.world.parts import CLASSES, Shape
from airshower.pipelines.world.render import Render, render
from airshower.pipelines.world.scene import TIMES_OF_DAY, WEATHERS, sample_scene


def picture(seed=2, *, weather="clear", time_of_day="day", camera=None, **options) -> Render:
    scene = sample_scene(seed, weather=weather, time_of_day=time_of_day)
    settings = {"frames": 1, "fps": 10, "height": 72, "width": 128, "supersample": 1} | options
    return render(scene, camera or front_camera(), **settings)


def test_road_depth_follows_from_the_camera_height():
    camera = front_camera()
    clip = picture(camera=camera)
    road = torch.isin(clip.segmentation[0], torch.tensor([CLASSES.index("road"), CLASSES.index("lane marking")]))
    row = torch.arange(72)[:, None].expand(72, 128) + 0.5 - 36
    down = camera.axes()[1, 2].abs() * row / camera.focal_px(128) - camera.axes()[2, 2]
    expected = (camera.position_m[2] / down).float()
    assert int(road.sum()) > 1000
    torch.testing.assert_close(clip.depth_m[0][road], expected[road], rtol=2e-3, atol=1e-2)


def test_buffers_agree_with_one_another():
    clip = picture(9)
    sky = clip.segmentation == CLASSES.index("sky")
    assert torch.equal(sky, torch.isinf(clip.depth_m))
    lengths = clip.normal.norm(dim=-1)
    torch.testing.assert_close(lengths[~sky], torch.ones_like(lengths[~sky]), atol=1e-3, rtol=0)
    assert float(lengths[sky].max()) == 0
    on_vehicle = clip.segmentation == CLASSES.index("vehicle")
    assert int(on_vehicle.sum()) > 50
    assert bool((clip.instance[on_vehicle] > 0).all())


def test_same_seed_gives_the_same_bytes_and_time_moves_the_picture():
    first, again, later = picture(), picture(), picture(start_s=1.0)
    assert torch.equal(first.rgb, again.rgb)
    assert not torch.equal(first.depth_m, later.depth_m)


def test_weather_changes_the_look_but_not_the_geometry():
    clear, snow = picture(), picture(weather="snow", time_of_day="night")
    assert torch.equal(clear.depth_m, snow.depth_m)
    assert float((clear.rgb.float() - snow.rgb.float()).abs().mean()) > 30


def test_frame_of_a_clip_equals_the_frame_rendered_alone():
    clip, alone = picture(frames=3), picture(frames=1, start_s=0.2)
    same = torch.isclose(clip.depth_m[2], alone.depth_m[0], rtol=1e-4)
    assert float(same.float().mean()) > 0.995, "only parts smaller than a pixel may depend on the batch"


def test_culled_tiles_lose_no_part():
    whole = picture(0, height=40, width=64, camera=seven_camera_rig()["front_wide"])
    larger = picture(0, height=120, width=192, camera=seven_camera_rig()["front_wide"])
    same = whole.segmentation[0] == larger.segmentation[0, 1::3, 1::3]
    assert float(same.float().mean()) > 0.99


def test_looks_are_told_apart_by_nearest_class_mean_of_colour():
    def clips(look: Look, seeds: range) -> list[np.ndarray]:
        options = {"weather": look.weather, "time_of_day": look.time_of_day, "height": 36, "width": 64}
        return [picture(seed, **options).rgb.numpy() for seed in seeds]

    classifier = fit_looks({look: clips(look, range(6)) for look in LOOKS})
    assert confusion(classifier, {look: clips(look, range(20, 24)) for look in LOOKS}).accuracy >= 0.9


@pytest.mark.parametrize("time_of_day", TIMES_OF_DAY)
@pytest.mark.parametrize("weather", WEATHERS)
def test_every_atmosphere_renders_a_picture_with_contrast(weather, time_of_day):
    rgb = picture(5, weather=weather, time_of_day=time_of_day, height=36, width=64).rgb.float()
    assert float(rgb.std()) > 8
    assert float((rgb == 0).all(-1).float().mean()) < 0.02


def test_box_and_wedge_solvers_agree_on_a_plain_box():
    generator = torch.Generator().manual_seed(0)
    parts = rays.PosedParts(
        index=torch.arange(4),
        centre=torch.randn(3, 1, 4, generator=generator) * 4 + 6,
        cos=torch.full((1, 4), 0.8),
        sin=torch.full((1, 4), 0.6),
        half=torch.rand(3, 4, generator=generator) + 1,
        taper=torch.zeros(3, 4),
        bumps=torch.zeros(4),
    )
    origin = tuple(torch.zeros(1, 1) for _ in range(3))
    direction = tuple(torch.rand(1, 4000, generator=generator) for _ in range(3))
    box, wedge = (rays.meet(shape, parts, origin, direction) for shape in (Shape.BOX, Shape.WEDGE))
    assert int(torch.isfinite(box).sum()) > 50
    torch.testing.assert_close(box, wedge, rtol=1e-4, atol=1e-4)


def test_seven_views_look_where_their_names_say():
    rig = seven_camera_rig()
    assert list(rig) == ["front_wide", "cross_right", "rear_right", "rear", "rear_left", "cross_left", "front_tele"]
    forward = {name: camera.axes()[2] for name, camera in rig.items()}
    assert forward["cross_left"][1] > 0.9
    assert forward["cross_right"][1] < -0.9
    assert forward["rear"][0] < -0.99
    assert forward["rear_left"][1] > 0 > forward["rear_left"][0]
    assert [camera.fov_deg for camera in rig.values()] == [120, 120, 70, 30, 70, 120, 30]


def test_controls_have_the_documented_range():
    clip = picture()
    depth = depth_control(clip.depth_m)
    assert (int(depth.min()), int(depth.max())) == (0, 255)
    assert int(depth[torch.isinf(clip.depth_m)].max()) == 0
    near, far = clip.depth_m[0, 70, 64], clip.depth_m[0, 45, 64]
    assert near < far
    assert depth[0, 70, 64, 0] > depth[0, 45, 64, 0]
    assert len(segmentation_control(clip.segmentation).reshape(-1, 3).unique(dim=0)) == len(clip.segmentation.unique())
    assert normal_image(clip.normal).shape == (1, 72, 128, 3)


def test_hdmap_boxes_cover_the_rendered_vehicles():
    scene = sample_scene(2, weather="clear", time_of_day="day")
    clip = picture(2)
    drawing = render_hdmap(scene, front_camera(), frames=1, fps=10, height=72, width=128)
    vehicles = clip.segmentation[0] == CLASSES.index("vehicle")
    reddish = (drawing[0, ..., 0].int() - drawing[0, ..., 2].int()) > 20
    assert float(reddish[vehicles].float().mean()) > 0.9


def test_environment_light_has_its_sun_where_the_sky_shows_it():
    light = environment_light(sample_scene(1, weather="clear", time_of_day="day"))
    assert light.shape == (128, 256, 3)
    brightest = int(light.sum(-1).argmax()) // 256
    assert brightest < 64, "the sun stands above the horizon"
    assert float(light.max()) > 15 * float(light.median())


def test_impossible_sizes_are_refused():
    with pytest.raises(ValueError, match="frames is 0, but must be positive"):
        picture(frames=0)
