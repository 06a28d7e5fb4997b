"""Several cameras in one clip: how their frames are arranged, and attention from a camera to its neighbours.

The frames of a clip stand one camera after the other along the frame axis, each camera with as many.

Shapes: B batch, V cameras, T latent frames of one camera, F = V*T, S tokens of one latent frame, D width.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from einops import rearrange
from torch import Tensor

from airshower.models.dit.layers import Attention
from airshower.models.mesh import WHOLE_FRAMES, Tokens


@dataclass(frozen=True)
class Cameras:
    """The cameras of a clip by id, in the order of their frames."""

    ids: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.ids or len(set(self.ids)) != len(self.ids):
            raise ValueError(f"cameras {self.ids}: name at least one, each once")

    def __len__(self) -> int:
        return len(self.ids)

    def apart(self, x_BFSD: Tensor) -> Tensor:
        """Every camera a batch entry of its own, (B*V, T, S, D); also works for text, (B, V*M, C) -> (B*V, M, C)."""
        return rearrange(x_BFSD, "b (v t) ... -> (b v) t ...", v=len(self))

    def together(self, x_BTSD: Tensor) -> Tensor:
        """Back from `apart`."""
        return rearrange(x_BTSD, "(b v) t ... -> b (v t) ...", v=len(self))

    def id_of_each_frame(self, frames: int, device: torch.device) -> Tensor:
        """(F,) camera ids."""
        if frames % len(self):
            raise ValueError(f"{frames} latent frames of {len(self)} cameras: every camera needs as many")
        return torch.tensor(self.ids, device=device).repeat_interleave(frames // len(self))


class CrossViewAttention(Attention):
    """Tokens of a camera attend to all tokens that its neighbours have at the same time.

    Neighbours that are not in the clip are left out; a camera without any takes nothing in.
    """

    def __init__(self, width: int, heads: int, eps: float, neighbours: Mapping[int, tuple[int, ...]]) -> None:
        super().__init__(width, width, heads, eps)
        self.neighbours = neighbours

    def across(self, x_BFSD: Tensor, cameras: Cameras, tokens: Tokens = WHOLE_FRAMES) -> Tensor:
        """What every token takes in, (B, F, S, D)."""
        x_VNSD = rearrange(x_BFSD, "b (v t) s d -> v (b t) s d", v=len(cameras))
        taken = []
        for own, camera in zip(x_VNSD, cameras.ids, strict=True):
            seen = [cameras.ids.index(other) for other in self.neighbours[camera] if other in cameras.ids]
            others = rearrange(x_VNSD[seen], "v n s d -> n (v s) d")
            taken.append(self(own, others, tokens=tokens) if seen else torch.zeros_like(own))
        return rearrange(torch.stack(taken), "v (b t) s d -> b (v t) s d", b=len(x_BFSD))
