"""Procedural noise in world coordinates: cell hashes and smooth value noise that never flicker.

All functions are pure, elementwise and identical for identical inputs. Noise that is finer than a pixel's footprint
is faded out instead of sampled, so textures don't shimmer when the camera moves.
"""

from functools import cache

import torch
from torch import Tensor


def cell_hash(x: Tensor, y: Tensor, seed: Tensor | int) -> Tensor:
    """Uniform value in 0..1 for every integer cell (x, y), given as float or integer tensors."""
    mixed = x.to(torch.int32) * 374761393 + y.to(torch.int32) * 668265263 + seed * 974711
    mixed = (mixed ^ (mixed >> 13)) * 1274126177
    mixed = (mixed ^ (mixed >> 15)) * 1103515245
    return ((mixed >> 8) & 0xFFFF).float() * (1 / 65535)


@cache
def _lattice(device: torch.device) -> Tensor:
    """Random values at the four corners of each of 256 x 256 cells, (65536, 4); the lattice repeats after 256 cells."""
    rows, columns = torch.meshgrid(torch.arange(256), torch.arange(256), indexing="ij")
    value = cell_hash(columns, rows, 1)
    right, up = value.roll(-1, 1), value.roll(-1, 0)
    return torch.stack([value, right, up, right.roll(-1, 0)], dim=-1).view(-1, 4).to(device)


def value_noise(x: Tensor, y: Tensor, seed: Tensor | int) -> Tensor:
    """Smooth noise in 0..1 with one lattice point per unit."""
    left, low = x.floor(), y.floor()
    u, v = x - left, y - low
    column, row = (left.int() + 37 * seed) & 255, (low.int() + 101 * seed) & 255
    corners = _lattice(x.device).index_select(0, (row * 256 + column).flatten()).view(*x.shape, 4)
    u, v = u * u * (3 - 2 * u), v * v * (3 - 2 * v)
    pairs = torch.lerp(corners[..., 0::2], corners[..., 1::2], u[..., None])
    return torch.lerp(pairs[..., 0], pairs[..., 1], v)


def fractal_noise(x: Tensor, y: Tensor, seed: Tensor | int, *, octaves: int, footprint: Tensor) -> Tensor:
    """Sum of octaves in about -1..1 around 0; octaves finer than `footprint` (same unit as x and y) fade to zero."""
    total = torch.zeros_like(x)
    scale, amplitude = 1.0, 0.5
    for octave in range(octaves):
        keep = (1.5 - 1.5 * scale * footprint).clamp(0, 1) * amplitude
        total = total + (2 * value_noise(x * scale, y * scale, seed + 17 * octave) - 1) * keep
        scale, amplitude = scale * 2.17, amplitude * 0.55
    return total


def band(x: Tensor, low: float, high: float, footprint: Tensor) -> Tensor:
    """How much of a pixel of width `footprint` around x lies between low and high, in 0..1."""
    half = 0.5 * footprint
    return (((x + half).clamp_max(high) - (x - half).clamp_min(low)) / footprint).clamp(0, 1)


def stripes(x: Tensor, period: float, low: float, high: float, footprint: Tensor) -> Tensor:
    """Coverage of a repeating band from low to high (fractions of the period); blurs to its mean far away."""
    phase = torch.remainder(x / period, 1.0)
    width = (footprint / period).clamp_min(1e-4)
    cover = band(phase, low, high, width) + band(phase - 1, low, high, width) + band(phase + 1, low, high, width)
    blur = (width - 0.6).clamp(0, 1)
    return cover.clamp(0, 1) * (1 - blur) + (high - low) * blur
