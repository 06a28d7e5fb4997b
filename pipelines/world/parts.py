"""Parts and bodies: the boxes and ellipsoids from which everything that stands or drives in the sample world is built.

A part is a tapered box or an ellipsoid with a material, placed in its body's frame (x forward, y left, z up, metres,
origin on the ground). A body is a rigid group of parts that stands or moves along the street. `stack_parts` turns the
bodies of a scene into flat arrays for the ray caster. Nothing here knows about cameras, light or weather.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

Vector = tuple[float, float, float]

CLASSES = (
    "sky",
    "road",
    "lane marking",
    "sidewalk",
    "terrain",
    "building",
    "vegetation",
    "vehicle",
    "pole",
    "pedestrian",
    "traffic light",
)


class Shape(IntEnum):
    """How a part's unit solid is cut: by three slabs, by the unit sphere, or by six planes (a tapered box)."""

    BOX = 0
    ELLIPSOID = 1
    WEDGE = 2


class Finish(IntEnum):
    """What a part's surface looks like beyond its colour."""

    PLAIN = 0
    FACADE = 1
    FOLIAGE = 2
    ROOF = 3
    GLASS = 4
    PAINT = 5
    HEADLIGHT = 6
    TAILLIGHT = 7
    LAMP = 8
    SIGNAL = 9


@dataclass(frozen=True, kw_only=True)
class Part:
    """One box or ellipsoid in its body's frame; a box with a taper becomes a wedge.

    `taper` narrows a box towards its top: fractions of the half size taken off at the front, at the rear and at both
    sides (1.0 at front and rear makes a ridge, 1.0 at the sides a gable). `bumps` roughens an ellipsoid's outline.
    """

    shape: Shape = Shape.BOX
    centre_m: Vector
    half_m: Vector
    colour: tuple[int, int, int]
    label: str
    finish: Finish = Finish.PLAIN
    taper: Vector = (0.0, 0.0, 0.0)
    roughness: float = 0.85
    metallic: float = 0.0
    bumps: float = 0.0
    casts_shadow: bool = True


@dataclass(frozen=True, kw_only=True)
class Body:
    """A rigid group of parts at a place along the street, possibly moving.

    Position is in street coordinates: `along_m` at time zero and `offset_m` left of the centre line; `heading_rad` is
    relative to the street's direction. The street repeats every `period_m`; a body appears once, in the window that
    begins `behind_m` behind the ego vehicle.
    """

    kind: str
    colour_name: str
    along_m: float
    offset_m: float
    parts: tuple[Part, ...]
    heading_rad: float = 0.0
    speed_mps: float = 0.0
    period_m: float = 640.0
    behind_m: float = 220.0
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class PartArrays:
    """All parts of a scene, one row each (P rows); `body` points into the scene's bodies."""

    body: np.ndarray
    shape: np.ndarray
    centre_m: np.ndarray
    half_m: np.ndarray
    taper: np.ndarray
    colour: np.ndarray
    roughness: np.ndarray
    metallic: np.ndarray
    bumps: np.ndarray
    finish: np.ndarray
    label: np.ndarray
    seed: np.ndarray
    casts_shadow: np.ndarray


def stack_parts(bodies: Sequence[Body]) -> PartArrays:
    """Flatten the parts of all bodies into arrays of P rows (float32, int32, bool)."""
    rows = [(index, body.seed, part) for index, body in enumerate(bodies) for part in body.parts]
    parts = [part for _, _, part in rows]
    return PartArrays(
        body=np.array([index for index, _, _ in rows], np.int32),
        shape=np.array([Shape.WEDGE if any(part.taper) else part.shape for part in parts], np.int32),
        centre_m=np.array([part.centre_m for part in parts], np.float32),
        half_m=np.array([part.half_m for part in parts], np.float32),
        taper=np.array([part.taper for part in parts], np.float32),
        colour=np.array([part.colour for part in parts], np.float32) / 255,
        roughness=np.array([part.roughness for part in parts], np.float32),
        metallic=np.array([part.metallic for part in parts], np.float32),
        bumps=np.array([part.bumps for part in parts], np.float32),
        finish=np.array([part.finish for part in parts], np.int32),
        label=np.array([CLASSES.index(part.label) for part in parts], np.int32),
        seed=np.array([seed for _, seed, _ in rows], np.int32),
        casts_shadow=np.array([part.casts_shadow for part in parts], bool),
    )
