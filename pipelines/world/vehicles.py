"""Vehicles of the sample world: sedans, estates, vans, pick-ups, trucks and buses built from a few parts each.

Each builder returns parts in the vehicle's frame (x forward, y left, z up, origin on the ground below its middle).
Lamps glow only at night or in bad weather; that is decided by the renderer.
"""

from collections.abc import Callable
from typing import TypedDict, Unpack

from airshower.pipelines.world.palette import VEHICLE_COLOURS, Colour
from airshower.pipelines.world.parts import Finish, Part, Shape, Vector

TYRE: Colour = (26, 26, 28)
GLASS: Colour = (34, 42, 50)
TRIM: Colour = (40, 40, 43)


class _Look(TypedDict, total=False):
    shape: Shape
    taper: Vector
    roughness: float
    metallic: float
    casts_shadow: bool


def _part(
    centre_m: Vector, half_m: Vector, colour: Colour, finish: Finish = Finish.PLAIN, **look: Unpack[_Look]
) -> Part:
    return Part(centre_m=centre_m, half_m=half_m, colour=colour, finish=finish, label="vehicle", **look)


def _painted(centre_m: Vector, half_m: Vector, colour: Colour, taper: Vector = (0.0, 0.0, 0.0)) -> Part:
    return _part(centre_m, half_m, colour, Finish.PAINT, taper=taper, roughness=0.3, metallic=0.5)


def _glass(centre_m: Vector, half_m: Vector, taper: Vector = (0.0, 0.0, 0.0)) -> Part:
    return _part(centre_m, half_m, GLASS, Finish.GLASS, taper=taper, roughness=0.06)


def _wheels(axle_m: tuple[float, float], track_m: float, radius_m: float) -> list[Part]:
    look: _Look = {"shape": Shape.ELLIPSOID, "roughness": 0.9, "casts_shadow": False}
    hub: _Look = {"shape": Shape.ELLIPSOID, "roughness": 0.3, "metallic": 0.9, "casts_shadow": False}
    wheels = []
    for x_m in axle_m:
        for side in (-1, 1):
            at = (x_m, side * (track_m - 0.08), radius_m)
            wheels.append(_part(at, (radius_m, 0.16, radius_m), TYRE, **look))
            rim = (x_m, side * (track_m + 0.035), radius_m)
            wheels.append(_part(rim, (0.55 * radius_m, 0.06, 0.55 * radius_m), (150, 152, 156), **hub))
    return wheels


def _lamps(half_length_m: float, half_width_m: float, height_m: float) -> list[Part]:
    lamps = []
    for side in (-1, 1):
        y_m = side * (half_width_m - 0.22)
        front, rear = (half_length_m - 0.02, y_m, height_m), (-half_length_m + 0.02, y_m, height_m + 0.06)
        size = (0.05, 0.19, 0.085)
        lamps.append(_part(front, size, (236, 236, 226), Finish.HEADLIGHT, roughness=0.1, casts_shadow=False))
        lamps.append(_part(rear, size, (150, 16, 18), Finish.TAILLIGHT, roughness=0.2, casts_shadow=False))
    return lamps


def _sedan(colour: Colour) -> list[Part]:
    return [
        _painted((0, 0, 0.53), (2.22, 0.90, 0.23), colour, (0.03, 0.02, 0.03)),
        _painted((0, 0, 0.84), (2.18, 0.87, 0.10), colour, (0.10, 0.07, 0.05)),
        _part((0, 0, 0.30), (2.16, 0.86, 0.08), TRIM),
        _glass((-0.22, 0, 1.17), (1.42, 0.78, 0.24), (0.55, 0.38, 0.22)),
        _painted((-0.30, 0, 1.425), (0.78, 0.61, 0.035), colour, (0.1, 0.1, 0.1)),
        *_wheels((1.38, -1.36), 0.86, 0.33),
        *_lamps(2.22, 0.88, 0.66),
    ]


def _estate(colour: Colour) -> list[Part]:
    return [
        _painted((0, 0, 0.66), (2.25, 0.95, 0.30), colour, (0.03, 0.02, 0.03)),
        _painted((0, 0, 1.02), (2.20, 0.92, 0.10), colour, (0.12, 0.03, 0.05)),
        _part((0, 0, 0.36), (2.18, 0.90, 0.10), TRIM),
        _glass((-0.45, 0, 1.37), (1.66, 0.84, 0.26), (0.42, 0.14, 0.16)),
        _painted((-0.70, 0, 1.66), (1.24, 0.71, 0.045), colour, (0.08, 0.05, 0.1)),
        *_wheels((1.42, -1.40), 0.92, 0.38),
        *_lamps(2.25, 0.93, 0.80),
    ]


def _van(colour: Colour) -> list[Part]:
    return [
        _painted((-0.25, 0, 1.20), (2.35, 0.98, 0.85), colour, (0.12, 0.02, 0.07)),
        _painted((2.2, 0, 0.75), (0.55, 0.96, 0.40), colour, (0.55, 0.0, 0.06)),
        _glass((1.42, 0, 1.50), (0.66, 0.965, 0.30), (0.32, 0.0, 0.03)),
        _glass((-2.585, 0, 1.55), (0.03, 0.72, 0.26)),
        _part((0.05, 0, 0.38), (2.6, 0.92, 0.10), TRIM),
        *_wheels((1.75, -1.65), 0.93, 0.36),
        *_lamps(2.72, 0.94, 0.78),
    ]


def _pickup(colour: Colour) -> list[Part]:
    return [
        _painted((0, 0, 0.74), (2.65, 0.97, 0.30), colour, (0.03, 0.0, 0.02)),
        _painted((1.75, 0, 1.10), (0.88, 0.93, 0.10), colour, (0.14, 0.0, 0.05)),
        _painted((-1.72, 0, 1.12), (0.92, 0.97, 0.10), colour),
        _part((-1.72, 0, 1.21), (0.80, 0.84, 0.02), TRIM, casts_shadow=False),
        _glass((0.15, 0, 1.42), (1.10, 0.88, 0.30), (0.40, 0.12, 0.14)),
        _painted((0.0, 0, 1.75), (0.76, 0.76, 0.04), colour, (0.1, 0.1, 0.1)),
        _part((0, 0, 0.40), (2.5, 0.90, 0.10), TRIM),
        *_wheels((1.72, -1.62), 0.94, 0.42),
        *_lamps(2.65, 0.95, 0.90),
    ]


def _truck(colour: Colour) -> list[Part]:
    return [
        _painted((2.95, 0, 1.45), (0.95, 1.12, 0.95), colour, (0.16, 0.0, 0.05)),
        _glass((3.08, 0, 1.95), (0.84, 1.125, 0.36), (0.14, 0.0, 0.02)),
        _part((-1.05, 0, 2.05), (2.85, 1.22, 1.35), (222, 222, 216), roughness=0.6),
        _part((0, 0, 0.62), (3.7, 0.85, 0.14), TRIM),
        *_wheels((2.85, -2.6), 1.02, 0.48),
        *_lamps(3.88, 1.10, 0.86),
    ]


def _bus(colour: Colour) -> list[Part]:
    return [
        _painted((0, 0, 0.85), (5.4, 1.25, 0.50), colour),
        _glass((0, 0, 1.85), (5.38, 1.23, 0.52), (0.02, 0.0, 0.02)),
        _painted((0, 0, 2.66), (5.4, 1.25, 0.30), colour, (0.03, 0.03, 0.12)),
        _painted((-5.34, 0, 1.85), (0.08, 1.245, 0.52), colour),
        *[_painted((x_m, 0, 1.85), (0.08, 1.245, 0.52), colour) for x_m in (-3.2, -1.0, 1.2, 3.4)],
        *_wheels((3.4, -3.0), 1.16, 0.50),
        *_lamps(5.4, 1.22, 0.72),
    ]


BUILDERS: dict[str, Callable[[Colour], list[Part]]] = {
    "car": _sedan,
    "suv": _estate,
    "van": _van,
    "pickup": _pickup,
    "truck": _truck,
    "bus": _bus,
}
SIZE_M: dict[str, Vector] = {
    "car": (4.5, 1.85, 1.48),
    "suv": (4.55, 1.95, 1.72),
    "van": (5.45, 2.0, 2.08),
    "pickup": (5.35, 2.0, 1.82),
    "truck": (7.85, 2.46, 3.42),
    "bus": (10.85, 2.55, 2.98),
}


def vehicle_parts(kind: str, colour_name: str) -> tuple[Part, ...]:
    """Parts of one vehicle of a kind of `BUILDERS` in a colour of `VEHICLE_COLOURS`."""
    return tuple(BUILDERS[kind](VEHICLE_COLOURS[colour_name]))
