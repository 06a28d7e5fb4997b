"""The diffusion transformer of the 2B family: base network and control branches, on one device.

`Transformer.forward` computes one network evaluation (the velocity). Text is projected once per prompt by
`project_text`, not once per evaluation.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from airshower.configs.network import DitConfig
from airshower.models.dit.block import Block, Conditions, ControlBranch
from airshower.models.dit.layers import FinalLayer, PatchEmbed, RmsNorm, Sinusoid, TimestepEmbedding
from airshower.models.dit.rope import rope_table


@dataclass(frozen=True)
class ControlInput:
    """Latents of one control video (B, C, T, Y, X) and its weight: a number, or a map (B, 1, T, Y/patch, X/patch)."""

    latents_BCTYX: Tensor
    weight: float | Tensor = 1.0


class Transformer(nn.Module):
    """Predicts the velocity of a noisy latent video under text, time and controls."""

    def __init__(self, config: DitConfig) -> None:
        super().__init__()
        self.config = config
        width, extra_channels = config.width, 2  # condition mask, padding mask
        self.x_embedder = PatchEmbed(config.latent_channels + extra_channels, width, config.patch)
        self.t_embedder = nn.Sequential(Sinusoid(width), TimestepEmbedding(width))
        self.t_embedding_norm = RmsNorm(width, config.norm_eps)
        self.crossattn_proj = nn.Sequential(nn.Linear(config.text_in_channels, config.text_channels), nn.GELU())
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.blocks))
        self.final_layer = FinalLayer(width, config.latent_channels, config.patch, config.adaln_rank, config.norm_eps)
        self.branches = nn.ModuleDict()
        if config.control is not None:
            channels = config.control.padded_channels + extra_channels
            for name in config.control.branches:
                embedder = PatchEmbed(channels, width, config.patch)
                self.branches[name] = ControlBranch(config, embedder, len(config.control.injected_after))

    @property
    def dtype(self) -> torch.dtype:
        """The type of weights and activations."""
        return next(self.parameters()).dtype

    def project_text(self, text_BMC: Tensor) -> Tensor:
        """Encoder states (B, M, text_in_channels) -> what the blocks attend to (B, M, text_channels)."""
        return self.crossattn_proj(text_BMC)

    def forward(
        self,
        latents_BCTYX: Tensor,
        timesteps_BT: Tensor,
        text_BMC: Tensor,
        condition_mask_B1TYX: Tensor,
        controls: Mapping[str, ControlInput] | None = None,
        padding_mask_B1TYX: Tensor | None = None,
    ) -> Tensor:
        """Velocity (B, C, T, Y, X), float32.

        Timesteps are raw (0..1000), one per clip (B, 1) or per latent frame (B, T). Text is already projected. The
        condition mask is 1 on given latent frames; the padding mask, on the latent grid, is 1 on padded pixels.
        """
        if padding_mask_B1TYX is None:
            padding_mask_B1TYX = torch.zeros_like(condition_mask_B1TYX)
        masks = torch.cat((condition_mask_B1TYX, padding_mask_B1TYX), dim=1).to(latents_BCTYX.dtype)
        x = self.x_embedder(torch.cat((latents_BCTYX, masks), dim=1))
        conditions = self._conditions(latents_BCTYX, timesteps_BT, text_BMC)
        hints = self._hints(controls or {}, masks, x, conditions)
        for index, block in enumerate(self.blocks):
            x = block(x, conditions)
            for hint in hints.get(index, ()):
                x = x + hint
        return self._unpatchify(self.final_layer(x, conditions.emb_BTD, conditions.lora_BT3D), latents_BCTYX.shape)

    def _conditions(self, latents_BCTYX: Tensor, timesteps_BT: Tensor, text_BMC: Tensor) -> Conditions:
        _, _, frames, rows, columns = latents_BCTYX.shape
        patch = self.config.patch
        sinusoid = self.t_embedder[0](timesteps_BT.float() * self.config.timestep_scale)
        rope = rope_table(
            self.config.rope, self.config.head_width, frames, rows // patch, columns // patch, latents_BCTYX.device
        )
        return Conditions(self.t_embedding_norm(sinusoid), self.t_embedder[1](sinusoid), text_BMC, rope)

    def _hints(
        self, controls: Mapping[str, ControlInput], masks: Tensor, base_BTSD: Tensor, conditions: Conditions
    ) -> dict[int, list[Tensor]]:
        """Weighted hints by the base block they follow. Weights are used as given, never normalised (reference)."""
        hints: dict[int, list[Tensor]] = {}
        for name, control in controls.items():
            if self.config.control is None or name not in self.branches:
                raise ValueError(f"control {name!r}: this network has {', '.join(self.branches) or 'no controls'}")
            missing = self.config.control.padded_channels - control.latents_BCTYX.shape[1]
            padded = F.pad(control.latents_BCTYX.to(base_BTSD.dtype), (0, 0, 0, 0, 0, 0, 0, missing))
            branch = cast("ControlBranch", self.branches[name])
            branch_hints = branch.hints(torch.cat((padded, masks), dim=1), base_BTSD, conditions)
            for index, hint in zip(self.config.control.injected_after, branch_hints, strict=True):
                hints.setdefault(index, []).append(hint * _per_token(control.weight, hint))
        return hints

    def _unpatchify(self, x_BTSP: Tensor, shape: torch.Size) -> Tensor:
        patch = self.config.patch
        return rearrange(  # a token's values are ordered row, column, channel
            x_BTSP, "b t (y x) (m n c) -> b c t (y m) (x n)", y=shape[3] // patch, m=patch, n=patch
        )


def _per_token(weight: float | Tensor, hint_BTSD: Tensor) -> float | Tensor:
    """A number stays; a map (B, 1, T, Y, X) on the patch grid becomes (B, T, S, 1)."""
    if isinstance(weight, Tensor):
        return rearrange(weight, "b 1 t y x -> b t (y x) 1").to(hint_BTSD.dtype)
    return weight
