"""A scene: one street with everything on it, its weather and its time of day, drawn from a seed.

The layout (street, bodies, colours, ego motion) and the atmosphere (weather, time of day) come from separate random
streams, so forcing a weather re-renders the very same street. Motion is a function of time in seconds, so a scene has
no length and no frame rate. Assumes right-hand traffic; vehicles keep their lane and never interact.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from airshower.pipelines.world import roadside
from airshower.pipelines.world.palette import VEHICLE_COLOURS
from airshower.pipelines.world.parts import Body, PartArrays, stack_parts
from airshower.pipelines.world.street import PERIOD_M, Street
from airshower.pipelines.world.vehicles import SIZE_M, vehicle_parts

WEATHERS = ("clear", "overcast", "rain", "fog", "snow")
TIMES_OF_DAY = ("day", "sunset", "night")
TRAFFIC_PERIOD_M = 400.0
VEHICLE_ODDS = {"car": 0.42, "suv": 0.24, "van": 0.12, "pickup": 0.1, "truck": 0.07, "bus": 0.05}
COLOUR_ODDS = (0.17, 0.15, 0.17, 0.12, 0.13, 0.1, 0.08, 0.08)


@dataclass(frozen=True, kw_only=True)
class EgoMotion:
    """The ego vehicle's way along its lane: constant speed with a slow sway."""

    along_m: float
    speed_mps: float
    offset_m: float
    sway_m: float
    sway_rad_per_s: float
    sway_phase_rad: float

    def along(self, time_s: Tensor) -> Tensor:
        """Distance along the street at the given times, in metres."""
        return self.along_m + self.speed_mps * time_s

    def offset(self, time_s: Tensor) -> Tensor:
        """Offset from the centre line at the given times, in metres."""
        return self.offset_m + self.sway_m * torch.sin(self.sway_rad_per_s * time_s + self.sway_phase_rad)

    def yaw_rad(self, time_s: Tensor) -> Tensor:
        """Heading relative to the street that goes with the sway, in radians."""
        rate = self.sway_rad_per_s
        lateral_mps = self.sway_m * rate * torch.cos(rate * time_s + self.sway_phase_rad)
        return lateral_mps / self.speed_mps


@dataclass(frozen=True, kw_only=True)
class Poses:
    """World poses: x, y in metres and heading in radians, float64, leading axis time."""

    x_m: Tensor
    y_m: Tensor
    heading_rad: Tensor


@dataclass(frozen=True, kw_only=True)
class Scene:
    """One street with its bodies, ego motion and atmosphere."""

    seed: int
    weather: str
    time_of_day: str
    street: Street
    bodies: tuple[Body, ...]
    parts: PartArrays
    ego: EgoMotion

    @property
    def vehicles(self) -> tuple[Body, ...]:
        """The moving and parked vehicles among the bodies."""
        return tuple(body for body in self.bodies if body.kind in SIZE_M)

    def ego_poses(self, time_s: Tensor) -> Poses:
        """Poses (F) of the ego vehicle at times (F) in seconds."""
        x_m, y_m, heading = self.street.place(self.ego.along(time_s), self.ego.offset(time_s))
        return Poses(x_m=x_m, y_m=y_m, heading_rad=heading + self.ego.yaw_rad(time_s))

    def body_poses(self, time_s: Tensor) -> Poses:
        """Poses (F, B) of all bodies at times (F) in seconds, each in its window around the ego vehicle."""

        def column(name: str) -> Tensor:
            return torch.tensor([getattr(body, name) for body in self.bodies], dtype=torch.float64)

        begin = self.ego.along(time_s)[:, None] - column("behind_m")
        along = column("along_m") + column("speed_mps") * time_s[:, None]
        along = begin + torch.remainder(along - begin, column("period_m"))
        x_m, y_m, heading = self.street.place(along, column("offset_m").expand_as(along))
        return Poses(x_m=x_m, y_m=y_m, heading_rad=heading + column("heading_rad"))


def _street(rng: np.random.Generator) -> Street:
    style = str(rng.choice(("city", "suburb", "park"), p=(0.5, 0.3, 0.2)))
    bends = tuple((rng.uniform(1, 7), wavelength, rng.uniform(0, 2 * math.pi)) for wavelength in (640.0, 320.0))
    return Street(
        style=style,
        lanes_per_direction=int(rng.choice((1, 2), p=(0.5, 0.5))),
        lane_width_m=float(rng.uniform(3.2, 3.7)),
        shoulder_m=float(rng.choice((0.6, 2.4))),
        sidewalk_m=float(rng.uniform(2.6, 4.2)),
        crossing_spacing_m=float(rng.choice((160.0, 320.0))),
        crossing_half_width_m=float(rng.uniform(3.5, 5.0)),
        yellow_centre=bool(rng.random() < 0.5),
        bends=bends,
        seed=int(rng.integers(1 << 16)),
    )


def _vehicle(rng: np.random.Generator, along_m: float, offset_m: float, motion: dict[str, float]) -> Body:
    kind = str(rng.choice(list(VEHICLE_ODDS), p=list(VEHICLE_ODDS.values())))
    colour = str(rng.choice(list(VEHICLE_COLOURS), p=COLOUR_ODDS))
    return Body(
        kind=kind,
        colour_name=colour,
        along_m=along_m,
        offset_m=offset_m,
        parts=vehicle_parts(kind, colour),
        **motion,  # type: ignore[arg-type]
    )


def _lane_traffic(rng: np.random.Generator, ego: EgoMotion, offset_m: float, speed_mps: float) -> list[Body]:
    """Vehicles of one lane, all at one speed, none on top of the ego vehicle."""
    bodies = []
    oncoming = speed_mps < 0
    own_lane = abs(offset_m - ego.offset_m) < 0.5
    along = ego.along_m + (rng.uniform(11, 26) if own_lane else rng.uniform(4, 24))
    end = ego.along_m + TRAFFIC_PERIOD_M - 14
    while along < end:
        drive = {"speed_mps": speed_mps, "heading_rad": math.pi if oncoming else 0.0}
        window = {"period_m": TRAFFIC_PERIOD_M, "behind_m": 120.0}
        bodies.append(_vehicle(rng, along, offset_m + rng.normal(0, 0.12), drive | window))
        along += rng.uniform(15, 52)
    return bodies


def _parked(rng: np.random.Generator, street: Street, side: int) -> list[Body]:
    bodies = []
    along = rng.uniform(0, 8)
    while along < PERIOD_M - 8:
        half = street.crossing_spacing_m / 2
        away = abs((along + half) % street.crossing_spacing_m - half)
        body = _vehicle(rng, along, side * (street.half_width_m - 1.1), {"heading_rad": 0.0 if side < 0 else math.pi})
        if away > street.crossing_half_width_m + 11 and body.kind not in ("truck", "bus"):
            bodies.append(body)
        along += rng.choice((6.5, 7.5, 14.0, 26.0))
    return bodies


def _traffic(rng: np.random.Generator, street: Street, ego: EgoMotion) -> list[Body]:
    bodies: list[Body] = []
    for lane in range(street.lanes_per_direction):
        offset = street.lane_offset_m(lane)
        own = abs(offset - ego.offset_m) < 0.5
        speed = ego.speed_mps if own else ego.speed_mps + rng.uniform(-2.5, 2.5)
        bodies += _lane_traffic(rng, ego, offset, speed)
        bodies += _lane_traffic(rng, ego, street.lane_offset_m(lane, oncoming=True), -rng.uniform(8, 13))
    if street.shoulder_m > 2:
        bodies += _parked(rng, street, 1) + _parked(rng, street, -1)
    return bodies


def _ego(rng: np.random.Generator, street: Street) -> EgoMotion:
    return EgoMotion(
        along_m=float(rng.uniform(0, 320)),
        speed_mps=float(rng.uniform(7, 13)),
        offset_m=street.lane_offset_m(int(rng.integers(street.lanes_per_direction))),
        sway_m=float(rng.uniform(0.05, 0.2)),
        sway_rad_per_s=float(rng.uniform(0.3, 0.7)),
        sway_phase_rad=float(rng.uniform(0, 2 * math.pi)),
    )


def sample_scene(seed: int, *, weather: str | None = None, time_of_day: str | None = None) -> Scene:
    """Draw a scene; forcing weather or time of day leaves layout, vehicles and colours as they are.

    Raises ValueError for an unknown weather or time of day.
    """
    if weather is not None and weather not in WEATHERS:
        raise ValueError(f"weather {weather!r} is unknown: choose one of {', '.join(WEATHERS)}")
    if time_of_day is not None and time_of_day not in TIMES_OF_DAY:
        raise ValueError(f"time of day {time_of_day!r} is unknown: choose one of {', '.join(TIMES_OF_DAY)}")
    layout, atmosphere = np.random.default_rng([seed, 0]), np.random.default_rng([seed, 1])
    drawn_weather, drawn_time = str(atmosphere.choice(WEATHERS)), str(atmosphere.choice(TIMES_OF_DAY))
    street = _street(layout)
    ego = _ego(layout, street)
    bodies = tuple(
        [
            *roadside.buildings(street, layout),
            *roadside.trees(street, layout),
            *roadside.lamp_posts(street),
            *(roadside.traffic_lights(street) if street.style == "city" else []),
            *roadside.pedestrians(street, layout),
            *_traffic(layout, street, ego),
        ]
    )
    return Scene(
        seed=seed,
        weather=weather or drawn_weather,
        time_of_day=time_of_day or drawn_time,
        street=street,
        bodies=bodies,
        parts=stack_parts(bodies),
        ego=ego,
    )
