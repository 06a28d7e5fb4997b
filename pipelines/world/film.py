"""From radiance to pixels: glow around bright lights, falling rain and snow, and the tone curve.

Works on whole frames. Drops and flakes are points of a volume that moves with the camera but is fixed to the world,
so they fall and stream past correctly at any frame rate.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from airshower.pipelines.world.camera import Camera
from airshower.pipelines.world.light import Light, rgb_column

VOLUME_M = (14.0, 14.0, 9.0)
BRIGHTEST = 12.0


def develop(radiance: Tensor, light: Light, camera: Camera, origin: Tensor, axes: Tensor, time_s: Tensor) -> Tensor:
    """Turn radiance (F, 3, H, W) into sRGB bytes (F, H, W, 3).

    `origin` (3, F) and `axes` (3, 3, F) are the camera's pose, `time_s` (F) the frames' times in seconds.
    """
    picture = _with_glow(radiance, light)
    if light.wetness > 0 or light.snow > 0:
        picture = _with_precipitation(picture, light, camera, origin, axes, time_s)
    exposed = picture * light.exposure
    # Narkowicz's fit of the ACES film curve.
    curve = exposed * (2.51 * exposed + 0.03) / (exposed * (2.43 * exposed + 0.59) + 0.14)
    encoded = curve.clamp(0, 1).pow(1 / 2.2)
    return (encoded * 255 + 0.5).to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def _blur(picture: Tensor, sigma_px: float) -> Tensor:
    radius = max(1, math.ceil(2.5 * sigma_px))
    kernel = torch.exp(-0.5 * (torch.arange(-radius, radius + 1, device=picture.device) / sigma_px).square())
    kernel = (kernel / kernel.sum()).expand(3, 1, 1, -1)
    padded = F.pad(picture, (radius, radius, radius, radius), mode="replicate")
    return F.conv2d(F.conv2d(padded, kernel, groups=3), kernel.transpose(2, 3), groups=3)


def _with_glow(radiance: Tensor, light: Light) -> Tensor:
    """Scatter light above the white level into its surroundings, wider in thick air."""
    height, width = radiance.shape[-2:]
    threshold = 0.9 if light.night else 2.2
    bright = (radiance - threshold).clamp(0, 6)
    small = F.adaptive_avg_pool2d(bright, (max(height // 2, 4), max(width // 2, 4)))
    sharp = _blur(small, width / 320)
    tiny = F.adaptive_avg_pool2d(bright, (max(height // 8, 4), max(width // 8, 4)))
    thick = 1.6 if light.visibility_m < 60 else 1.0
    soft = _blur(tiny, width / 500 * thick)
    glow = sum(
        F.interpolate(part, (height, width), mode="bilinear") * gain
        for part, gain in ((sharp, 0.3), (soft, 0.35 * thick))
    )
    return radiance + glow


def _with_precipitation(
    picture: Tensor, light: Light, camera: Camera, origin: Tensor, axes: Tensor, time_s: Tensor
) -> Tensor:
    frames, _, height, width = picture.shape
    device = picture.device
    raining = light.wetness > 0
    count, fall_mps, length_m = (900, 9.0, 0.30) if raining else (1500, 1.3, 0.0)
    generator = torch.Generator().manual_seed(light.seed)
    volume = torch.tensor(VOLUME_M, device=device)[:, None, None]
    start = torch.rand(3, 1, count, generator=generator).to(device) * volume
    drift = (torch.rand(3, 1, count, generator=generator).to(device) - 0.5) * (0.1 if raining else 0.9)
    drift[2] -= fall_mps
    moved = start + drift * time_s.to(device).float()[None, :, None]
    relative = torch.remainder(moved - origin[:, :, None], volume) - volume / 2
    samples = max(8, round(height / 10)) if raining else 1
    trail = torch.linspace(0, length_m, samples, device=device)
    cover = torch.zeros(frames * height * width, device=device)
    focal = camera.focal_px(width)
    for step in range(samples):
        lifted = relative.clone()
        lifted[2] += trail[step]
        _splat(cover, lifted, axes, focal, height, width, raining, samples)
    cover = cover.view(frames, 1, height, width).clamp(0, 0.8 if light.snow > 0 else 0.5)
    tone = [0.75 * h + 0.25 * z for h, z in zip(light.horizon, light.zenith, strict=True)]
    drop = rgb_column((tone[0], tone[1], tone[2]), device).view(1, 3, 1, 1) * 1.15 + (0.05 if light.night else 0.12)
    return picture + (drop - picture) * cover


def _splat(
    cover: Tensor, relative: Tensor, axes: Tensor, focal: float, height: int, width: int, raining: bool, samples: int
) -> None:
    """Add bilinear dots to a flat (F*H*W) cover at camera-relative positions (3, F, D)."""
    right, down, depth = torch.einsum("cif,ifd->cfd", axes, relative)
    seen = depth > 0.6
    depth = depth.clamp_min(0.6)
    x, y = right / depth * focal + width / 2 - 0.5, down / depth * focal + height / 2 - 0.5
    size = focal * (0.006 if raining else 0.020) / depth
    weight = seen * (size if raining else size.square()).clamp(0.05, 0.9 if raining else 1.6)
    weight = weight * (5.0 / samples if raining else 1.0)
    left, top = x.floor(), y.floor()
    frame = torch.arange(depth.shape[0], device=depth.device)[:, None]
    for right_step in (0, 1):
        for down_step in (0, 1):
            column, row = left + right_step, top + down_step
            share = (1 - (x - column).abs()) * (1 - (y - row).abs()) * weight
            inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
            place = (frame * height + row.clamp(0, height - 1).long()) * width + column.clamp(0, width - 1).long()
            cover.index_add_(0, place.flatten(), (share * inside).flatten())
