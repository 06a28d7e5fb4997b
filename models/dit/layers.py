"""The layers of the diffusion transformer. Parameter names are those of the published state dicts.

Shapes: B batch, T latent frames (or 1), S tokens of one latent frame, N = T*S tokens, M text tokens, H heads,
K head width, D width, C channels, Y and X latent rows and columns.
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from airshower.models.attention import attend
from airshower.models.dit.rope import Rope
from airshower.models.mesh import WHOLE_FRAMES, Tokens

# Of tokens that pass at a time where temporaries are wide: float32 copies, hidden layers. Enough to fill a GPU.
PIECE_TOKENS = 8192


def in_pieces(function: Callable[[Tensor], Tensor], x_BND: Tensor) -> Tensor:
    """`function`, which treats every token alike, over pieces of the token axis: its temporaries stay small."""
    return _joined([function(piece) for piece in x_BND.split(piece_tokens(x_BND), dim=1)])


def piece_tokens(x_BND: Tensor) -> int:
    """How many of each batch entry make a piece: all of them in training, which keeps the temporaries anyway."""
    return x_BND.shape[1] if torch.is_grad_enabled() else max(1, PIECE_TOKENS // len(x_BND))


def _joined(pieces: list[Tensor]) -> Tensor:
    return pieces[0] if len(pieces) == 1 else torch.cat(pieces, dim=1)


def linear_fp32(layer: nn.Linear, x: Tensor) -> Tensor:
    """The layer in float32 whatever its weights' type: the reference keeps time and modulation in float32."""
    with torch.autocast(x.device.type, enabled=False):
        return F.linear(x.float(), layer.weight.float(), None if layer.bias is None else layer.bias.float())


class RmsNorm(nn.Module):
    """Root-mean-square norm over the last axis, computed in float32."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x.float(), (x.shape[-1],), self.weight.float(), self.eps).to(x.dtype)


class Attention(nn.Module):
    """Self-attention (context is x, with rotary positions) or cross-attention (context is text, without).

    `tokens` says how x and context are shared out among ranks where they are tokens of frames.
    """

    def __init__(self, width: int, context_width: int, heads: int, eps: float) -> None:
        super().__init__()
        self.heads = heads
        self.q_proj = nn.Linear(width, width, bias=False)
        self.k_proj = nn.Linear(context_width, width, bias=False)
        self.v_proj = nn.Linear(context_width, width, bias=False)
        self.output_proj = nn.Linear(width, width, bias=False)
        self.q_norm = RmsNorm(width // heads, eps)
        self.k_norm = RmsNorm(width // heads, eps)

    def forward(
        self, x_BND: Tensor, context_BMC: Tensor, rope: Rope | None = None, tokens: Tokens = WHOLE_FRAMES
    ) -> Tensor:
        return self.output_proj(self.attended(x_BND, context_BMC, rope, tokens))

    def attended(
        self, x_BND: Tensor, context_BMC: Tensor, rope: Rope | None = None, tokens: Tokens = WHOLE_FRAMES
    ) -> Tensor:
        """What `forward` gives, before the output projection."""
        v = tokens.by_head(self._heads(self.v_proj(context_BMC)))
        q = tokens.by_head(_placed(self._heads(self.q_proj(x_BND)), self.q_norm, rope))
        k = tokens.by_head(_placed(self._heads(self.k_proj(context_BMC)), self.k_norm, rope))
        return tokens.by_token(attend(q, k, v))

    def _heads(self, x_BND: Tensor) -> Tensor:
        return rearrange(x_BND, "b n (h k) -> b n h k", h=self.heads)


def _placed(x_BNHK: Tensor, norm: RmsNorm, rope: Rope | None) -> Tensor:
    """Queries or keys, normed and at their positions."""
    if rope is None:
        return in_pieces(norm, x_BNHK)
    tokens = piece_tokens(x_BNHK)
    pieces = zip(x_BNHK.split(tokens, dim=1), rope.split(tokens), strict=True)
    return _joined([positions.rotate(norm(piece)).to(x_BNHK.dtype) for piece, positions in pieces])


class ImageCrossAttention(Attention):
    """Attention to text and, with queries of its own, to the tokens of an image; the two results are added."""

    def __init__(self, width: int, context_width: int, heads: int, eps: float) -> None:
        super().__init__(width, context_width, heads, eps)
        self.q_img = nn.Linear(width, width, bias=False)
        self.k_img = nn.Linear(width, width, bias=False)
        self.v_img = nn.Linear(width, width, bias=False)
        self.q_img_norm = RmsNorm(width // heads, eps)
        self.k_img_norm = RmsNorm(width // heads, eps)

    def attend_both(self, x_BND: Tensor, text_BMC: Tensor, image_BID: Tensor) -> Tensor:
        """`image_BID` is projected to the network's width."""
        of_image = self._attend_image(x_BND, image_BID)
        return self.output_proj(self.attended(x_BND, text_BMC) + of_image)

    def _attend_image(self, x_BND: Tensor, image_BID: Tensor) -> Tensor:
        q = in_pieces(self.q_img_norm, self._heads(self.q_img(x_BND)))
        k = self.k_img_norm(self._heads(self.k_img(image_BID)))
        return attend(q, k, self._heads(self.v_img(image_BID)))


class Mlp(nn.Module):
    """Two linear layers around an exact GELU."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.layer1 = nn.Linear(width, hidden, bias=False)
        self.layer2 = nn.Linear(hidden, width, bias=False)

    def forward(self, x_BTSD: Tensor) -> Tensor:
        mixed_BND = in_pieces(lambda piece: self.layer2(F.gelu(self.layer1(piece))), x_BTSD.flatten(1, 2))
        return mixed_BND.view(x_BTSD.shape)


class TimestepEmbedding(nn.Module):
    """From the sinusoid of a timestep to the additive part of all modulations (3D)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear_1 = nn.Linear(width, width, bias=False)
        self.linear_2 = nn.Linear(width, 3 * width, bias=False)

    def forward(self, sinusoid_BTD: Tensor) -> Tensor:
        return linear_fp32(self.linear_2, F.silu(linear_fp32(self.linear_1, sinusoid_BTD)))


class Sinusoid(nn.Module):
    """cos | sin features of scaled timesteps, float32."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.half_width = width // 2

    def forward(self, timesteps_BT: Tensor) -> Tensor:
        index = torch.arange(self.half_width, dtype=torch.float32, device=timesteps_BT.device)
        phase = timesteps_BT.float()[..., None] * torch.exp(-math.log(10000.0) * index / self.half_width)
        return torch.cat((phase.cos(), phase.sin()), dim=-1)


class Patchify(nn.Module):
    """Groups patch x patch latents into one token, channels first: (B,C,T,Y,X) -> (B,T,S,C*patch*patch)."""

    def __init__(self, patch: int) -> None:
        super().__init__()
        self.patch = patch

    def forward(self, x_BCTYX: Tensor) -> Tensor:
        p = self.patch
        return rearrange(x_BCTYX, "b c t (y m) (x n) -> b t (y x) (c m n)", m=p, n=p)


class PatchEmbed(nn.Module):
    """Linear embedding of patches, those of this rank."""

    def __init__(self, channels: int, width: int, patch: int) -> None:
        super().__init__()
        self.proj = nn.Sequential(Patchify(patch), nn.Linear(channels * patch * patch, width, bias=False))

    def forward(self, x_BCTYX: Tensor, tokens: Tokens = WHOLE_FRAMES) -> Tensor:
        patchify, linear = self.proj
        return linear(tokens.own(patchify(x_BCTYX), axis=2))


class Modulation(nn.Sequential):
    """Low-rank adaLN: `parts` vectors of width D per latent frame, from the time embedding and its additive part.

    Per latent frame, never per token: at full size the per-token form would cost gigabytes.
    """

    def __init__(self, width: int, rank: int, parts: int) -> None:
        super().__init__(nn.SiLU(), nn.Linear(width, rank, bias=False), nn.Linear(rank, parts * width, bias=False))
        self.parts = parts

    def linears(self) -> tuple[nn.Linear, nn.Linear]:
        """Down to the rank and up to the vectors."""
        down, up = (layer for layer in self if isinstance(layer, nn.Linear))
        return down, up

    def vectors(
        self, emb_BTD: Tensor, lora_BT3D: Tensor, dtype: torch.dtype, camera_BTP: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        """`parts` tensors (B, T, 1, D) in the type of the activations; `camera_BTP` (B, T, parts*D) is added."""
        down, up = self.linears()
        x = linear_fp32(up, linear_fp32(down, F.silu(emb_BTD)))
        x = x + lora_BT3D[..., : x.shape[-1]]
        if camera_BTP is not None:
            x = x + camera_BTP
        return tuple(part.unsqueeze(2) for part in x.to(dtype).chunk(self.parts, dim=-1))


class FinalLayer(nn.Module):
    """Modulated norm and projection back to latent patches, in float32."""

    def __init__(self, width: int, out_channels: int, patch: int, rank: int, eps: float) -> None:
        super().__init__()
        self.linear = nn.Linear(width, out_channels * patch * patch, bias=False)
        self.adaln_modulation = Modulation(width, rank, parts=2)
        self.eps = eps

    def forward(self, x_BTSD: Tensor, emb_BTD: Tensor, lora_BT3D: Tensor) -> Tensor:
        shift, scale = self.adaln_modulation.vectors(emb_BTD, lora_BT3D, torch.float32)
        frames, tokens = x_BTSD.shape[1:3]
        vectors = (vector.expand(-1, frames, -1, -1) for vector in (shift, scale))
        piece_frames = max(1, piece_tokens(x_BTSD.flatten(1, 2)) // tokens)
        pieces = (tensor.split(piece_frames, dim=1) for tensor in (x_BTSD, *vectors))
        return _joined([self._projected(*piece) for piece in zip(*pieces, strict=True)])

    def _projected(self, x_BTSD: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
        normed = F.layer_norm(x_BTSD.float(), x_BTSD.shape[-1:], eps=self.eps)
        return linear_fp32(self.linear, normed * (1 + scale) + shift)
