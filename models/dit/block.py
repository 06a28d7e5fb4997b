"""The transformer block and its two control forms.

Shapes as in layers.py: x is (B, T, S, D), so that modulations broadcast per latent frame.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn

from airshower.configs.network import DitConfig
from airshower.models.dit.layers import Attention, Mlp, Modulation
from airshower.models.dit.rope import Rope


@dataclass(frozen=True)
class Conditions:
    """What every block of one network evaluation shares."""

    emb_BTD: Tensor  # normalised sinusoid of the timestep, float32
    lora_BT3D: Tensor  # additive part of the modulations, float32
    text_BMC: Tensor  # projected text
    rope: Rope


class Block(nn.Module):
    """Self-attention over all tokens of the clip, cross-attention to text, feed-forward; each modulated by time."""

    def __init__(self, config: DitConfig) -> None:
        super().__init__()
        width, eps = config.width, config.norm_eps
        self.self_attn = Attention(width, width, config.heads, eps)
        self.cross_attn = Attention(width, config.text_channels, config.heads, eps)
        self.mlp = Mlp(width, config.mlp_width)
        self.adaln_modulation_self_attn = Modulation(width, config.adaln_rank, parts=3)
        self.adaln_modulation_cross_attn = Modulation(width, config.adaln_rank, parts=3)
        self.adaln_modulation_mlp = Modulation(width, config.adaln_rank, parts=3)
        self.eps = eps

    def forward(self, x_BTSD: Tensor, conditions: Conditions) -> Tensor:
        frames = x_BTSD.shape[1]

        def attend_self(y_BTSD: Tensor) -> Tensor:
            y_BND = y_BTSD.flatten(1, 2)
            return self.self_attn(y_BND, y_BND, conditions.rope).unflatten(1, (frames, -1))

        def attend_text(y_BTSD: Tensor) -> Tensor:
            return self.cross_attn(y_BTSD.flatten(1, 2), conditions.text_BMC).unflatten(1, (frames, -1))

        for sublayer, modulation in (
            (attend_self, self.adaln_modulation_self_attn),
            (attend_text, self.adaln_modulation_cross_attn),
            (self.mlp, self.adaln_modulation_mlp),
        ):
            shift, scale, gate = modulation.vectors(conditions.emb_BTD, conditions.lora_BT3D, x_BTSD.dtype)
            normed = F.layer_norm(x_BTSD, x_BTSD.shape[-1:], eps=self.eps)
            x_BTSD = x_BTSD + gate * sublayer(normed * (1 + scale) + shift)
        return x_BTSD


class ControlBlock(Block):
    """A block of a control branch: gives a hint for the base; the first one also takes in the base's embedding."""

    def __init__(self, config: DitConfig, *, first: bool) -> None:
        super().__init__(config)
        self.before_proj = nn.Linear(config.width, config.width) if first else None
        self.after_proj = nn.Linear(config.width, config.width)

    def enter(self, control_BTSD: Tensor, base_BTSD: Tensor) -> Tensor:
        """What the branch starts from: its own embedding joined with the base's."""
        if self.before_proj is None:
            raise ValueError("only the first block of a control branch takes in the base's embedding")
        return self.before_proj(control_BTSD) + base_BTSD


class ControlBranch(nn.Module):
    """Embeds one control video and turns it into hints for the base."""

    def __init__(self, config: DitConfig, embedder: nn.Module, hints: int) -> None:
        super().__init__()
        self.embedder = embedder
        self.blocks = nn.ModuleList(ControlBlock(config, first=index == 0) for index in range(hints))

    def hints(self, control_BCTYX: Tensor, base_BTSD: Tensor, conditions: Conditions) -> list[Tensor]:
        """One (B, T, S, D) hint per control block."""
        blocks = cast("Sequence[ControlBlock]", self.blocks)
        x = blocks[0].enter(self.embedder(control_BCTYX), base_BTSD)
        hints = []
        for block in blocks:
            x = block(x, conditions)
            hints.append(block.after_proj(x))
        return hints
