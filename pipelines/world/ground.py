"""The ground: asphalt, markings, crossings, side walks, verges and far hills, painted in world coordinates.

Everything is a function of the place on the plane z = 0 and the pixel's footprint there; markings are box-filtered by
the footprint, so they neither shimmer nor vanish. Snow and rain change the paint, not the shape.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from airshower.pipelines.world.light import Light, rgb_column
from airshower.pipelines.world.noise import band, fractal_noise, stripes, value_noise
from airshower.pipelines.world.parts import CLASSES
from airshower.pipelines.world.street import Street
from airshower.pipelines.world.surface import Surface, mix

HILLS_M = 900.0
ROAD, MARKING, SIDEWALK, TERRAIN = (CLASSES.index(name) for name in ("road", "lane marking", "sidewalk", "terrain"))
CROSSWALK_M = (1.3, 4.3)
STOP_LINE_M = (5.3, 5.8)


@dataclass(frozen=True, kw_only=True)
class GroundPoint:
    """Points on the ground in street coordinates with the pixel's footprint along each axis, in metres; all (M)."""

    x: Tensor
    y: Tensor
    offset: Tensor
    from_crossing: Tensor
    wide_along: Tensor
    wide_across: Tensor

    @property
    def footprint(self) -> Tensor:
        """The larger of both footprints."""
        return torch.maximum(self.wide_along, self.wide_across)


def ground_points(street: Street, position: Tensor, view: Tensor, pixel_m: Tensor) -> GroundPoint:
    """Describe ground positions (3, M) seen along unit directions (3, M) by pixels `pixel_m` (M) wide."""
    x, y = position[0], position[1]
    level = view[:2].square().sum(0).sqrt().clamp_min(1e-3)
    stretched = pixel_m / view[2].abs().clamp_min(5e-3)
    slope = street.slope(x)
    straight = torch.rsqrt(1 + slope * slope)
    along = ((view[0] + slope * view[1]) * straight / level).abs()
    across = ((view[1] - slope * view[0]) * straight / level).abs()
    return GroundPoint(
        x=x,
        y=y,
        offset=(y - street.centre_y_m(x)) * straight,
        from_crossing=street.from_crossing_m(x),
        wide_along=pixel_m * across + stretched * along,
        wide_across=pixel_m * along + stretched * across,
    )


def _outside_road_m(street: Street, point: GroundPoint) -> Tensor:
    """Distance to the road's edge, negative on the road, with rounded corners at crossings."""
    main = point.offset.abs() - street.half_width_m
    cross = point.from_crossing.abs() - street.crossing_half_width_m
    blend = ((4.0 - (main - cross).abs()) / 4.0).clamp_min(0)
    return torch.minimum(main, cross) - blend * blend


def _lane_lines(street: Street, point: GroundPoint) -> tuple[Tensor, Tensor]:
    """Coverage by white and by yellow paint along the street."""
    wide, offset = point.wide_across, point.offset
    dash = stripes(point.x, 8.0, 0.0, 0.45, point.wide_along)
    white = torch.zeros_like(offset)
    for lane in range(1, street.lanes_per_direction):
        for side in (-1, 1):
            line = offset - side * lane * street.lane_width_m
            white = torch.maximum(white, band(line, -0.08, 0.08, wide) * dash)
    edge = offset.abs() - (street.lanes_per_direction * street.lane_width_m - 0.05)
    white = torch.maximum(white, band(edge, -0.07, 0.07, wide))
    if street.yellow_centre:
        yellow = band(offset.abs(), 0.08, 0.2, wide)
    else:
        white, yellow = torch.maximum(white, band(offset, -0.08, 0.08, wide) * dash), torch.zeros_like(offset)
    clear = band(point.from_crossing.abs() - street.crossing_half_width_m, STOP_LINE_M[1], 1e4, point.wide_along)
    return white * clear, yellow * clear


def _crossing_paint(street: Street, point: GroundPoint) -> Tensor:
    """Coverage by zebra stripes and stop lines, on both roads."""
    away = point.from_crossing.abs() - street.crossing_half_width_m
    on_road = band(point.offset.abs(), -1.0, street.half_width_m - 0.35, point.wide_across)
    zebra = band(away, *CROSSWALK_M, point.wide_along) * stripes(point.offset + 50.25, 1.0, 0.0, 0.5, point.wide_across)
    approaching = (point.offset * point.from_crossing > 0) & (point.offset.abs() > 0.25)
    stop = band(away, *STOP_LINE_M, point.wide_along) * approaching
    side = point.offset.abs() - street.half_width_m
    side_dash = band(point.from_crossing, -0.08, 0.08, point.wide_along) * stripes(
        point.offset, 6.0, 0.0, 0.5, point.wide_across
    )
    return torch.maximum(torch.maximum(zebra, stop) * on_road, side_dash * (side > 5))


def _asphalt(street: Street, point: GroundPoint) -> Tensor:
    fine = fractal_noise(point.x * 6.3, point.y * 6.3, street.seed, octaves=3, footprint=6.3 * point.footprint)
    patches = fractal_noise(
        point.x * 0.09, point.offset * 0.35, street.seed + 3, octaves=2, footprint=0.35 * point.footprint
    )
    lane = torch.remainder(point.offset / street.lane_width_m, 1.0)
    tracks = torch.exp(-((lane - 0.27) * 9).square()) + torch.exp(-((lane - 0.73) * 9).square())
    grey = 0.37 + 0.07 * fine + 0.03 * patches - 0.02 * tracks
    seam = band(
        torch.remainder(point.x + 2.5 * value_noise(point.offset * 0.8, point.x * 0.02, 9), 37.0),
        0.0,
        0.07,
        point.wide_along,
    )
    grey = grey * (1 - 0.35 * seam)
    return torch.stack([grey, grey * 1.005, grey * 1.03])


def _paving(street: Street, point: GroundPoint, outside: Tensor) -> Tensor:
    joints = torch.maximum(
        stripes(point.x, 1.2, 0.0, 0.035, point.wide_along), stripes(point.offset, 1.2, 0.0, 0.035, point.wide_across)
    )
    tone = 0.60 + 0.07 * fractal_noise(point.x * 1.7, point.y * 1.7, 11, octaves=3, footprint=1.7 * point.footprint)
    tone = tone * (1 - 0.3 * joints)
    kerb = band(outside, 0.0, 0.22, point.footprint)
    tone = tone + (0.74 - tone) * kerb
    gutter = band(outside, -0.1, 0.02, point.footprint)
    return torch.stack([tone, tone * 0.985, tone * 0.95]) * (1 - 0.4 * gutter)


def _grass(street: Street, point: GroundPoint) -> Tensor:
    device = point.x.device
    blades = fractal_noise(point.x * 2.3, point.y * 2.3, street.seed + 7, octaves=4, footprint=2.3 * point.footprint)
    meadow = fractal_noise(point.x * 0.05, point.y * 0.05, street.seed + 8, octaves=3, footprint=0.05 * point.footprint)
    lush, dry = rgb_column((0.27, 0.41, 0.15), device), rgb_column((0.47, 0.47, 0.24), device)
    return mix(lush, dry, (0.45 + 0.8 * meadow).clamp(0, 1)) * (1 + 0.32 * blades)


def ground_surface(street: Street, light: Light, position: Tensor, view: Tensor, pixel_m: Tensor) -> Surface:
    """Paint ground positions (3, M) seen along unit directions `view` by pixels `pixel_m` wide."""
    point = ground_points(street, position, view, pixel_m)
    device = position.device
    outside = _outside_road_m(street, point)
    on_road = band(outside, -1e4, 0.0, point.footprint)
    on_walk = band(outside, -1e4, street.sidewalk_m, point.footprint)
    white, yellow = _lane_lines(street, point)
    white = torch.maximum(white, _crossing_paint(street, point))
    worn = 0.9 + 0.35 * fractal_noise(point.x * 2, point.y * 2, 21, octaves=2, footprint=2 * point.footprint)
    white, yellow = white * on_road * worn.clamp(0.5, 1), yellow * on_road * worn.clamp(0.5, 1)
    road = mix(_asphalt(street, point), rgb_column((0.86, 0.86, 0.84), device), white)
    road = mix(road, rgb_column((0.86, 0.66, 0.16), device), yellow)
    base = mix(_grass(street, point), _paving(street, point, outside), on_walk)
    base = mix(base, road, on_road)
    label = torch.where(outside < 0, ROAD, torch.where(outside < street.sidewalk_m, SIDEWALK, TERRAIN))
    label = torch.where((white + yellow > 0.5) & (outside < 0), MARKING, label)
    roughness = 0.92 - 0.12 * on_road - 0.2 * (white + yellow)
    gloss = torch.zeros_like(roughness)
    if light.wetness > 0:
        puddles = fractal_noise(
            point.x * 0.16, point.y * 0.3, street.seed + 12, octaves=3, footprint=0.3 * point.footprint
        )
        puddle = ((puddles + 0.12) * 4).clamp(0, 1) * on_walk
        base = base * (1 - light.wetness * (0.28 + 0.12 * puddle))
        roughness = roughness * (0.45 - 0.37 * puddle)
        gloss = light.wetness * on_walk * (0.35 + 0.65 * puddle)
    if light.snow > 0:
        base, cover = _snowed(street, point, base, on_road)
        roughness = roughness + (0.95 - roughness) * cover
    normal = torch.zeros_like(position)
    normal[2] = 1
    return Surface(
        base=base,
        normal=normal,
        roughness=roughness,
        metallic=torch.zeros_like(roughness),
        emission=torch.zeros_like(position),
        gloss=gloss,
        openness=torch.ones_like(roughness),
        label=label.to(torch.uint8),
    )


def _snowed(street: Street, point: GroundPoint, base: Tensor, on_road: Tensor) -> tuple[Tensor, Tensor]:
    """Lay snow over the ground: thick off the road, slush between the wheel tracks on it."""
    drift = fractal_noise(point.x * 0.7, point.y * 0.7, street.seed + 15, octaves=4, footprint=0.7 * point.footprint)
    lane = torch.remainder(point.offset / street.lane_width_m, 1.0)
    tracks = torch.exp(-((lane - 0.27) * 7).square()) + torch.exp(-((lane - 0.73) * 7).square())
    tracks = tracks * (point.offset.abs() < street.lanes_per_direction * street.lane_width_m)
    slush = (0.66 + 0.55 * drift - 0.42 * tracks).clamp(0.1, 0.94)
    cover = on_road * slush + (1 - on_road) * (0.93 + 0.2 * drift).clamp(0.7, 0.98)
    tone = 0.90 + 0.07 * drift
    return mix(base, torch.stack([tone * 0.97, tone * 0.985, tone * 1.0]), cover), cover


def hills_height(street: Street, azimuth: Tensor) -> Tensor:
    """Tangent of the elevation (M) of the far hills at a world azimuth in radians."""
    wave = value_noise(azimuth * 3.0 + 40, torch.zeros_like(azimuth), street.seed)
    wave = wave + 0.45 * value_noise(azimuth * 9.0 + 90, torch.zeros_like(azimuth), street.seed + 1)
    return 0.004 + 0.042 * wave * wave


def hills_surface(light: Light, position: Tensor) -> Surface:
    """Paint the far hills at positions (3, M): woods, or snow on them."""
    device = position.device
    tone = fractal_noise(
        position[0] * 0.02 + position[1] * 0.013,
        position[2] * 0.06,
        4,
        octaves=3,
        footprint=torch.zeros(1, device=device),
    )
    base = mix(
        rgb_column((0.24, 0.33, 0.20), device),
        rgb_column((0.9, 0.92, 0.95), device),
        torch.full_like(tone, 0.8 * light.snow),
    )
    normal = torch.nn.functional.normalize(
        torch.stack([-position[0], -position[1], torch.full_like(tone, 500.0)]), dim=0
    )
    flat = torch.zeros_like(tone)
    return Surface(
        base=base * (1 + 0.4 * tone),
        normal=normal,
        roughness=flat + 0.95,
        metallic=flat,
        emission=torch.zeros_like(position),
        gloss=flat,
        openness=flat + 1,
        label=torch.full_like(tone, TERRAIN, dtype=torch.uint8),
    )
