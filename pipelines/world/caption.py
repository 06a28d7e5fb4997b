"""Describe a scene in one or two plain sentences: weather, time of day, buildings, trees and the vehicles ahead.

Every word comes from the phrase tables below or from the colour palettes, so `vocabulary` lists exactly what a caption can
contain. Captions tell only what the front camera sees when the clip begins; they count nothing.
"""

import re
from collections import Counter
from collections.abc import Iterable

import numpy as np
import torch

from airshower.pipelines.world.palette import BUILDING_COLOURS, FOLIAGE_COLOURS, VEHICLE_COLOURS
from airshower.pipelines.world.parts import Body
from airshower.pipelines.world.scene import Scene
from airshower.pipelines.world.vehicles import SIZE_M

SIGHT_M = 70.0

ATMOSPHERE: dict[tuple[str, str], tuple[str, ...]] = {
    ("clear", "day"): ("on a clear sunny day", "in bright sunshine under a blue sky", "on a sunny day with a few white clouds"),
    ("clear", "sunset"): ("at sunset in warm orange light", "at dusk under a glowing orange sky", "on a clear evening with a low sun"),
    ("clear", "night"): ("on a clear night under street lamps", "at night under a dark starry sky", "after dark on a clear night"),
    ("overcast", "day"): ("on an overcast day", "under a grey cloudy sky in the daytime", "on a dull cloudy day"),
    ("overcast", "sunset"): ("on an overcast evening at sunset", "at dusk under a cloudy sky", "at sunset under heavy clouds"),
    ("overcast", "night"): ("on an overcast night", "at night under a cloudy dark sky", "after dark on a cloudy night"),
    ("rain", "day"): ("on a rainy day with a wet road", "in heavy rain during the day", "on a grey rainy day with puddles"),
    ("rain", "sunset"): ("in the rain at sunset", "at dusk on a rainy evening", "on a wet rainy evening at sunset"),
    ("rain", "night"): ("on a rainy night with lights on the wet road", "at night in heavy rain", "in the rain after dark"),
    ("fog", "day"): ("on a foggy day", "in thick fog during the day", "in pale daytime fog"),
    ("fog", "sunset"): ("in thick fog at sunset", "on a foggy evening at dusk", "at sunset in orange fog"),
    ("fog", "night"): ("on a foggy night", "at night in thick fog", "in dark fog after dark with glowing lamps"),
    ("snow", "day"): ("on a snowy day", "in falling snow during the day", "on a white winter day with snow on the ground"),
    ("snow", "sunset"): ("in falling snow at sunset", "on a snowy evening at dusk", "on a winter evening at sunset with snow"),
    ("snow", "night"): ("on a snowy night", "at night in falling snow", "on a winter night with snow under the lamps"),
}
OPENING = ("a drive along", "a car drives along", "driving down", "a dashboard camera view of", "a video of", "a view along")
PLACE: dict[str, tuple[str, ...]] = {
    "city": ("a city street", "an urban street", "a downtown road"),
    "suburb": ("a suburban street", "a residential road", "a quiet street of houses"),
    "park": ("a road through open country", "a rural road", "a country road past meadows"),
}
BUILT: dict[str, tuple[str, ...]] = {
    "city": ("with {} buildings", "lined with {} buildings", "between {} blocks"),
    "suburb": ("with {} houses", "lined with {} houses", "past {} homes"),
    "park": ("with a few {} houses", "past {} houses", "with {} houses far apart"),
}
TREES = ("{} trees stand beside the road", "there are {} trees along the way", "{} trees line the side")
NO_TREES = ("there are hardly any trees", "there are few trees nearby")
AHEAD = ("a {} drives ahead", "a {} is in front", "we follow a {}")
ONCOMING = ("a {} comes the other way", "a {} approaches in the opposite lane", "a {} is oncoming")
BESIDE = ("a {} drives in the next lane", "a {} moves along in the other lane")
PARKED = ("a {} is parked at the kerb", "a parked {} stands at the side")
EMPTY = ("the road is nearly empty", "there is hardly any traffic")
KIND: dict[str, tuple[str, ...]] = {
    "car": ("car", "sedan"),
    "suv": ("suv", "car"),
    "van": ("van", "minivan"),
    "pickup": ("pickup", "pickup truck"),
    "truck": ("truck", "lorry"),
    "bus": ("bus", "coach"),
}
JOIN = (" and ", " while ", ", ")


def vocabulary() -> list[str]:
    """Every lower-case word that any caption can contain, sorted; punctuation is not listed."""
    tables: list[Iterable[str]] = [OPENING, TREES, NO_TREES, AHEAD, ONCOMING, BESIDE, PARKED, EMPTY, JOIN]
    tables += [*ATMOSPHERE.values(), *PLACE.values(), *BUILT.values(), *KIND.values()]
    tables += [VEHICLE_COLOURS, BUILDING_COLOURS, FOLIAGE_COLOURS, ("an",)]
    words = {word for table in tables for phrase in table for word in re.findall(r"[a-z]+", phrase.lower())}
    return sorted(words)


def _seen(scene: Scene, kinds: Iterable[str], sight_m: float) -> list[tuple[float, Body]]:
    """Bodies of some kinds in front of the ego vehicle at time zero with their distance, nearest first."""
    start = torch.zeros(1, dtype=torch.float64)
    poses, ego = scene.body_poses(start), scene.ego_poses(start)
    wanted = set(kinds)
    found = []
    for row, body in enumerate(scene.bodies):
        ahead_m = float(poses.x_m[0, row] - ego.x_m[0])
        aside_m = abs(float(poses.y_m[0, row] - ego.y_m[0]))
        if body.kind in wanted and 4 < ahead_m < sight_m and aside_m < ahead_m:
            found.append((ahead_m, body))
    return sorted(found, key=lambda pair: pair[0])


def _commonest(bodies: list[tuple[float, Body]]) -> str:
    return Counter(body.colour_name for _, body in bodies).most_common(1)[0][0]


def _role(scene: Scene, body: Body) -> tuple[str, ...]:
    if body.speed_mps == 0:
        return PARKED
    if body.speed_mps < 0:
        return ONCOMING
    return AHEAD if abs(body.offset_m - scene.ego.offset_m) < 1.2 else BESIDE


def _sentence(text: str) -> str:
    text = re.sub(r"\ba(?= [aeio])", "an", text)
    return text[0].upper() + text[1:] + "."


def caption(scene: Scene, seed_variant: int = 0) -> str:
    """One or two sentences about a scene; variants differ in words and detail, not in truth."""
    rng = np.random.default_rng([scene.seed, 7, seed_variant])

    def pick(phrases: tuple[str, ...]) -> str:
        return phrases[rng.integers(len(phrases))]

    style = scene.street.style
    when, where = pick(ATMOSPHERE[scene.weather, scene.time_of_day]), pick(PLACE[style])
    buildings = _seen(scene, ("building",), SIGHT_M)
    if buildings:
        where = f"{where} {pick(BUILT[style]).format(_commonest(buildings))}"
    opening = pick(OPENING)
    first = f"{opening} {where} {when}" if rng.random() < 0.6 else f"{when}, {opening} {where}"
    vehicles = _seen(scene, SIZE_M, 45.0 if scene.weather == "fog" else SIGHT_M)
    # Fog hides what is far, so captions in fog speak of less.
    told = [pick(_role(scene, body)).format(f"{body.colour_name} {pick(KIND[body.kind])}") for _, body in vehicles[:2]]
    details = told or [pick(EMPTY)]
    if rng.random() < 0.7:
        trees = _seen(scene, ("tree",), SIGHT_M)
        details.append(pick(TREES).format(_commonest(trees)) if trees else pick(NO_TREES))
    if len(details) == 1:
        second = details[0]
    else:
        second = ", ".join(details[:-1]) + pick(JOIN) + details[-1]
    return f"{_sentence(first)} {_sentence(second)}"
