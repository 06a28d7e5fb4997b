"""From rays to surfaces: cast a tile's rays, paint what they meet, and follow shadow and mirror rays.

A tile is N rays in each of G frames; results are flat over G*N. Only parts that can reach the tile are considered.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from airshower.pipelines.world.finish import part_point, part_surface
from airshower.pipelines.world.ground import HILLS_M, ground_surface, hills_height, hills_surface
from airshower.pipelines.world.light import rgb_column, sky_radiance
from airshower.pipelines.world.parts import Shape
from airshower.pipelines.world.posed import PosedScene
from airshower.pipelines.world.rays import PosedParts, in_frustum, nearest
from airshower.pipelines.world.shading import Points, through_air
from airshower.pipelines.world.surface import Surface, blank_surface, to_linear

GROUND, HILLS, SKY = -1, -2, -3
SHADOW_REACH_M = 260.0

TileParts = dict[Shape, PosedParts]


@dataclass(frozen=True, kw_only=True)
class Hits:
    """What rays met, flat over G*N: `depth` in ray lengths, `part` (or GROUND, HILLS, SKY) and the rays themselves."""

    depth: Tensor
    part: Tensor
    origin: Tensor
    direction: Tensor
    frame: Tensor

    @property
    def position(self) -> Tensor:
        """World positions (3, M) of the hits; far but finite in the sky."""
        return self.origin + self.direction * self.depth.clamp_max(2 * HILLS_M)


def select_parts(world: PosedScene, frames: slice, keep: Tensor) -> TileParts:
    """The parts to test for a batch, by shape; `keep` is a mask over all parts."""
    return {
        shape: world.parts.select(frames, (keep & mask).nonzero()[:, 0]) for shape, mask in world.shape_rows.items()
    }


def cull_tiles(world: PosedScene, corners: Tensor, frames: slice, smallest: float) -> Tensor:
    """Mask (K, P) of the parts that reach into each of K tiles in any of the frames.

    `corners` (K, 4, 3) are camera-axis directions of the tiles' corners, clockwise from the top left.
    """
    axes, origin = world.axes[:, :, frames], world.origin[:, frames]
    rolled = corners.roll(-1, dims=1)
    normals = torch.nn.functional.normalize(torch.linalg.cross(rolled, corners), dim=-1)
    world_normals = torch.einsum("kec,cif->keif", normals, axes)
    frame_parts = world.parts.select(frames, torch.ones_like(world.casts_shadow))
    return in_frustum(frame_parts, origin, world_normals, axes[2], smallest).any(1)


def cast(world: PosedScene, frames: slice, parts: TileParts, directions: Tensor) -> Hits:
    """Cast camera-axis directions (3, N) with unit depth from the camera in every frame of the batch."""
    axes, origin = world.axes[:, :, frames], world.origin[:, frames]
    rays = torch.einsum("cn,cif->ifn", directions, axes)
    return _follow(world, frames, parts, origin[:, :, None], rays)


def _follow(world: PosedScene, frames: slice, parts: TileParts, origin: Tensor, rays: Tensor) -> Hits:
    """Nearest part, ground, hills or sky along rays (3, G, N) from origins (3, G, 1 or N)."""
    depth, part = nearest(parts, (origin[0], origin[1], origin[2]), (rays[0], rays[1], rays[2]))
    down = -origin[2] / rays[2]
    level = rays[:2].square().sum(0).sqrt()
    meets_ground = (down > 0) & (down * level < HILLS_M)
    nearer = meets_ground & (down < depth)
    part = torch.where(nearer, GROUND, part)
    depth = torch.where(nearer, down, depth)
    ridge = hills_height(world.street, torch.atan2(rays[1], rays[0]).flatten()).view_as(depth)
    behind = (part == -1) & torch.isinf(depth)
    hills = behind & (rays[2] < ridge * level)
    part = torch.where(hills, HILLS, torch.where(behind & ~hills, SKY, part))
    depth = torch.where(hills, HILLS_M / level, depth)
    frame = torch.arange(world.frames, device=depth.device)[frames, None].expand_as(depth)
    return Hits(
        depth=depth.flatten(),
        part=part.flatten(),
        origin=origin.expand_as(rays).flatten(1),
        direction=rays.flatten(1),
        frame=frame.flatten(),
    )


def paint(world: PosedScene, hits: Hits, pixel_angle: float) -> tuple[Points, Surface]:
    """Surfaces at all hits; sky points stay blank with label 0."""
    position, length = hits.position, hits.direction.square().sum(0).sqrt()
    view = hits.direction / length
    distance = hits.depth.clamp_max(2 * HILLS_M) * length
    pixel_m = distance * pixel_angle
    surface = blank_surface(len(hits.depth), position.device)
    ground = (hits.part == GROUND).nonzero()[:, 0]
    if len(ground):
        laid = ground_surface(world.street, world.light, position[:, ground], view[:, ground], pixel_m[ground])
        surface.put(ground, laid)
    hills = (hits.part == HILLS).nonzero()[:, 0]
    if len(hills):
        surface.put(hills, hills_surface(world.light, position[:, hills]))
    solid = (hits.part >= 0).nonzero()[:, 0]
    if len(solid):
        part = hits.part[solid]
        shape = world.look.ellipsoid[part]
        point = part_point(world.parts, hits.frame[solid], part, shape, position[:, solid], pixel_m[solid])
        surface.put(solid, part_surface(world.look, world.light, point, part))
    points = Points(position=position, view=view, distance_m=distance, frame=hits.frame, on_ground=hits.part == GROUND)
    return points, surface


def sun_reaches(world: PosedScene, frames: slice, points: Points, normal: Tensor) -> Tensor:
    """Whether the sun reaches each point, 1.0 or 0.0, flat like the points."""
    count = points.frame.numel()
    parts = world.parts.select(frames, world.casts_shadow.nonzero()[:, 0])
    batch = parts.centre.shape[1]
    toward_sun = (normal * rgb_column(world.light.sun_direction, normal.device)).sum(0) > 0
    wanted = toward_sun & (points.distance_m < SHADOW_REACH_M)
    if not bool(wanted.any()):
        return toward_sun.float()
    sun = rgb_column(world.light.sun_direction, normal.device)[:, :, None]
    kept = _between_sun_and(world, parts, points.position[:, wanted])
    rows = parts.index[kept]
    mask = torch.zeros_like(world.casts_shadow)
    mask[rows] = True
    groups = select_parts(world, frames, mask)
    start = points.position + normal * (0.02 + 2e-4 * points.distance_m)
    start = start.view(3, batch, count // batch)
    distance, _ = nearest(groups, (start[0], start[1], start[2]), (sun[0], sun[1], sun[2]))
    blocked = torch.isfinite(distance).flatten() & wanted
    return (~blocked).float()


def _between_sun_and(world: PosedScene, parts: PosedParts, position: Tensor) -> Tensor:
    """Rows of `parts` whose shadow can fall on any of the positions (3, M)."""
    device = position.device
    sun = torch.tensor(world.light.sun_direction, device=device)
    aside = torch.nn.functional.normalize(torch.stack([-sun[1], sun[0], torch.zeros_like(sun[0])]), dim=0)
    axes = torch.stack([aside, torch.linalg.cross(sun, aside), sun])
    spread = axes @ position
    low, high = spread.amin(1), spread.amax(1)
    keep = torch.ones(parts.centre.shape[1:], dtype=torch.bool, device=device)
    for k in range(3):
        along = torch.einsum("i,igp->gp", axes[k], parts.centre)
        reach = parts.reach(axes[k][:, None, None].expand(3, parts.centre.shape[1], 1))
        keep &= along + reach > low[k]
        if k < 2:
            keep &= along - reach < high[k]
    return keep.any(0).nonzero()[:, 0]


def mirror(world: PosedScene, frames: slice, parts: TileParts, points: Points, surface: Surface) -> Tensor:
    """What level wet ground reflects (3, M): parts in plain ambient light and their lamps, or the sky."""
    device, count = points.position.device, points.frame.numel()
    batch = world.origin[:, frames].shape[1]
    wobble = (torch.sin(points.position[0] * 7.1 + 3 * torch.sin(points.position[1] * 5.3)) * 0.012)[None]
    rays = points.view * torch.tensor([1.0, 1.0, -1.0], device=device)[:, None]
    rays = torch.nn.functional.normalize(rays + wobble, dim=0)
    rays[2] = rays[2].abs().clamp_min(1e-3)
    start = (points.position + torch.tensor([0, 0, 0.02], device=device)[:, None]).view(3, batch, count // batch)
    hits = _follow(world, frames, parts, start, rays.view(3, batch, count // batch))
    seen, painted = paint(world, hits, 0.02)
    light = (
        to_linear(painted.base) * rgb_column(world.light.ambient, device) * painted.openness * 0.7 + painted.emission
    )
    light = through_air(world.light, light, seen.view, seen.distance_m + points.distance_m)
    return torch.where(hits.part == SKY, sky_radiance(world.light, rays), light)
