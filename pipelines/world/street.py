"""The street: a gently bending road with lanes, side walks and regular crossings, as plain functions of place.

World axes are x along the street, y to the left, z up, in metres; the ground is z = 0. Street coordinates are (along,
offset): along equals x, offset is the distance to the left of the centre line. Bends are gentle enough (slope below
about 0.15) that x may stand in for arc length. Traffic keeps to the right.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

PERIOD_M = 640.0
LAMP_SPACING_M = 20.0


@dataclass(frozen=True, kw_only=True)
class Street:
    """Cross-section, bends and crossings of the street; every length divides or equals the period of 640 m."""

    style: str
    lanes_per_direction: int
    lane_width_m: float
    shoulder_m: float
    sidewalk_m: float
    crossing_spacing_m: float
    crossing_half_width_m: float
    yellow_centre: bool
    bends: tuple[tuple[float, float, float], ...]
    """Each bend is (amplitude in m, wavelength in m, phase in rad) of a sine added to the centre line."""
    seed: int

    @property
    def half_width_m(self) -> float:
        """Distance from the centre line to the kerb."""
        return self.lanes_per_direction * self.lane_width_m + self.shoulder_m

    @property
    def lamp_offset_m(self) -> float:
        """Distance of the lamp posts from the centre line."""
        return self.half_width_m + 0.7

    def lane_offset_m(self, lane: int, *, oncoming: bool = False) -> float:
        """Offset of a lane's middle; lane 0 is next to the centre line."""
        return (lane + 0.5) * self.lane_width_m * (1 if oncoming else -1)

    def centre_y_m(self, x_m: Tensor) -> Tensor:
        """y of the centre line at x."""
        y_m = torch.zeros_like(x_m)
        for amplitude, wavelength, phase in self.bends:
            y_m = y_m + amplitude * torch.sin(x_m * (2 * torch.pi / wavelength) + phase)
        return y_m

    def slope(self, x_m: Tensor) -> Tensor:
        """dy/dx of the centre line at x."""
        slope = torch.zeros_like(x_m)
        for amplitude, wavelength, phase in self.bends:
            wave = 2 * torch.pi / wavelength
            slope = slope + amplitude * wave * torch.cos(x_m * wave + phase)
        return slope

    def offset_m(self, x_m: Tensor, y_m: Tensor) -> Tensor:
        """Signed distance to the left of the centre line of world points."""
        return (y_m - self.centre_y_m(x_m)) * torch.rsqrt(1 + self.slope(x_m).square())

    def place(self, along_m: Tensor, offset_m: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """World x, y and heading in radians at street coordinates."""
        slope = self.slope(along_m)
        y_m = self.centre_y_m(along_m) + offset_m * torch.sqrt(1 + slope.square())
        return along_m, y_m, torch.atan(slope)

    def from_crossing_m(self, along_m: Tensor) -> Tensor:
        """Signed distance along the street to the nearest crossing."""
        half = self.crossing_spacing_m / 2
        return torch.remainder(along_m + half, self.crossing_spacing_m) - half
