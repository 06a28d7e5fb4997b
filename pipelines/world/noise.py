"""Procedural noise in world coordinates: cell hashes and smooth value noise that never flicker.

All functions are pure, elementwise and identical for identical inputs. Noise that is finer than a pixel's footprint is
faded out instead of sampled, so textures don't shimmer when the camera moves.
"""

import torch
from torch import Tensor


def cell_hash(x: Tensor, y: Tensor, seed: Tensor | int) -> Tensor:
    """Uniform value in 0..1 for every integer cell (x, y), given as float or integer tensors."""
    mixed = x.to(torch.int32) * 374761393 + y.to(torch.int32) * 668265263 + seed * 974711
    mixed = (mixed ^ (mixed >> 13)) * 1274126177
    mixed = (mixed ^ (mixed >> 15)) * 1103515245
    return ((mixed >> 8) & 0xFFFF).float() * (1 / 65535)


def value_noise(x: Tensor, y: Tensor, seed: Tensor | int) -> Tensor:
    """Smooth noise in 0..1 with one lattice point per unit."""
    left, low = x.floor(), y.floor()
    u, v = x - left, y - low
    u, v = u * u * (3 - 2 * u), v * v * (3 - 2 * v)
    a, b = cell_hash(left, low, seed), cell_hash(left + 1, low, seed)
    c, d = cell_hash(left, low + 1, seed), cell_hash(left + 1, low + 1, seed)
    bottom, top = torch.lerp(a, b, u), torch.lerp(c, d, u)
    return torch.lerp(bottom, top, v)


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
