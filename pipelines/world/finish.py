"""Finishes of parts: façades with windows, foliage, roofs, paint, glass and lamps.

Textures live in each part's own frame, so they travel with it. The point where a ray meets a part is given; light is
not considered beyond whether lamps are on.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from airshower.pipelines.world.light import Light, rgb_column
from airshower.pipelines.world.noise import band, cell_hash, fractal_noise, stripes
from airshower.pipelines.world.parts import Finish, PartArrays, Shape
from airshower.pipelines.world.rays import PosedParts
from airshower.pipelines.world.surface import Surface, mix

FLOOR_M = 3.2


@dataclass(frozen=True, kw_only=True)
class PartLook:
    """Materials of all parts on a device; one row per part, colours (3, P)."""

    colour: Tensor
    roughness: Tensor
    metallic: Tensor
    finish: Tensor
    label: Tensor
    seed: Tensor
    ellipsoid: Tensor
    body: Tensor


def part_look(parts: PartArrays, device: torch.device) -> PartLook:
    """Move the materials of a scene's parts to a device."""
    return PartLook(
        colour=torch.from_numpy(parts.colour.T.copy()).to(device),
        roughness=torch.from_numpy(parts.roughness).to(device),
        metallic=torch.from_numpy(parts.metallic).to(device),
        finish=torch.from_numpy(parts.finish).to(device),
        label=torch.from_numpy(parts.label).to(torch.uint8).to(device),
        seed=torch.from_numpy(parts.seed).to(device),
        ellipsoid=torch.from_numpy(parts.shape == Shape.ELLIPSOID).to(device),
        body=torch.from_numpy(parts.body).to(device),
    )


@dataclass(frozen=True, kw_only=True)
class PartPoint:
    """Where rays met parts, in the parts' own frames: `local` and `unit` (3, M), the face's `axis` normal (3, M)."""

    local: Tensor
    normal: Tensor
    cos: Tensor
    sin: Tensor
    half: Tensor
    pixel_m: Tensor

    def to_world(self, vector: Tensor) -> Tensor:
        """Rotate vectors (3, M) from the parts' frames to the world."""
        x, y, z = vector
        return torch.stack([self.cos * x - self.sin * y, self.sin * x + self.cos * y, z])


def part_point(
    posed: PosedParts, frame: Tensor, part: Tensor, ellipsoid: Tensor, position: Tensor, pixel_m: Tensor
) -> PartPoint:
    """Express world positions (3, M) on parts `part` (M) at frames `frame` (M) in the parts' frames."""
    cos, sin = posed.cos[frame, part], posed.sin[frame, part]
    centre, half, taper = posed.centre[:, frame, part], posed.half[:, part], posed.taper[:, part]
    dx, dy, dz = position - centre
    local = torch.stack([cos * dx + sin * dy, cos * dy - sin * dx, dz])
    unit = local / half
    x, y, z = unit
    front, rear, side = 0.5 * taper
    rise = z + 1
    heights = torch.stack([x + front * rise, rear * rise - x, y + side * rise, side * rise - y, z, -z])
    face = heights.argmax(0)
    one, zero = torch.ones_like(x), torch.zeros_like(x)
    slopes = torch.stack(
        [
            torch.stack([one, -one, zero, zero, zero, zero]),
            torch.stack([zero, zero, one, -one, zero, zero]),
            torch.stack([front, rear, side, side, one, -one]),
        ]
    )
    box_normal = slopes.gather(1, face.expand(3, 1, -1)).squeeze(1)
    normal = torch.where(ellipsoid, unit, box_normal) / half
    return PartPoint(
        local=local,
        normal=torch.nn.functional.normalize(normal, dim=0),
        cos=cos,
        sin=sin,
        half=half,
        pixel_m=pixel_m,
    )


def part_surface(look: PartLook, light: Light, point: PartPoint, part: Tensor) -> Surface:
    """Paint points on parts `part` (M)."""
    base, roughness, metallic = look.colour[:, part], look.roughness[part], look.metallic[part]
    seed, finish, label = look.seed[part], look.finish[part], look.label[part]
    surface = Surface(
        base=base,
        normal=point.normal,
        roughness=roughness,
        metallic=metallic,
        emission=torch.zeros_like(base),
        gloss=0.55 * (finish == Finish.PAINT) + 0.9 * (finish == Finish.GLASS),
        openness=0.72 + 0.28 * (point.local[2] + point.half[2] + 0.2).clamp(0, 1),
        label=label,
    )
    for kind, paint in ((Finish.FACADE, _facade), (Finish.FOLIAGE, _foliage), (Finish.ROOF, _roof)):
        where = (finish == kind).nonzero()[:, 0]
        if len(where):
            surface.put(where, paint(light, _rows(surface, where), _point_rows(point, where), seed[where]))
    surface.emission.copy_(_lamp_light(light, finish, seed) + surface.emission)
    if light.snow > 0:
        flat = ((surface.normal[2] - 0.25) * 2.2).clamp(0, 1) * (label != 0)
        lying = flat * torch.where(finish == Finish.FOLIAGE, 0.75, torch.where(look.metallic[part] > 0.1, 0.55, 0.95))
        surface.base.copy_(mix(surface.base, rgb_column((0.90, 0.92, 0.95), base.device), lying))
        surface.gloss.mul_(1 - lying)
    if light.wetness > 0:
        surface.base.mul_(1 - 0.15 * light.wetness)
        surface.roughness.mul_(0.75)
    surface.normal.copy_(point.to_world(surface.normal))
    return surface


def _rows(surface: Surface, where: Tensor) -> Surface:
    return Surface(**{name: value[..., where] for name, value in vars(surface).items()})


def _point_rows(point: PartPoint, where: Tensor) -> PartPoint:
    return PartPoint(**{name: value[..., where] for name, value in vars(point).items()})


def _facade(light: Light, surface: Surface, point: PartPoint, seed: Tensor) -> Surface:
    x, y, z = point.local
    device = x.device
    on_front = point.normal[1].abs() > point.normal[0].abs()
    across = torch.where(on_front, x, y) + 40.0
    side = (point.normal[0] * 2 + point.normal[1] * 3).round()
    height = z + point.half[2]
    pixel = point.pixel_m.clamp_min(1e-4)
    spacing = 2.3 + 0.45 * (seed % 5)
    column, floor = (across / spacing).floor(), (height / FLOOR_M).floor()
    u, v = across - column * spacing, height - floor * FLOOR_M
    ground_floor = (floor == 0).float()
    tall = (seed % 3 == 0).float()
    low = 0.95 - 0.45 * ground_floor - 0.35 * tall
    inset = (0.24 - 0.10 * ground_floor) * spacing
    window = _between(u, inset, spacing - inset, pixel) * _between(v, low, torch.full_like(v, 2.55), pixel)
    frame_inset = inset - 0.13
    frame = _between(u, frame_inset, spacing - frame_inset, pixel) * _between(
        v, low - 0.13, torch.full_like(v, 2.68), pixel
    )
    bars = band(u - 0.5 * spacing, -0.035, 0.035, pixel)
    bars = torch.maximum(bars, band(v - 1.85, -0.035, 0.035, pixel))
    vertical = point.normal[2].abs() < 0.5
    end = torch.where(on_front, point.half[0], point.half[1])
    inside = (across - 40.0).abs() < end - 0.5
    fits = (floor + 1) * FLOOR_M < 2 * point.half[2] + 0.4
    window, frame = window * vertical * inside * fits, frame * vertical * inside * fits
    grain = fractal_noise(across * 0.8, height * 0.8, 31, octaves=3, footprint=0.8 * pixel)
    course = stripes(height, 0.3, 0.0, 0.16, pixel) * (seed % 2 == 0) * 0.10
    ledge = band(v, 0.0, 0.22, pixel) * (floor > 0) * vertical * 0.14
    wall = surface.base * (1 + 0.16 * grain - course + ledge)
    trim = mix(surface.base, rgb_column((0.93, 0.92, 0.89), device), torch.full_like(x, 0.7))
    chance = cell_hash(column + 17 * side, floor, seed)
    curtain = (chance > 0.7).float() * 0.35
    glass = mix(rgb_column((0.13, 0.17, 0.22), device), rgb_column((0.55, 0.52, 0.46), device), curtain)
    glass = mix(glass, trim, bars * 0.8)
    base = mix(mix(wall, trim, frame), glass, window)
    emission = torch.zeros_like(base)
    if light.lamps_on:
        warmth = cell_hash(column, floor + 9 * side, seed + 3)
        warm, cool = rgb_column((1.0, 0.62, 0.26), device), rgb_column((0.72, 0.85, 1.0), device)
        lit = (chance < torch.where(ground_floor > 0, 0.6, 0.36)) * (0.35 + 0.65 * warmth)
        strength = (0.75 if light.night else 0.45) * (1 - 0.6 * bars) * (1 - 0.5 * curtain)
        emission = mix(warm, cool, (warmth > 0.8).float()) * lit * window * strength
    closeness = 0.7 + 0.3 * (height / 1.6).clamp(0, 1)
    return Surface(
        base=base,
        normal=surface.normal,
        roughness=0.9 - 0.8 * window,
        metallic=surface.metallic,
        emission=emission,
        gloss=0.85 * window * (1 - bars),
        openness=closeness,
        label=surface.label,
    )


def _between(x: Tensor, low: Tensor, high: Tensor, pixel: Tensor) -> Tensor:
    """`band` with limits that differ from point to point."""
    half = 0.5 * pixel
    return ((torch.minimum(x + half, high) - torch.maximum(x - half, low)) / pixel).clamp(0, 1)


def _foliage(light: Light, surface: Surface, point: PartPoint, seed: Tensor) -> Surface:
    x, y, z = point.local
    pixel = point.pixel_m
    around = torch.atan2(y, x) * 2.2
    leaves = fractal_noise(around * 2.2 + 30, z * 3.0, seed, octaves=3, footprint=3.0 * pixel)
    clumps = fractal_noise(x * 1.1 + z, y * 1.1 - z, seed + 5, octaves=2, footprint=1.1 * pixel)
    depth = (1 + 0.55 * leaves + 0.35 * clumps) * (0.74 + 0.30 * z / point.half[2])
    tilt = torch.stack([leaves, clumps, 0.8 * leaves]) * 0.9
    return Surface(
        base=(surface.base * depth).clamp(0.02, 1),
        normal=torch.nn.functional.normalize(surface.normal + tilt, dim=0),
        roughness=surface.roughness,
        metallic=surface.metallic,
        emission=surface.emission,
        gloss=surface.gloss,
        openness=(0.75 + 0.25 * z / point.half[2]).clamp(0.5, 1),
        label=surface.label,
    )


def _roof(light: Light, surface: Surface, point: PartPoint, seed: Tensor) -> Surface:
    x, y, z = point.local
    rows = stripes(z, 0.28, 0.0, 0.3, point.pixel_m)
    grain = fractal_noise(x * 1.4, y * 1.4, seed, octaves=3, footprint=1.4 * point.pixel_m)
    sloped = (point.normal[2].abs() < 0.95).float()
    return Surface(
        base=surface.base * (1 + 0.22 * grain - 0.22 * rows * sloped),
        normal=surface.normal,
        roughness=surface.roughness,
        metallic=surface.metallic,
        emission=surface.emission,
        gloss=surface.gloss,
        openness=surface.openness,
        label=surface.label,
    )


def _lamp_light(light: Light, finish: Tensor, seed: Tensor) -> Tensor:
    """Linear light (3, M) given off by headlights, tail lights, street lamps and signals."""
    device = finish.device
    glow = (finish == Finish.SIGNAL) * rgb_column((0.10, 1.1, 0.45), device)
    if not light.lamps_on:
        return glow
    for kind, colour in (
        (Finish.HEADLIGHT, (7.0, 6.4, 5.2)),
        (Finish.TAILLIGHT, (2.6, 0.10, 0.06)),
        (Finish.LAMP, (8.0, 5.2, 2.4)),
    ):
        glow = glow + (finish == kind) * rgb_column(colour, device)
    return glow
