"""What stands beside the street: buildings, trees, lamp posts, traffic lights and people on the side walk.

Every function draws from the generator it is given and returns bodies in street coordinates; nothing blocks the
crossings. Lamp posts follow `LAMP_SPACING_M` exactly, because the renderer computes their light from the spacing.
"""

import math
from typing import Any

import numpy as np

from airshower.pipelines.world.palette import BUILDING_COLOURS, CLOTH_COLOURS, FOLIAGE_COLOURS, ROOF_COLOURS, Colour
from airshower.pipelines.world.parts import Body, Finish, Part, Shape, Vector
from airshower.pipelines.world.street import LAMP_SPACING_M, PERIOD_M, Street

BARK: Colour = (84, 66, 50)
STEEL: Colour = (92, 96, 98)


def _shaded(colour: Colour, share: float) -> Colour:
    red, green, blue = (min(255, int(share * value)) for value in colour)
    return (red, green, blue)


def _clear_of_crossing(street: Street, along_m: float, margin_m: float) -> bool:
    half = street.crossing_spacing_m / 2
    away = abs((along_m + half) % street.crossing_spacing_m - half)
    return away > street.crossing_half_width_m + margin_m


def _block(rng: np.random.Generator, half_m: Vector, colour: Colour) -> list[Part]:
    x, y, z = half_m
    parts = [Part(centre_m=(0, 0, z), half_m=half_m, colour=colour, label="building", finish=Finish.FACADE)]
    parapet = _shaded(colour, 0.8)
    parts.append(
        Part(
            centre_m=(0, 0, 2 * z + 0.25),
            half_m=(x + 0.25, y + 0.25, 0.25),
            colour=parapet,
            label="building",
            finish=Finish.ROOF,
        )
    )
    if rng.random() < 0.6:
        hut = (0.3 * x, 0.3 * y, 1.3)
        parts.append(
            Part(
                centre_m=(0.2 * x, 0, 2 * z + 1.5),
                half_m=hut,
                colour=(120, 120, 118),
                label="building",
                finish=Finish.ROOF,
            )
        )
    return parts


def _house(rng: np.random.Generator, half_m: Vector, colour: Colour) -> list[Part]:
    x, y, z = half_m
    roof_half = (x + 0.5, y + 0.5, 0.5 * min(x, y))
    ridge = (0.0, 0.0, 1.0) if rng.random() < 0.5 else (1.0, 1.0, 0.0)
    roof = ROOF_COLOURS[rng.integers(len(ROOF_COLOURS))]
    chimney = (0.35 * x, 0.3 * y, 2 * z + roof_half[2])
    return [
        Part(centre_m=(0, 0, z), half_m=half_m, colour=colour, label="building", finish=Finish.FACADE),
        Part(
            centre_m=(0, 0, 2 * z + roof_half[2]),
            half_m=roof_half,
            colour=roof,
            label="building",
            finish=Finish.ROOF,
            taper=ridge,
        ),
        Part(centre_m=chimney, half_m=(0.4, 0.4, roof_half[2]), colour=(112, 74, 62), label="building"),
    ]


def _frontage_m(style: str, rng: np.random.Generator) -> tuple[float, float, float, float]:
    """Half width along the street, half depth, half height and the gap to the next building."""
    if style == "city":
        gap = 0.0 if rng.random() < 0.7 else rng.uniform(2, 5)
        return rng.uniform(5, 11), rng.uniform(5, 8), 1.6 * rng.integers(3, 11), gap
    if style == "suburb":
        return rng.uniform(4.5, 7), rng.uniform(4, 5.5), 1.6 * rng.integers(1, 3) + 0.2, rng.uniform(5, 12)
    return rng.uniform(5, 8), rng.uniform(4, 6), 1.6 * rng.integers(1, 3) + 0.2, rng.uniform(45, 110)


def _row(street: Street, rng: np.random.Generator, side: int) -> list[Body]:
    style, along = street.style, 0.0
    bodies: list[Body] = []
    names = list(BUILDING_COLOURS)
    setback = {"city": (0.3, 1.5), "suburb": (6, 11), "park": (12, 25)}[style]
    while True:
        half_x, half_y, half_z, gap = _frontage_m(style, rng)
        middle = along + half_x
        along = middle + half_x + gap
        name = names[rng.integers(len(names))]
        offset = side * (street.half_width_m + street.sidewalk_m + rng.uniform(*setback) + half_y)
        seed = int(rng.integers(1 << 16))
        half_m = (half_x, half_y, float(half_z))
        parts = (
            _block(rng, half_m, BUILDING_COLOURS[name])
            if style == "city"
            else _house(rng, half_m, BUILDING_COLOURS[name])
        )
        if along > PERIOD_M:
            return bodies
        if _clear_of_crossing(street, middle, half_x + 3.0):
            bodies.append(
                Body(kind="building", colour_name=name, along_m=middle, offset_m=offset, parts=tuple(parts), seed=seed)
            )


def _skyline(street: Street, rng: np.random.Generator) -> list[Body]:
    bodies = []
    names = list(BUILDING_COLOURS)
    for _ in range({"city": 14, "suburb": 5, "park": 3}[street.style]):
        name = names[rng.integers(len(names))]
        half_m = (rng.uniform(8, 14), rng.uniform(8, 14), 1.6 * float(rng.integers(8, 22)))
        offset = rng.choice((-1, 1)) * rng.uniform(48, 110)
        parts = tuple(_block(rng, half_m, BUILDING_COLOURS[name]))
        along, seed = rng.uniform(0, PERIOD_M), int(rng.integers(1 << 16))
        bodies.append(Body(kind="tower", colour_name=name, along_m=along, offset_m=offset, parts=parts, seed=seed))
    return bodies


def buildings(street: Street, rng: np.random.Generator) -> list[Body]:
    """Rows of blocks or houses along both sides and a few towers behind them."""
    return [*_row(street, rng, 1), *_row(street, rng, -1), *_skyline(street, rng)]


def _broadleaf(rng: np.random.Generator, size_m: float, colour: Colour) -> list[Part]:
    look: dict[str, Any] = {"shape": Shape.ELLIPSOID, "label": "vegetation", "roughness": 0.95}
    trunk_m = 0.42 * size_m
    parts = [Part(centre_m=(0, 0, 0), half_m=(0.05 * size_m, 0.05 * size_m, 1.5 * trunk_m), colour=BARK, **look)]
    for k in range(4):
        angle, away = 2.1 * k + rng.uniform(0, 1), (0.0 if k == 0 else 0.16 * size_m)
        radius = size_m * rng.uniform(0.2, 0.26) * (1.15 if k == 0 else 0.85)
        height = trunk_m + 0.25 * size_m * (1.15 if k == 0 else rng.uniform(0.55, 1.0))
        shade = rng.uniform(0.88, 1.1)
        leaf = _shaded(colour, shade)
        at = (away * math.cos(angle), away * math.sin(angle), height)
        crown = (radius, radius, radius * rng.uniform(0.8, 1.0))
        parts.append(Part(centre_m=at, half_m=crown, colour=leaf, finish=Finish.FOLIAGE, bumps=0.45, **look))
    return parts


def _conifer(rng: np.random.Generator, size_m: float, colour: Colour) -> list[Part]:
    look: dict[str, Any] = {"shape": Shape.ELLIPSOID, "label": "vegetation", "roughness": 0.95}
    parts = [Part(centre_m=(0, 0, 0), half_m=(0.035 * size_m, 0.035 * size_m, 0.5 * size_m), colour=BARK, **look)]
    for k, (height, radius) in enumerate(((0.28, 0.2), (0.48, 0.155), (0.68, 0.11), (0.86, 0.06))):
        shade = 0.9 + 0.06 * k
        leaf = _shaded(colour, shade)
        crown = (radius * size_m, radius * size_m, 0.16 * size_m)
        parts.append(
            Part(centre_m=(0, 0, height * size_m), half_m=crown, colour=leaf, finish=Finish.FOLIAGE, bumps=0.5, **look)
        )
    return parts


def trees(street: Street, rng: np.random.Generator) -> list[Body]:
    """Street trees at the kerb and scattered trees behind the buildings or in the park."""
    kerb_count = {"city": 26, "suburb": 34, "park": 30}[street.style]
    wild_count = {"city": 6, "suburb": 30, "park": 70}[street.style]
    autumn = rng.random() < 0.25
    names = ["golden", "rust", "green"] if autumn else ["green", "dark green", "light green"]
    bodies = []
    for k in range(kerb_count + wild_count):
        at_kerb = k < kerb_count
        along = (k + rng.uniform(0.2, 0.8)) * PERIOD_M / kerb_count if at_kerb else rng.uniform(0, PERIOD_M)
        away = 1.3 if at_kerb else street.sidewalk_m + rng.uniform(2, 45 if street.style != "city" else 30)
        side = 1 if rng.random() < 0.5 else -1
        conifer = rng.random() < (0.1 if at_kerb else 0.45)
        name = "dark green" if conifer else names[rng.integers(3)]
        size = rng.uniform(5.5, 8) if at_kerb else rng.uniform(6, 12)
        grow = _conifer if conifer else _broadleaf
        parts = tuple(grow(rng, size, FOLIAGE_COLOURS[name]))
        seed = int(rng.integers(1 << 16))
        lamp_gap = abs((along / LAMP_SPACING_M) % 1 - 0.5) * LAMP_SPACING_M
        if not _clear_of_crossing(street, along, 10.0) or (at_kerb and lamp_gap < 2.5):
            continue
        offset = side * (street.half_width_m + away)
        bodies.append(Body(kind="tree", colour_name=name, along_m=along, offset_m=offset, parts=parts, seed=seed))
    return bodies


def lamp_posts(street: Street) -> list[Body]:
    """Lamp posts on alternating sides, one every `LAMP_SPACING_M`, arms reaching over the road."""
    bodies = []
    for k in range(round(PERIOD_M / LAMP_SPACING_M)):
        side = 1 if k % 2 == 0 else -1
        parts = (
            Part(
                centre_m=(0, 0, 3.3),
                half_m=(0.075, 0.075, 3.3),
                colour=STEEL,
                label="pole",
                metallic=0.8,
                roughness=0.5,
            ),
            Part(
                centre_m=(0, -side * 0.9, 6.6),
                half_m=(0.05, 0.95, 0.05),
                colour=STEEL,
                label="pole",
                metallic=0.8,
                roughness=0.5,
            ),
            Part(
                centre_m=(0, -side * 1.7, 6.53),
                half_m=(0.16, 0.38, 0.07),
                colour=(214, 210, 196),
                label="pole",
                finish=Finish.LAMP,
                casts_shadow=False,
            ),
        )
        along = (k + 0.5) * LAMP_SPACING_M
        bodies.append(
            Body(kind="lamp", colour_name="", along_m=along, offset_m=side * street.lamp_offset_m, parts=parts)
        )
    return bodies


def traffic_lights(street: Street) -> list[Body]:
    """One signal on the right-hand side before each crossing, in both directions."""
    bodies = []
    reach = street.crossing_half_width_m + 6.4
    for k in range(round(PERIOD_M / street.crossing_spacing_m)):
        for side in (-1, 1):
            along, facing = k * street.crossing_spacing_m + side * reach, side
            lens = [
                Part(
                    centre_m=(facing * 0.14, 0, 3.55 - 0.32 * row),
                    half_m=(0.04, 0.11, 0.11),
                    shape=Shape.ELLIPSOID,
                    colour=colour,
                    label="traffic light",
                    finish=Finish.SIGNAL if row == 2 else Finish.PLAIN,
                    casts_shadow=False,
                )
                for row, colour in enumerate(((74, 16, 14), (82, 60, 14), (40, 220, 110)))
            ]
            parts = (
                Part(centre_m=(0, 0, 1.4), half_m=(0.06, 0.06, 1.4), colour=(52, 54, 56), label="pole"),
                Part(centre_m=(0, 0, 3.23), half_m=(0.14, 0.19, 0.55), colour=(30, 31, 32), label="traffic light"),
                *lens,
            )
            # A driver on the right-hand lanes (negative offsets) looks along +x and meets the signal's -x face.
            offset = side * (street.half_width_m + 0.6)
            bodies.append(Body(kind="signal", colour_name="", along_m=along, offset_m=offset, parts=parts))
    return bodies


def pedestrians(street: Street, rng: np.random.Generator) -> list[Body]:
    """People walking along both side walks."""
    bodies = []
    for _ in range({"city": 26, "suburb": 10, "park": 8}[street.style]):
        cloth = CLOTH_COLOURS[rng.integers(len(CLOTH_COLOURS))]
        trousers = CLOTH_COLOURS[rng.integers(3)]
        tall = rng.uniform(0.92, 1.06)
        look: dict[str, Any] = {"shape": Shape.ELLIPSOID, "label": "pedestrian"}
        parts = (
            Part(centre_m=(0.06, 0.09, 0.42 * tall), half_m=(0.12, 0.09, 0.46 * tall), colour=trousers, **look),
            Part(centre_m=(-0.06, -0.09, 0.42 * tall), half_m=(0.12, 0.09, 0.46 * tall), colour=trousers, **look),
            Part(centre_m=(0, 0, 1.12 * tall), half_m=(0.17, 0.26, 0.38 * tall), colour=cloth, **look),
            Part(centre_m=(0.02, 0, 1.60 * tall), half_m=(0.11, 0.1, 0.13), colour=(196, 150, 122), **look),
        )
        direction = 1 if rng.random() < 0.5 else -1
        side = 1 if rng.random() < 0.5 else -1
        offset = side * (street.half_width_m + rng.uniform(1.6, max(1.8, street.sidewalk_m - 0.3)))
        bodies.append(
            Body(
                kind="pedestrian",
                colour_name="",
                along_m=rng.uniform(0, 320),
                offset_m=offset,
                parts=parts,
                heading_rad=0.0 if direction > 0 else math.pi,
                speed_mps=direction * rng.uniform(0.9, 1.6),
                period_m=320.0,
                behind_m=110.0,
            )
        )
    return bodies
