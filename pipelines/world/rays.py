"""Rays against parts: which part does each ray meet first, and is a point in another part's shadow?

Shapes: G frames, P parts, N rays. A batch of parts is posed per frame; rays are three component tensors of shape (G,
N) or broadcastable. Distances are in units of the ray direction, so directions with unit depth give depth directly.
Rays are assumed to start outside every part. Culling is conservative and never changes a result.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from airshower.pipelines.world.parts import PartArrays, Shape

Triple = tuple[Tensor, Tensor, Tensor]
NEAR = 1e-3
FAR = 1e9
MAX_PAIRS = {"cpu": 1 << 15, "cuda": 1 << 27}


@dataclass(frozen=True, kw_only=True)
class PosedParts:
    """Parts in world space over G frames: `centre` (3, G, P), `cos`, `sin` (G, P), the rest (P) or (3, P).

    `index` (P) is each part's row in the scene's part arrays.
    """

    index: Tensor
    centre: Tensor
    cos: Tensor
    sin: Tensor
    half: Tensor
    taper: Tensor
    bumps: Tensor

    def select(self, frames: slice, keep: Tensor) -> "PosedParts":
        """The parts at positions `keep` in some of the frames."""
        return PosedParts(
            index=self.index[keep],
            centre=self.centre[:, frames][:, :, keep],
            cos=self.cos[frames][:, keep],
            sin=self.sin[frames][:, keep],
            half=self.half[:, keep],
            taper=self.taper[:, keep],
            bumps=self.bumps[keep],
        )

    def rows(self, begin: int, end: int) -> "PosedParts":
        """The parts from row `begin` to before `end`, as views."""
        return PosedParts(
            index=self.index[begin:end],
            centre=self.centre[:, :, begin:end],
            cos=self.cos[:, begin:end],
            sin=self.sin[:, begin:end],
            half=self.half[:, begin:end],
            taper=self.taper[:, begin:end],
            bumps=self.bumps[begin:end],
        )

    def reach(self, direction: Tensor) -> Tensor:
        """Half extent (..., G, P) of every part along world directions (..., 3, G or 1, 1)."""
        x, y, z = direction[..., 0, :, :], direction[..., 1, :, :], direction[..., 2, :, :]
        along = (x * self.cos + y * self.sin).abs() * self.half[0]
        across = (y * self.cos - x * self.sin).abs() * self.half[1]
        return along + across + z.abs() * self.half[2]


def pose_parts(parts: PartArrays, x_m: Tensor, y_m: Tensor, heading_rad: Tensor) -> PosedParts:
    """Place all parts by their bodies' poses (G, B); tensors follow the poses' device, float32."""
    device = x_m.device
    body = torch.from_numpy(parts.body).long().to(device)
    local = torch.from_numpy(parts.centre_m.T.copy()).to(device)
    heading = heading_rad[:, body].float()
    cos, sin = heading.cos(), heading.sin()
    x = x_m[:, body].float() + cos * local[0] - sin * local[1]
    y = y_m[:, body].float() + sin * local[0] + cos * local[1]
    return PosedParts(
        index=torch.arange(len(parts.body), device=device),
        centre=torch.stack([x, y, local[2].expand_as(x)]),
        cos=cos,
        sin=sin,
        half=torch.from_numpy(parts.half_m.T.copy()).to(device),
        taper=torch.from_numpy(parts.taper.T.copy()).to(device),
        bumps=torch.from_numpy(parts.bumps).to(device),
    )


def _to_unit(parts: PosedParts, x: Tensor, y: Tensor, z: Tensor) -> Triple:
    """Rotate and scale world vectors (G, P or 1, N) into every part's unit frame (G, P, N)."""
    along, across = parts.half[0][:, None], parts.half[1][:, None]
    cos, sin = parts.cos[:, :, None], parts.sin[:, :, None]
    return (
        x * (cos / along) + y * (sin / along),
        y * (cos / across) - x * (sin / across),
        z / parts.half[2][:, None],
    )


def _meet_boxes(parts: PosedParts, origin: Triple, direction: Triple) -> Tensor:
    """Clip rays in unit frames against three slabs."""
    enter, leave = direction[0].new_full((), -FAR), direction[0].new_full((), FAR)
    for offset, rate in zip(origin, direction, strict=True):
        inverse = rate.reciprocal()
        first, second = (-1 - offset) * inverse, (1 - offset) * inverse
        into, out = torch.minimum(first, second), torch.maximum(first, second)
        enter = torch.maximum(enter, into)
        leave = torch.minimum(leave, out)
    return enter.masked_fill_((enter >= leave) | (enter < NEAR), torch.inf)


def _meet_wedges(parts: PosedParts, origin: Triple, direction: Triple) -> Tensor:
    """Clip rays in unit frames against the six planes of tapered boxes."""
    (ox, oy, oz), (dx, dy, dz) = origin, direction
    front, rear, side = (0.5 * parts.taper[k][:, None] for k in range(3))
    rise, lean = oz + 1, side * dz
    # Every plane as (distance outside it, approach towards it).
    planes = (
        (ox + front * rise - 1, -dx - front * dz),
        (rear * rise - ox - 1, dx - rear * dz),
        (oy + side * rise - 1, -dy - lean),
        (side * rise - oy - 1, dy - lean),
        (oz - 1, -dz),
        (-oz - 1, dz),
    )
    far = direction[0].new_full((), FAR)
    enter, leave = -far, far
    for outside, approach in planes:
        crossing = outside / approach
        # Entering planes bound `enter` only, leaving planes bound `leave` only.
        bound = torch.copysign(far, approach)
        into, out = torch.minimum(crossing, bound), torch.maximum(crossing, bound)
        enter = torch.maximum(enter, into)
        leave = torch.minimum(leave, out)
    return enter.masked_fill_((enter >= leave) | (enter < NEAR), torch.inf)


def _meet_ellipsoids(parts: PosedParts, origin: Triple, direction: Triple) -> Tensor:
    """Meet unit spheres whose radius is roughened by `bumps` at the ray's closest point."""
    (ox, oy, oz), (dx, dy, dz) = origin, direction
    length2 = dx * dx + dy * dy + dz * dz
    closest = -(ox * dx + oy * dy + oz * dz) / length2
    px, py, pz = ox + closest * dx, oy + closest * dy, oz + closest * dz
    radius2 = 1 - (px * px + py * py + pz * pz)
    bumps = parts.bumps[:, None]
    # A GPU computes the waves in less time than it takes to tell whether any are needed.
    if bumps.is_cuda or bool((bumps > 0).any()):
        # Waves at the closest point rather than at the surface keep this one evaluation; the outline is what shows.
        waves = torch.sin(9 * px + 4 * pz) * torch.sin(9 * py + 5 * pz) + torch.sin(19 * pz + 13 * px - 11 * py)
        radius2 = radius2 - bumps * (0.5 + 0.25 * waves)
    distance = closest - (radius2.clamp_min(0) / length2).sqrt()
    return distance.masked_fill_((radius2 <= 0) | (distance < NEAR), torch.inf)


def meet(shape: Shape, parts: PosedParts, origin: Triple, direction: Triple) -> Tensor:
    """Distance (G, P, N) at which every ray meets every part, infinity where it misses."""
    ox, oy, oz = (component[:, None, :] for component in origin)
    centre_x, centre_y, centre_z = (parts.centre[k][:, :, None] for k in range(3))
    from_part = _to_unit(parts, ox - centre_x, oy - centre_y, oz - centre_z)
    along = _to_unit(parts, *(component[:, None, :] for component in direction))
    solvers = {Shape.BOX: _meet_boxes, Shape.WEDGE: _meet_wedges, Shape.ELLIPSOID: _meet_ellipsoids}
    return solvers[shape](parts, from_part, along)


def closest(shape: Shape, parts: PosedParts, origin: Triple, direction: Triple) -> tuple[Tensor, Tensor]:
    """Distance (G, N) to the first of the parts met and its row."""
    distance, row = meet(shape, parts, origin, direction).min(dim=1)
    return distance, row


# One kernel instead of thirty: on a GPU the many small steps would each write all pairs to memory. Compiled when used,
# once per shape and kind of broadcast, which is more often than the compiler's default limit.
_closest_fused = torch.compile(closest, dynamic=True)
_COMPILED_FORMS = 64


def nearest(groups: dict[Shape, PosedParts], origin: Triple, direction: Triple) -> tuple[Tensor, Tensor]:
    """Distance (G, N) to the first part met and its index in the scene's parts, -1 where none is met."""
    frames, rays = torch.broadcast_shapes(direction[0].shape, origin[0].shape)
    distance = direction[0].new_full((frames, rays), torch.inf)
    part = torch.full((frames, rays), -1, dtype=torch.long, device=distance.device)
    # Tensors of about a hundred kilobytes stay in a CPU's cache and in malloc's arena; GPUs want them large.
    search = _closest_fused if distance.is_cuda else closest
    share = max(1, MAX_PAIRS[distance.device.type] // (frames * rays))
    for shape, parts in groups.items():
        for begin in range(0, len(parts.index), share):
            some = parts.rows(begin, begin + share)
            with torch._dynamo.config.patch(recompile_limit=_COMPILED_FORMS):
                met, row = search(shape, some, origin, direction)
            nearer = met < distance
            part = torch.where(nearer, some.index[row], part)
            distance = torch.minimum(distance, met)
    return distance, part


def in_frustum(parts: PosedParts, origin: Tensor, normals: Tensor, depth_axis: Tensor, smallest: float) -> Tensor:
    """Which parts (K, G, P) reach into K picture tiles of every frame.

    `origin` (3, G); `normals` (K, 4, 3, G) point out of the tiles' sides; `depth_axis` (3, G) is the optical axis.
    Parts whose half size over depth is below `smallest` are left out.
    """
    offset = parts.centre - origin[:, :, None]
    depth = (offset * depth_axis[:, :, None]).sum(0)
    radius = parts.half.square().sum(0).sqrt()
    seen = (depth > -radius) & (radius > smallest * depth)
    inside = seen.expand(normals.shape[0], -1, -1)
    for side in range(normals.shape[1]):
        normal = normals[:, side, :, :, None]
        away = (normal * offset).sum(1)
        inside = inside & (away < parts.reach(normal))
    return inside
