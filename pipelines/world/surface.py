"""What a ray meets: the material of a batch of surface points, before any light falls on them.

A `Surface` is a flat batch of M points; colours are sRGB in 0..1 as a painter would mix them, emission is linear
light.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Surface:
    """Material at M points: `base` (3, M), `roughness`, `metallic`, `label` (M), `emission` and `normal` (3, M).

    `gloss` (M) is the strength of a clear coat (wet ground, paint, glass) over the base; `openness` (M) is the share of
    ambient light that reaches the point past its surroundings.
    """

    base: Tensor
    normal: Tensor
    roughness: Tensor
    metallic: Tensor
    emission: Tensor
    gloss: Tensor
    openness: Tensor
    label: Tensor

    def put(self, where: Tensor, other: "Surface") -> None:
        """Write another batch into the places `where` of this one."""
        for name in ("base", "normal", "emission"):
            getattr(self, name)[:, where] = getattr(other, name)
        for name in ("roughness", "metallic", "gloss", "openness", "label"):
            getattr(self, name)[where] = getattr(other, name)


def blank_surface(count: int, device: torch.device) -> Surface:
    """A surface of `count` points to be filled by `put`."""

    def zeros(*shape: int) -> Tensor:
        return torch.zeros(*shape, count, device=device)

    return Surface(
        base=zeros(3),
        normal=zeros(3),
        roughness=zeros(),
        metallic=zeros(),
        emission=zeros(3),
        gloss=zeros(),
        openness=zeros() + 1,
        label=torch.zeros(count, dtype=torch.uint8, device=device),
    )


def mix(under: Tensor, over: Tensor, cover: Tensor) -> Tensor:
    """Blend `over` onto `under` where `cover` (M) is 1; colours are (3, M) or (3, 1)."""
    return under + (over - under) * cover


def to_linear(srgb: Tensor) -> Tensor:
    """Approximate sRGB decoding by a power of 2.2."""
    return srgb.clamp_min(0).pow(2.2)
