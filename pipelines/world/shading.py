"""Light on surfaces: sun with shadow, sky, street lamps, headlights, wet reflections and the air in between.

Works on flat batches of M points that know their frame. Street lamps and headlights throw no shadows; vehicles darken
the ground beneath them by distance to their outline, which stands in for ambient occlusion in every weather.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from airshower.pipelines.world.light import Light, rgb_column, sky_gradient
from airshower.pipelines.world.posed import PosedScene
from airshower.pipelines.world.street import LAMP_SPACING_M, Street
from airshower.pipelines.world.surface import Surface, to_linear

LAMP_HEIGHT_M = 6.5
NEAR_VEHICLES = 24


@dataclass(frozen=True, kw_only=True)
class Points:
    """Points that rays met: `position`, unit `view` (3, M), `distance_m` from the camera and `frame` (M)."""

    position: Tensor
    view: Tensor
    distance_m: Tensor
    frame: Tensor
    on_ground: Tensor


def shade(
    world: PosedScene, points: Points, surface: Surface, sunlit: Tensor | None, mirrored: Tensor | None
) -> Tensor:
    """Radiance (3, M) that leaves the points towards the camera, seen through the air.

    `sunlit` (M) is 1 where the sun reaches, None without a sun; `mirrored` (3, M) is what wet ground reflects, None to
    reflect the plain sky.
    """
    light, device = world.light, points.position.device
    normal = surface.normal
    albedo = to_linear(surface.base)
    openness = surface.openness.clone()
    ground = points.on_ground.nonzero()[:, 0]
    beams = None
    if len(ground):
        shelter, beams = _vehicles_on_ground(world, points.position[:, ground], points.frame[ground])
        openness[ground] *= shelter
    facing_up = 0.62 + 0.38 * normal[2]
    irradiance = rgb_column(light.ambient, device) * (facing_up * openness)
    if light.sun[0] > 0:
        toward = (normal * rgb_column(light.sun_direction, device)).sum(0).clamp_min(0)
        irradiance = irradiance + rgb_column(light.sun, device) * (toward if sunlit is None else toward * sunlit)
    if light.lamps_on:
        irradiance = irradiance + _lamplight(world.street, points.position, normal) * (1.0 if light.night else 0.3)
        irradiance = irradiance + _ego_headlight(world, points, normal) * (1.0 if light.night else 0.25)
        if beams is not None:
            irradiance[:, ground] += rgb_column((1.5, 1.4, 1.2), device) * beams * (1.0 if light.night else 0.2)
    radiance = albedo * irradiance * (1 - 0.6 * surface.metallic)
    radiance = radiance + _reflection(light, points, surface, openness, sunlit, mirrored) + surface.emission
    return through_air(light, radiance, points.view, points.distance_m)


def through_air(light: Light, radiance: Tensor, view: Tensor, distance_m: Tensor) -> Tensor:
    """Fade radiance (3, M) into the colour of the air over the distance."""
    clear = torch.exp(-distance_m / light.visibility_m)
    level = torch.stack([view[0], view[1], view[2].clamp(0, 0.15)])
    air = sky_gradient(light, torch.nn.functional.normalize(level, dim=0))
    if light.night and light.visibility_m < 300:
        air = air + rgb_column((0.020, 0.014, 0.007), view.device)
    return air + (radiance - air) * clear


def _reflection(
    light: Light, points: Points, surface: Surface, openness: Tensor, sunlit: Tensor | None, mirrored: Tensor | None
) -> Tensor:
    view, normal = points.view, surface.normal
    cosine = -(view * normal).sum(0)
    fresnel = 0.05 + 0.95 * (1 - cosine.clamp(0, 1)).pow(5)
    strength = surface.gloss * fresnel + 0.25 * surface.metallic
    bounced = view + 2 * cosine * normal
    sky = sky_gradient(light, torch.stack([bounced[0], bounced[1], bounced[2].clamp_min(0)]))
    below = (bounced[2] < -0.02).float()
    seen = sky * (1 - 0.75 * below) * openness
    if mirrored is not None:
        seen = torch.where(points.on_ground, mirrored, seen)
    result = seen * strength
    if light.sun[0] > 0:
        glint = (bounced * rgb_column(light.sun_direction, view.device)).sum(0).clamp(0, 1)
        sharp = 8 + 160 * (1 - surface.roughness).square()
        shine = glint.pow(sharp) * (0.06 + 1.2 * surface.gloss) * (1.0 if sunlit is None else sunlit)
        result = result + rgb_column(light.sun, view.device) * shine
    return result


def _lamplight(street: Street, position: Tensor, normal: Tensor) -> Tensor:
    """Irradiance (3, M) from the three nearest street lamps."""
    x, y, z = position
    offset = street.offset_m(x, y)
    cell = (x / LAMP_SPACING_M).floor()
    total = torch.zeros_like(x)
    for step in (-1, 0, 1):
        number = cell + step
        side = 1 - 2 * torch.remainder(number, 2)
        along = (number + 0.5) * LAMP_SPACING_M - x
        across = side * (street.lamp_offset_m - 1.7) - offset
        up = LAMP_HEIGHT_M - z
        distance2 = along * along + across * across + up * up + 0.3
        facing = (normal[0] * along + normal[1] * across + normal[2] * up) * distance2.rsqrt()
        downward = (up * distance2.rsqrt()).clamp(0, 1)
        total = total + (0.25 + 0.75 * facing.clamp_min(0)) * downward * (facing > -0.3) * 17 / distance2
    return rgb_column((1.0, 0.66, 0.34), x.device) * total


def _ego_headlight(world: PosedScene, points: Points, normal: Tensor) -> Tensor:
    """Irradiance (3, M) from the ego vehicle's own low beams."""
    x, y, cos, sin = world.ego[:, points.frame]
    dx, dy = points.position[0] - x, points.position[1] - y
    ahead, aside = cos * dx + sin * dy - 1.9, cos * dy - sin * dx
    up = points.position[2] - 0.7
    distance2 = ahead * ahead + aside * aside + up * up + 1.5
    inverse = distance2.rsqrt()
    cone = torch.exp(-(aside * inverse / 0.34).square() - ((up * inverse - 0.0) / 0.16).square()) * (ahead > 0)
    facing = (
        -(normal[0] * (cos * ahead - sin * aside) + normal[1] * (sin * ahead + cos * aside) + normal[2] * up) * inverse
    )
    strength = 420 * cone * (0.2 + 0.2 * facing.clamp_min(0)) / (distance2 + 35)
    return rgb_column((1.0, 0.94, 0.82), x.device) * strength


def _vehicles_on_ground(world: PosedScene, position: Tensor, frame: Tensor) -> tuple[Tensor, Tensor]:
    """Openness to the sky and headlight strength, each (M), on the ground near vehicles."""
    near = _nearest_vehicles(world, frame)
    x, y, cos, sin = (world.vehicles[k][:, near][frame].T for k in range(4))
    length, width = (world.vehicle_half[k][near][:, None] for k in range(2))
    dx, dy = position[0] - x, position[1] - y
    ahead, aside = cos * dx + sin * dy, cos * dy - sin * dx
    past_end, past_side = ahead.abs() - length + 0.15, aside.abs() - width + 0.15
    away = torch.maximum(past_end.clamp_min(0), past_side.clamp_min(0))
    shelter = 1 - 0.78 * torch.exp(-(away / 0.42).square())
    beam = torch.zeros_like(ahead[0])
    if world.light.lamps_on:
        reach = (ahead - length).clamp_min(0)
        spread = 0.75 + 0.16 * reach
        pool = torch.exp(-(aside / spread).square()) * torch.exp(-reach / 7.5) * (1 - torch.exp(-reach * 0.9))
        beam = (pool * (world.vehicle_speed_mps[near][:, None] > 0)).sum(0)
    return shelter.amin(0), beam


def _nearest_vehicles(world: PosedScene, frame: Tensor) -> Tensor:
    """Rows of the vehicles closest to the camera in the middle of the batch's frames."""
    middle = int(frame[len(frame) // 2])
    away = (world.vehicles[0, middle] - world.origin[0, middle]).abs()
    ahead = (world.vehicles[:2, middle] - world.origin[:2, middle, None]) * world.axes[2, :2, middle, None]
    away = away + 200 * (ahead.sum(0) < -25)
    return away.argsort()[:NEAR_VEHICLES]
