"""Render a scene through a camera: antialiased RGB with exact ground truth for every pixel centre.

Picture tiles of a few frames are cast as one batch of rays against the parts that can reach them, which bounds memory
on any device. RGB averages `supersample` squared rays per pixel; the buffers hold what the ray through the pixel's
centre meets. No gradients are kept.
"""

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from airshower.pipelines.world.camera import Camera
from airshower.pipelines.world.film import BRIGHTEST, develop
from airshower.pipelines.world.light import sky_radiance
from airshower.pipelines.world.posed import PosedScene, frame_times_s, pose_scene
from airshower.pipelines.world.scene import Scene
from airshower.pipelines.world.shading import shade
from airshower.pipelines.world.tracing import SKY, TileParts, cast, cull_tiles, mirror, paint, select_parts, sun_reaches

SMALLEST_PX = 0.3
MAX_RAYS = {"cpu": 1 << 13, "cuda": 1 << 20}
# Tiles along each side at least: small tiles save a CPU tests against parts; a GPU would rather have few large batches.
FEWEST_TILES = {"cpu": 2, "cuda": 1}


@dataclass(frozen=True, kw_only=True)
class Render:
    """Tensors of one clip, F frames of H x W pixels, on the device that rendered them.

    `depth_m` is measured along the optical axis and infinite in the sky. `normal` is in camera axes x right, y up, z
    towards the camera (a wall facing the camera has z = 1) and zero in the sky. `segmentation` holds indices of
    `parts.CLASSES`; `instance` is 0 except on bodies, which count from 1.
    """

    rgb: Tensor
    depth_m: Tensor
    segmentation: Tensor
    instance: Tensor
    normal: Tensor
    base_colour: Tensor
    roughness: Tensor
    metallic: Tensor


@dataclass(frozen=True, kw_only=True)
class _Tile:
    """A rectangle of the picture in pixels, and the tiles above and below it in one mask of column mates."""

    top: int
    bottom: int
    left: int
    right: int

    def directions(self, camera: Camera, height: int, width: int, supersample: int, device: torch.device) -> Tensor:
        """Camera-axis directions (3, N) with unit depth, rows first, `supersample` squared per pixel."""
        focal = camera.focal_px(width)

        def centres(begin: int, end: int, middle: float) -> Tensor:
            count = (end - begin) * supersample
            return (begin - middle + (torch.arange(count, device=device) + 0.5) / supersample) / focal

        down, right = torch.meshgrid(
            centres(self.top, self.bottom, height / 2), centres(self.left, self.right, width / 2), indexing="ij"
        )
        # A ray exactly parallel to a face divides zero by zero.
        return torch.stack([right, down, torch.ones_like(right)]).flatten(1) + 1e-7

    def corners(self, camera: Camera, height: int, width: int) -> list[list[float]]:
        """Directions of the four corners, clockwise from the top left."""
        focal = camera.focal_px(width)
        left, right = (self.left - width / 2) / focal, (self.right - width / 2) / focal
        top, bottom = (self.top - height / 2) / focal, (self.bottom - height / 2) / focal
        return [[left, top, 1.0], [right, top, 1.0], [right, bottom, 1.0], [left, bottom, 1.0]]


def _tiles(height: int, width: int, grid: int) -> list[_Tile]:
    rows = [round(k * height / grid) for k in range(grid + 1)]
    columns = [round(k * width / grid) for k in range(grid + 1)]
    return [
        _Tile(top=top, bottom=bottom, left=left, right=right)
        for left, right in pairwise(columns)
        for top, bottom in pairwise(rows)
        if bottom > top and right > left
    ]


@dataclass(frozen=True, kw_only=True)
class _Picture:
    """Geometry of the pictures to render."""

    camera: Camera
    height: int
    width: int
    supersample: int

    @property
    def pixel_angle(self) -> float:
        """Width of a pixel in radians at the picture's middle."""
        return 1 / self.camera.focal_px(self.width)


def _ground_truth(
    world: PosedScene, picture: _Picture, tile: _Tile, frames: slice, parts: TileParts
) -> dict[str, Tensor]:
    """Buffers (G, h, w, ...) of one tile from its pixel centres."""
    directions = tile.directions(picture.camera, picture.height, picture.width, 1, world.origin.device)
    hits = cast(world, frames, parts, directions)
    _, surface = paint(world, hits, picture.pixel_angle)
    in_sky = hits.part == SKY
    axes = world.axes[:, :, hits.frame]
    seen = torch.stack(
        [(axes[0] * surface.normal).sum(0), -(axes[1] * surface.normal).sum(0), -(axes[2] * surface.normal).sum(0)]
    )
    body = torch.where(hits.part >= 0, world.look.body[hits.part.clamp_min(0)] + 1, 0)

    def grey(value: Tensor) -> Tensor:
        return (value.clamp(0, 1) * 255 + 0.5).to(torch.uint8)

    flat = {
        "depth_m": hits.depth.masked_fill(in_sky, torch.inf),
        "segmentation": surface.label,
        "instance": body.to(torch.int16),
        "normal": seen.T,
        "base_colour": grey(surface.base).T,
        "roughness": grey(surface.roughness),
        "metallic": grey(surface.metallic),
    }
    shape = (-1, tile.bottom - tile.top, tile.right - tile.left)
    return {name: value.reshape(*shape, *value.shape[1:]) for name, value in flat.items()}


def _radiance(
    world: PosedScene, picture: _Picture, tile: _Tile, frames: slice, parts: TileParts, column: TileParts
) -> Tensor:
    """Radiance (G, 3, h, w) of one tile, averaged over rays; `column` holds what wet ground may mirror."""
    samples = picture.supersample
    directions = tile.directions(picture.camera, picture.height, picture.width, samples, world.origin.device)
    hits = cast(world, frames, parts, directions)
    points, surface = paint(world, hits, picture.pixel_angle / samples)
    sky = sky_radiance(world.light, points.view)
    if bool((hits.part == SKY).all()):
        radiance = sky
    else:
        sunlit = sun_reaches(world, frames, points, surface.normal) if world.light.casts_shadows else None
        wet = world.light.wetness > 0 and bool(points.on_ground.any())
        mirrored = mirror(world, frames, column, points, surface) if wet else None
        radiance = torch.where(hits.part == SKY, sky, shade(world, points, surface, sunlit, mirrored))
    rows, columns = (tile.bottom - tile.top) * samples, (tile.right - tile.left) * samples
    rays = radiance.clamp(0, BRIGHTEST).view(3, -1, rows, columns).transpose(0, 1)
    return torch.nn.functional.avg_pool2d(rays, samples)


def _empty(frames: int, height: int, width: int, device: torch.device) -> dict[str, Tensor]:
    shape = (frames, height, width)
    return {
        "rgb": torch.empty(*shape, 3, dtype=torch.uint8, device=device),
        "depth_m": torch.empty(shape, device=device),
        "segmentation": torch.empty(shape, dtype=torch.uint8, device=device),
        "instance": torch.empty(shape, dtype=torch.int16, device=device),
        "normal": torch.empty(*shape, 3, device=device),
        "base_colour": torch.empty(*shape, 3, dtype=torch.uint8, device=device),
        "roughness": torch.empty(shape, dtype=torch.uint8, device=device),
        "metallic": torch.empty(shape, dtype=torch.uint8, device=device),
    }


def _render_frames(
    world: PosedScene, picture: _Picture, frames: slice, grid: int, buffers: dict[str, Tensor]
) -> Tensor:
    """Fill the ground-truth buffers of some frames and return their radiance (G, 3, H, W)."""
    count, device = len(range(*frames.indices(world.frames))), world.origin.device
    radiance = torch.empty(count, 3, picture.height, picture.width, device=device)
    tiles = _tiles(picture.height, picture.width, grid)
    corners = torch.tensor(
        [tile.corners(picture.camera, picture.height, picture.width) for tile in tiles], device=device
    )
    reached = cull_tiles(world, corners, frames, SMALLEST_PX * picture.pixel_angle)
    column_of = torch.tensor([tile.left for tile in tiles], device=device)
    for number, tile in enumerate(tiles):
        parts = select_parts(world, frames, reached[number])
        column = parts
        if world.light.wetness > 0:
            column = select_parts(world, frames, reached[column_of == tile.left].any(0))
        rows, columns = slice(tile.top, tile.bottom), slice(tile.left, tile.right)
        radiance[:, :, rows, columns] = _radiance(world, picture, tile, frames, parts, column)
        for name, value in _ground_truth(world, picture, tile, frames, parts).items():
            buffers[name][frames, rows, columns] = value
    return radiance


@torch.inference_mode()
def render(
    scene: Scene,
    camera: Camera,
    *,
    frames: int,
    fps: float,
    height: int,
    width: int,
    start_s: float = 0.0,
    device: str | torch.device = "cpu",
    supersample: int = 2,
) -> Render:
    """Render `frames` pictures of height x width from `start_s` on, `fps` per second.

    Raises ValueError when a size, the frame rate or the supersampling is not positive.
    """
    for name, value in (
        ("frames", frames),
        ("fps", fps),
        ("height", height),
        ("width", width),
        ("supersample", supersample),
    ):
        if value <= 0:
            raise ValueError(f"render: {name} is {value}, but must be positive")
    device = torch.device(device)
    time_s = frame_times_s(frames, fps, start_s)
    world = pose_scene(scene, camera, time_s, device)
    picture = _Picture(camera=camera, height=height, width=width, supersample=supersample)
    max_rays, rays = MAX_RAYS[device.type], height * width * supersample**2
    grid = max(FEWEST_TILES[device.type], math.ceil(math.sqrt(rays / max_rays)))
    batch = max(1, max_rays * grid**2 // rays)
    buffers = _empty(frames, height, width, device)
    for begin in range(0, frames, batch):
        part = slice(begin, min(begin + batch, frames))
        radiance = _render_frames(world, picture, part, grid, buffers)
        buffers["rgb"][part] = develop(
            radiance, world.light, camera, world.origin[:, part], world.axes[:, :, part], time_s[part]
        )
    return Render(**buffers)
