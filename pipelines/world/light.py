"""Light of a scene: sun or moon, sky, air and ground wetness for every weather and time of day.

Radiance is linear and in arbitrary units in which a white wall in the noon sun reflects about 3. The sky that a
camera sees, the ambient light on surfaces and the environment map all come from the same `Light`, so they agree.
Clouds don't move and cast no shadows.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from airshower.pipelines.world.noise import cell_hash, fractal_noise
from airshower.pipelines.world.scene import Scene

Rgb = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class Light:
    """Everything about the atmosphere that rendering needs; colours are linear RGB."""

    sun_direction: Rgb
    sun: Rgb
    glow: Rgb
    zenith: Rgb
    horizon: Rgb
    ambient: Rgb
    cloud: Rgb
    cloud_cover: float
    visibility_m: float
    exposure: float
    casts_shadows: bool
    lamps_on: bool
    night: bool
    wetness: float
    snow: float
    seed: int


@dataclass(frozen=True, kw_only=True)
class _Air:
    """Daytime sky of one weather."""

    zenith: Rgb
    horizon: Rgb
    ambient: Rgb
    cloud: Rgb
    cloud_cover: float
    visibility_m: float
    wetness: float = 0.0
    snow: float = 0.0


def _air(weather: str) -> _Air:
    if weather == "clear":
        return _Air(
            zenith=(0.13, 0.34, 0.92),
            horizon=(0.62, 0.82, 1.08),
            ambient=(0.60, 0.72, 0.96),
            cloud=(1.25, 1.25, 1.27),
            cloud_cover=0.38,
            visibility_m=900.0,
        )
    if weather == "overcast":
        return _Air(
            zenith=(0.56, 0.60, 0.66),
            horizon=(0.86, 0.88, 0.90),
            ambient=(0.74, 0.77, 0.81),
            cloud=(0.96, 0.97, 0.99),
            cloud_cover=0.75,
            visibility_m=500.0,
        )
    if weather == "rain":
        return _Air(
            zenith=(0.17, 0.23, 0.32),
            horizon=(0.33, 0.42, 0.53),
            ambient=(0.25, 0.33, 0.44),
            cloud=(0.30, 0.35, 0.42),
            cloud_cover=0.8,
            visibility_m=170.0,
            wetness=1.0,
        )
    if weather == "fog":
        return _Air(
            zenith=(1.02, 1.03, 1.03),
            horizon=(1.02, 1.03, 1.03),
            ambient=(0.86, 0.87, 0.87),
            cloud=(1.02, 1.03, 1.03),
            cloud_cover=0.0,
            visibility_m=26.0,
        )
    return _Air(
        zenith=(0.68, 0.80, 1.00),
        horizon=(0.90, 1.02, 1.20),
        ambient=(0.90, 1.02, 1.22),
        cloud=(0.86, 0.96, 1.12),
        cloud_cover=0.5,
        visibility_m=120.0,
        snow=1.0,
    )


def _times(colour: Rgb, tint: Rgb) -> Rgb:
    return (colour[0] * tint[0], colour[1] * tint[1], colour[2] * tint[2])


def _direction(azimuth_rad: float, elevation_deg: float) -> Rgb:
    up = math.radians(elevation_deg)
    return (math.cos(up) * math.cos(azimuth_rad), math.cos(up) * math.sin(azimuth_rad), math.sin(up))


def scene_light(scene: Scene) -> Light:
    """The light of a scene's weather and time of day, with the sun placed by its seed."""
    rng = np.random.default_rng([scene.seed, 2])
    side = float(rng.choice((-1, 1)))
    azimuth = side * rng.uniform(0.25 * math.pi, 0.85 * math.pi)
    low_azimuth = side * rng.uniform(0.04 * math.pi, 0.3 * math.pi)
    noon_deg, dusk_deg, moon_deg = rng.uniform(35, 60), rng.uniform(7, 13), rng.uniform(16, 28)
    air, clear = _air(scene.weather), scene.weather == "clear"
    weather: dict[str, Any] = {
        "cloud_cover": air.cloud_cover,
        "visibility_m": air.visibility_m,
        "wetness": air.wetness,
        "snow": air.snow,
        "seed": scene.street.seed,
    }
    if scene.time_of_day == "day":
        return Light(
            sun_direction=_direction(azimuth, noon_deg),
            sun=(2.75, 2.6, 2.3) if clear else (0.0, 0.0, 0.0),
            glow=(1.0, 0.95, 0.85) if clear else (0.08, 0.08, 0.08),
            zenith=air.zenith,
            horizon=air.horizon,
            ambient=air.ambient,
            cloud=air.cloud,
            exposure=0.70,
            casts_shadows=clear,
            lamps_on=False,
            night=False,
            **weather,
        )
    if scene.time_of_day == "sunset":
        tint = (1.0, 0.50, 0.32) if clear else (0.92, 0.56, 0.44)
        return Light(
            sun_direction=_direction(low_azimuth, dusk_deg),
            sun=(4.2, 1.75, 0.48) if clear else (0.0, 0.0, 0.0),
            glow=(2.6, 0.95, 0.22) if clear else (0.5, 0.18, 0.05),
            zenith=(0.20, 0.20, 0.40) if clear else _times(air.zenith, (0.62, 0.44, 0.5)),
            horizon=(1.4, 0.58, 0.20) if clear else _times(air.horizon, tint),
            ambient=(0.56, 0.37, 0.34) if clear else _times(air.ambient, (0.72, 0.48, 0.42)),
            cloud=(1.3, 0.55, 0.36) if clear else _times(air.cloud, tint),
            exposure=0.68,
            casts_shadows=clear,
            lamps_on=scene.weather != "clear",
            night=False,
            **weather,
        )
    tint = (0.026, 0.034, 0.058)
    return Light(
        sun_direction=_direction(low_azimuth, moon_deg),
        sun=(0.03, 0.042, 0.075) if clear else (0.0, 0.0, 0.0),
        glow=(0.05, 0.06, 0.09) if clear else (0.0, 0.0, 0.0),
        zenith=(0.004, 0.007, 0.022) if clear else _times(air.zenith, tint),
        horizon=(0.020, 0.028, 0.060) if clear else _times(air.horizon, tint),
        ambient=_times(air.ambient, (0.060, 0.076, 0.125)),
        cloud=(0.03, 0.036, 0.06) if clear else _times(air.cloud, tint),
        exposure=1.15,
        casts_shadows=False,
        lamps_on=True,
        night=True,
        **weather,
    )


def rgb_column(colour: Rgb, device: torch.device) -> Tensor:
    """A colour as a (3, 1) tensor."""
    return torch.tensor(colour, dtype=torch.float32, device=device)[:, None]


def sky_gradient(light: Light, direction: Tensor) -> Tensor:
    """Radiance (3, N) of the sky in unit world directions (3, N) without clouds, stars or the sun's disc."""
    device = direction.device
    low = (1 - direction[2].clamp_min(0)).pow(4.5)
    zenith, horizon = rgb_column(light.zenith, device), rgb_column(light.horizon, device)
    toward_sun = (direction * rgb_column(light.sun_direction, device)).sum(0).clamp(0, 1)
    halo = 0.35 * toward_sun.pow(5) * low + 0.3 * toward_sun.pow(40) + 0.6 * toward_sun.pow(600)
    return zenith + (horizon - zenith) * low + rgb_column(light.glow, device) * halo


def sky_radiance(light: Light, direction: Tensor) -> Tensor:
    """Radiance (3, N) of the sky in unit world directions (3, N); the horizon's colour below it."""
    device = direction.device
    sky = sky_gradient(light, direction)
    toward_sun = (direction * rgb_column(light.sun_direction, device)).sum(0).clamp(0, 1)
    if light.cloud_cover > 0:
        sky = _with_clouds(light, direction, sky, toward_sun)
    if light.night and light.sun[0] > 0:
        sky = sky + _stars(direction)
    disc_cos = math.cos(math.radians(1.1 if light.night else 1.3))
    disc = ((toward_sun - disc_cos) / (1 - disc_cos) * 4).clamp(0, 1)
    return sky + disc * rgb_column(light.sun, device) * (22.0 if light.night else 9.0)


def _with_clouds(light: Light, direction: Tensor, sky: Tensor, toward_sun: Tensor) -> Tensor:
    device = direction.device
    up = direction[2].clamp_min(0)
    flat = 1.6 / (up + 0.09)
    x, y = direction[0] * flat, direction[1] * flat
    shape = fractal_noise(x * 0.6, y, light.seed, octaves=5, footprint=0.02 * flat)
    edge = 0.30 - 0.75 * light.cloud_cover
    thick = ((shape - edge) * 2.2).clamp(0, 1) * (up * 14).clamp(0, 1)
    lit = rgb_column(light.cloud, device) * (1.05 - 0.3 * ((shape - edge) * 1.2).clamp(0, 1) + 0.25 * toward_sun.pow(8))
    return sky + (lit - sky) * thick * 0.9


def _stars(direction: Tensor) -> Tensor:
    azimuth, height = torch.atan2(direction[1], direction[0]) * 38, torch.asin(direction[2].clamp(-1, 1)) * 38
    column, row = azimuth.floor(), height.floor()
    seen = cell_hash(column, row, 5) > 0.86
    away = (azimuth - column - 0.3 - 0.4 * cell_hash(column, row, 6)).square()
    away = away + (height - row - 0.3 - 0.4 * cell_hash(column, row, 7)).square()
    return 0.22 * seen * torch.exp(-away * 160) * (direction[2] * 6).clamp(0, 1) * cell_hash(column, row, 8)


def environment_light(scene: Scene, *, height: int = 128, width: int = 256) -> Tensor:
    """Linear HDR latitude-longitude map (height, width, 3), float32, of the scene's sky, sun and mean ground.

    Row 0 looks straight up; the middle column looks along the street (+x) and columns to its left look left (+y).
    """
    light = scene_light(scene)
    elevation = (0.5 - (torch.arange(height) + 0.5) / height) * math.pi
    azimuth = (0.5 - (torch.arange(width) + 0.5) / width) * 2 * math.pi
    up, around = torch.meshgrid(elevation, azimuth, indexing="ij")
    direction = torch.stack([up.cos() * around.cos(), up.cos() * around.sin(), up.sin()]).reshape(3, -1)
    albedo = 0.18 + 0.6 * light.snow
    ground_sun = max(light.sun_direction[2], 0.0)
    ground = albedo * (
        rgb_column(light.ambient, direction.device) + ground_sun * rgb_column(light.sun, direction.device)
    )
    radiance = torch.where(direction[2] >= 0, sky_radiance(light, direction), ground)
    return radiance.T.reshape(height, width, 3).contiguous()
