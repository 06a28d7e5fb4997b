"""Describe a scene in one or two plain sentences: weather, time of day, buildings, trees and the vehicles ahead.

Every word comes from the phrase tables below or from the colour palettes, so `vocabulary` lists exactly what a
caption can contain. Captions tell only what the front camera sees when the clip begins; they count nothing.
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
FOG_SIGHT_M = 40.0

ATMOSPHERE: dict[tuple[str, str], tuple[str, ...]] = {
    ("clear", "day"): (
        "on a clear sunny day",
        "in bright sunshine under a blue sky",
        "on a sunny day with a few white clouds",
    ),
    ("clear", "sunset"): (
        "at sunset in warm orange light",
        "at dusk under a glowing orange sky",
        "on a clear evening with a low sun",
    ),
    ("clear", "night"): (
        "on a clear night under street lamps",
        "at night under a dark starry sky",
        "after dark on a clear night",
    ),
    ("overcast", "day"): ("on an overcast day", "under a grey cloudy sky in the daytime", "on a dull cloudy day"),
    ("overcast", "sunset"): (
        "on an overcast evening at sunset",
        "at dusk under a cloudy sky",
        "at sunset under heavy clouds",
    ),
    ("overcast", "night"): ("on an overcast night", "at night under a cloudy dark sky", "after dark on a cloudy night"),
    ("rain", "day"): (
        "on a rainy day with a wet road",
        "in heavy rain during the day",
        "on a grey rainy day with puddles",
    ),
    ("rain", "sunset"): ("in the rain at sunset", "at dusk on a rainy evening", "on a wet rainy evening at sunset"),
    ("rain", "night"): (
        "on a rainy night with lights on the wet road",
        "at night in heavy rain",
        "in the rain after dark",
    ),
    ("fog", "day"): ("on a foggy day", "in thick fog during the day", "in pale daytime fog"),
    ("fog", "sunset"): ("in thick fog at sunset", "on a foggy evening at dusk", "at sunset in orange fog"),
    ("fog", "night"): ("on a foggy night", "at night in thick fog", "in dark fog after dark with glowing lamps"),
    ("snow", "day"): (
        "on a snowy day",
        "in falling snow during the day",
        "on a white winter day with snow on the ground",
    ),
    ("snow", "sunset"): (
        "in falling snow at sunset",
        "on a snowy evening at dusk",
        "on a winter evening at sunset with snow",
    ),
    ("snow", "night"): ("on a snowy night", "at night in falling snow", "on a winter night with snow under the lamps"),
}
OPENING = (
    "a drive along",
    "a car drives along",
    "driving down",
    "a dashboard camera view of",
    "a video of",
    "a view along",
)
PLACE: dict[str, tuple[str, ...]] = {
    "city": ("a city street", "an urban street", "a downtown road"),
    "suburb": ("a suburban street", "a residential road", "a quiet suburban street"),
    "park": ("a road through open country", "a rural road", "a country road"),
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


def _in_view(scene: Scene, start_s: float) -> list[tuple[float, Body]]:
    """Bodies in front of the ego vehicle at a time with their distance, nearest first."""
    start = torch.tensor([start_s], dtype=torch.float64)
    poses, ego = scene.body_poses(start), scene.ego_poses(start)
    ahead_m = (poses.x_m - ego.x_m)[0].tolist()
    aside_m = (poses.y_m - ego.y_m)[0].abs().tolist()
    found = [
        (ahead, body)
        for ahead, aside, body in zip(ahead_m, aside_m, scene.bodies, strict=True)
        if 4 < ahead < SIGHT_M and aside < ahead
    ]
    return sorted(found, key=lambda pair: pair[0])


def _commonest_colour(bodies: list[Body]) -> str:
    return Counter(body.colour_name for body in bodies).most_common(1)[0][0]


def _role(scene: Scene, body: Body) -> tuple[str, ...]:
    if body.speed_mps == 0:
        return PARKED
    if body.speed_mps < 0:
        return ONCOMING
    return AHEAD if abs(body.offset_m - scene.ego.offset_m) < 1.2 else BESIDE


def _sentence(text: str) -> str:
    text = re.sub(r"\ba(?= [aeio])", "an", text)
    return text[0].upper() + text[1:] + "."


def caption(scene: Scene, seed_variant: int = 0, *, start_s: float = 0.0) -> str:
    """Two sentences about what the front camera sees at `start_s`; variants differ in words, not in truth."""
    rng = np.random.default_rng([scene.seed, 7, seed_variant])

    def pick(phrases: tuple[str, ...]) -> str:
        return phrases[rng.integers(len(phrases))]

    in_view = _in_view(scene, start_s)
    when, where = pick(ATMOSPHERE[scene.weather, scene.time_of_day]), pick(PLACE[scene.street.style])
    buildings = [body for _, body in in_view if body.kind == "building"]
    if buildings:
        where = f"{where} {pick(BUILT[scene.street.style]).format(_commonest_colour(buildings))}"
    opening = pick(OPENING)
    first = f"{opening} {where} {when}" if rng.random() < 0.6 else f"{when}, {opening} {where}"
    sight_m = FOG_SIGHT_M if scene.weather == "fog" else SIGHT_M
    vehicles = [body for away_m, body in in_view if body.kind in SIZE_M and away_m < sight_m]
    told = [pick(_role(scene, body)).format(f"{body.colour_name} {pick(KIND[body.kind])}") for body in vehicles[:2]]
    details = told or [pick(EMPTY)]
    if rng.random() < 0.7:
        trees = [body for _, body in in_view if body.kind == "tree"]
        details.append(pick(TREES).format(_commonest_colour(trees)) if trees else pick(NO_TREES))
    second = details[0] if len(details) == 1 else ", ".join(details[:-1]) + pick(JOIN) + details[-1]
    return f"{_sentence(first)} {_sentence(second)}"
