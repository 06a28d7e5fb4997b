"""Scenes and captions: the seed decides the layout, the atmosphere is separate, captions are truthful and closed."""

import re
from dataclasses import replace

import pytest
import torch

from airshower.pipelines.world.caption import caption, vocabulary
from airshower.pipelines.world.palette import VEHICLE_COLOURS
from airshower.pipelines.world.scene import TIMES_OF_DAY, WEATHERS, sample_scene


def test_forced_weather_keeps_the_layout():
    clear = sample_scene(11, weather="clear", time_of_day="day")
    snow = sample_scene(11, weather="snow", time_of_day="night")
    assert (clear.street, clear.bodies, clear.ego) == (snow.street, snow.bodies, snow.ego)
    assert sample_scene(12).bodies != clear.bodies


def test_all_weathers_and_times_occur():
    drawn = [sample_scene(seed) for seed in range(40)]
    assert {scene.weather for scene in drawn} == set(WEATHERS)
    assert {scene.time_of_day for scene in drawn} == set(TIMES_OF_DAY)


def test_unknown_weather_is_refused_with_the_choices():
    with pytest.raises(ValueError, match=r"'sunny' is unknown: choose one of clear"):
        sample_scene(0, weather="sunny")


def test_no_vehicle_ever_touches_the_ego_vehicle():
    times = torch.arange(0, 40, 0.5, dtype=torch.float64)
    for seed in range(12):
        scene = sample_scene(seed)
        poses, ego = scene.body_poses(times), scene.ego_poses(times)
        rows = [row for row, body in enumerate(scene.bodies) if body in scene.vehicles]
        away = torch.hypot(poses.x_m[:, rows] - ego.x_m[:, None], poses.y_m[:, rows] - ego.y_m[:, None])
        assert float(away.min()) > 1.9, f"seed {seed}"


def test_bodies_move_smoothly_inside_their_window():
    scene = sample_scene(4)
    times = torch.arange(0, 2, 0.1, dtype=torch.float64)
    step = scene.body_poses(times).x_m.diff(dim=0).abs()
    jumps = step > 5
    assert int(jumps.sum(0).max()) <= 1, "a body may wrap once, far away, and never jitter"
    assert float(step[~jumps].max()) < 2.5


def test_captions_stay_inside_the_vocabulary():
    words = set(vocabulary())
    scenes = [sample_scene(seed) for seed in range(50)]
    said = {word for scene in scenes for k in range(10) for word in re.findall(r"[^\s.,]+", caption(scene, k).lower())}
    assert said <= words
    assert len(said) > 0.6 * len(words)


def test_captions_tell_weather_and_vary():
    scene = sample_scene(3)
    night = replace(scene, weather="snow", time_of_day="night")
    texts = {caption(night, k) for k in range(12)}
    assert len(texts) > 6
    assert all(re.search("snow|winter", text) and "night" in text for text in texts)


def test_captions_name_only_colours_of_vehicles_in_the_scene():
    for seed in range(20):
        scene = sample_scene(seed)
        present = {body.colour_name for body in scene.vehicles}
        second = caption(scene).split(". ")[1]
        said = set(re.findall(r"[a-z]+", second.lower())) & (set(VEHICLE_COLOURS) - {"green"})
        assert said <= present
