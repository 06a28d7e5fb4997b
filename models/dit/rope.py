"""Rotary position embedding over three axes, in the half-rotating (not interleaved) form of the Cosmos networks.

Axes: T latent frame, Y patch row, X patch column; K head width. Angles are computed in float32.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from airshower.configs.network import RopeConfig
from airshower.models.mesh import Tokens


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

    def split(self, tokens: int) -> "list[Rope]":
        """The positions of pieces of so many tokens, the last one shorter."""
        return [Rope(*piece) for piece in zip(self.cos_NK.split(tokens), self.sin_NK.split(tokens), strict=True)]

    def own(self, frames: int, tokens: Tokens) -> "Rope":
        """Those of this rank's tokens in every one of so many frames."""
        cos, sin = (
            tokens.own(table.unflatten(0, (frames, -1)), axis=1).flatten(0, 1) for table in (self.cos_NK, self.sin_NK)
        )
        return Rope(cos, sin)

    def repeated(self, times: int) -> "Rope":
        """The same positions again for further cameras."""
        return Rope(self.cos_NK.repeat(times, 1), self.sin_NK.repeat(times, 1))


def axis_widths(head_width: int) -> tuple[int, int, int]:
    """How a head is split over (frame, row, column): two equal even spatial sixths, the rest for time."""
    spatial = head_width // 6 * 2
    return head_width - 2 * spatial, spatial, spatial


def angles(
    config: RopeConfig, head_width: int, grid: tuple[int, int, int], device: torch.device, fps: float | None = None
) -> Tensor:
    """Angle table (N, K/2), float32, of a grid of (frames, rows, columns); entries are ordered frame | row | column.

    Raises ValueError when positions depend on the frame rate and none is given.
    """
    exponent_type = torch.float32 if config.precision == "float32" else torch.bfloat16
    table_type = torch.bfloat16 if config.precision == "bfloat16" else torch.float32
    ratios = (config.t_ratio, config.h_ratio, config.w_ratio)
    tables = []
    for axis, (length, ratio, width) in enumerate(zip(grid, ratios, axis_widths(head_width), strict=True)):
        exponents = torch.arange(0, width, 2, dtype=torch.float32, device=device) / width
        theta = config.theta * ratio ** (width / (width - 2)) if width > 2 else config.theta
        frequencies = 1.0 / theta ** exponents.to(exponent_type).to(table_type)
        positions = torch.arange(length, device=device).to(table_type)
        if axis == 0 and config.base_fps is not None:
            if fps is None:
                raise ValueError("this network's positions depend on the frame rate: give fps")
            positions = positions / torch.tensor(fps, device=device).to(table_type) * config.base_fps
        shape = [1, 1, 1, width // 2]
        shape[axis] = length
        tables.append((positions[:, None] * frequencies).float().reshape(shape).expand(*grid, -1))
    return torch.cat(tables, dim=-1).flatten(0, 2)


def rope_table(
    config: RopeConfig, head_width: int, grid: tuple[int, int, int], device: torch.device, fps: float | None = None
) -> Rope:
    """The rotation of every token of a grid of (frames, rows, columns)."""
    half = angles(config, head_width, grid, device, fps)
    full = torch.cat((half, half), dim=-1)
    return Rope(full.cos(), full.sin())
