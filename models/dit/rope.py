"""Rotary position embedding over three axes, in the half-rotating (not interleaved) form of the Cosmos networks.

Axes: T latent frame, Y patch row, X patch column; K head width. Angles are computed in float32.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from airshower.configs.network import RopeConfig


@dataclass(frozen=True)
class Rope:
    """Cosine and sine of every token's angles, float32 (N, K)."""

    cos_NK: Tensor
    sin_NK: Tensor

    def rotate(self, x_BNHK: Tensor) -> Tensor:
        """Rotates queries or keys by their positions; computes and returns float32."""
        x = x_BNHK.float()
        first, second = x.chunk(2, dim=-1)
        swapped = torch.cat((-second, first), dim=-1)
        return x * self.cos_NK[:, None] + swapped * self.sin_NK[:, None]


def axis_widths(head_width: int) -> tuple[int, int, int]:
    """How a head is split over (frame, row, column): two equal even spatial sixths, the rest for time."""
    spatial = head_width // 6 * 2
    return head_width - 2 * spatial, spatial, spatial


def angles(config: RopeConfig, head_width: int, frames: int, rows: int, columns: int, device: torch.device) -> Tensor:
    """Angle table (N, K/2) of a frames x rows x columns grid, entries ordered frame | row | column."""
    lengths = (frames, rows, columns)
    ratios = (config.t_ratio, config.h_ratio, config.w_ratio)
    tables = []
    for axis, (length, ratio, width) in enumerate(zip(lengths, ratios, axis_widths(head_width), strict=True)):
        exponents = torch.arange(0, width, 2, dtype=torch.float32, device=device) / width
        theta = config.theta * ratio ** (width / (width - 2)) if width > 2 else config.theta
        frequencies = 1.0 / theta**exponents
        positions = torch.arange(length, dtype=torch.float32, device=device)
        shape = [1, 1, 1, width // 2]
        shape[axis] = length
        tables.append((positions[:, None] * frequencies).reshape(shape).expand(*lengths, -1))
    return torch.cat(tables, dim=-1).flatten(0, 2)


def rope_table(config: RopeConfig, head_width: int, frames: int, rows: int, columns: int, device: torch.device) -> Rope:
    """The rotation of every token of a frames x rows x columns grid."""
    half = angles(config, head_width, frames, rows, columns, device)
    full = torch.cat((half, half), dim=-1)
    return Rope(full.cos(), full.sin())
