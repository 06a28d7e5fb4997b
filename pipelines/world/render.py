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
class _Pictures:
    """The pictures to render."""

    camera: Camera
    frames: int
    fps: float
    start_s: float
    height: int
    width: int
    supersample: int

    def __post_init__(self) -> None:
        for name in ("frames", "fps", "height", "width", "supersample"):
            if getattr(self, name) <= 0:
                raise ValueError(f"render: {name} is {getattr(self, name)}, but must be positive")

    @property
    def pixel_angle(self) -> float:
        """Width of a pixel in radians at the picture's middle."""
        return 1 / self.camera.focal_px(self.width)


def _ground_truth(
    world: PosedScene, pictures: _Pictures, tile: _Tile, frames: slice, parts: TileParts
) -> dict[str, Tensor]:
    """Buffers (G, h, w, ...) of one tile from its pixel centres."""
    directions = tile.directions(pictures.camera, pictures.height, pictures.width, 1, world.origin.device)
    hits = cast(world, frames, parts, directions)
    _, surface = paint(world, hits, pictures.pixel_angle)
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
    world: PosedScene, pictures: _Pictures, tile: _Tile, frames: slice, parts: TileParts, column: TileParts
) -> Tensor:
    """Radiance (G, 3, h, w) of one tile, averaged over rays; `column` holds what wet ground may mirror."""
    samples = pictures.supersample
    directions = tile.directions(pictures.camera, pictures.height, pictures.width, samples, world.origin.device)
    hits = cast(world, frames, parts, directions)
    points, surface = paint(world, hits, pictures.pixel_angle / samples)
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
        "depth_m": torch.empty(shape, device=device),
        "segmentation": torch.empty(shape, dtype=torch.uint8, device=device),
        "instance": torch.empty(shape, dtype=torch.int16, device=device),
        "normal": torch.empty(*shape, 3, device=device),
        "base_colour": torch.empty(*shape, 3, dtype=torch.uint8, device=device),
        "roughness": torch.empty(shape, dtype=torch.uint8, device=device),
        "metallic": torch.empty(shape, dtype=torch.uint8, device=device),
    }


def _render_frames(
    world: PosedScene, pictures: _Pictures, frames: slice, grid: int, buffers: dict[str, Tensor]
) -> Tensor:
    """Fill the ground-truth buffers of some frames, if there are any, and return their radiance (G, 3, H, W)."""
    count, device = len(range(*frames.indices(world.frames))), world.origin.device
    radiance = torch.empty(count, 3, pictures.height, pictures.width, device=device)
    tiles = _tiles(pictures.height, pictures.width, grid)
    corners = torch.tensor(
        [tile.corners(pictures.camera, pictures.height, pictures.width) for tile in tiles], device=device
    )
    reached = cull_tiles(world, corners, frames, SMALLEST_PX * pictures.pixel_angle)
    column_of = torch.tensor([tile.left for tile in tiles], device=device)
    for number, tile in enumerate(tiles):
        parts = select_parts(world, frames, reached[number])
        column = parts
        if world.light.wetness > 0:
            column = select_parts(world, frames, reached[column_of == tile.left].any(0))
        rows, columns = slice(tile.top, tile.bottom), slice(tile.left, tile.right)
        radiance[:, :, rows, columns] = _radiance(world, pictures, tile, frames, parts, column)
        if buffers:
            for name, value in _ground_truth(world, pictures, tile, frames, parts).items():
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
    pictures = _Pictures(
        camera=camera,
        frames=frames,
        fps=fps,
        start_s=start_s,
        height=height,
        width=width,
        supersample=supersample,
    )
    buffers = _empty(frames, height, width, torch.device(device))
    rgb = _film(scene, pictures, torch.device(device), buffers)
    return Render(rgb=rgb, **buffers)


@torch.inference_mode()
def render_rgb(
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
) -> Tensor:
    """The pictures of `render` alone, uint8 (F, H, W, 3), which takes less time."""
    pictures = _Pictures(
        camera=camera,
        frames=frames,
        fps=fps,
        start_s=start_s,
        height=height,
        width=width,
        supersample=supersample,
    )
    return _film(scene, pictures, torch.device(device), {})


def _film(scene: Scene, pictures: _Pictures, device: torch.device, buffers: dict[str, Tensor]) -> Tensor:
    """All frames in batches that bound memory: RGB (F, H, W, 3), and the ground truth into `buffers`."""
    frames, height, width = pictures.frames, pictures.height, pictures.width
    time_s = frame_times_s(frames, pictures.fps, pictures.start_s)
    world = pose_scene(scene, pictures.camera, time_s, device)
    max_rays, rays = MAX_RAYS[device.type], height * width * pictures.supersample**2
    grid = max(FEWEST_TILES[device.type], math.ceil(math.sqrt(rays / max_rays)))
    batch = max(1, max_rays * grid**2 // rays)
    rgb = torch.empty(frames, height, width, 3, dtype=torch.uint8, device=device)
    for begin in range(0, frames, batch):
        part = slice(begin, min(begin + batch, frames))
        radiance = _render_frames(world, pictures, part, grid, buffers)
        rgb[part] = develop(
            radiance, world.light, pictures.camera, world.origin[:, part], world.axes[:, :, part], time_s[part]
        )
    return rgb
