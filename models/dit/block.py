"""The transformer block and its two control forms.

Shapes as in layers.py: x is (B, T, S, D), so that modulations broadcast per latent frame.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn

from airshower.configs.network import DitConfig
from airshower.models.dit.layers import Attention, ImageCrossAttention, Mlp, Modulation
from airshower.models.dit.rope import Rope
from airshower.models.dit.views import Cameras, CrossViewAttention
from airshower.models.mesh import WHOLE_FRAMES, Tokens


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """What every block of one network evaluation shares."""

    emb_BTD: Tensor  # normalised sinusoid of the timestep, float32
    lora_BT3D: Tensor  # additive part of the modulations, float32
    text_EMC: Tensor  # projected text; an entry E is a clip or, with cameras, one camera of a clip
    image_BID: Tensor | None  # projected style image
    rope: Rope  # of all tokens, or of one camera's where cameras attend apart
    cameras: Cameras | None
    camera_modulations: tuple[Tensor | None, ...]  # (B, T, 3D) added to that of each sublayer, float32
    tokens: Tokens  # how those of a frame are shared out among ranks: x and rope are this rank's


class Block(nn.Module):
    """Self-attention over all tokens of the clip, cross-attention to text, feed-forward; each modulated by time.

    With cameras that attend apart, each camera's tokens attend to each other and then to its neighbours'.
    """

    def __init__(self, config: DitConfig) -> None:
        super().__init__()
        width, eps = config.width, config.norm_eps
        self.self_attn = Attention(width, width, config.heads, eps)
        text_attention = Attention if config.image is None else ImageCrossAttention
        self.cross_attn = text_attention(width, config.text_channels, config.heads, eps)
        self.mlp = Mlp(width, config.mlp_width)
        self.adaln_modulation_self_attn = Modulation(width, config.adaln_rank, parts=3)
        self.adaln_modulation_cross_attn = Modulation(width, config.adaln_rank, parts=3)
        self.adaln_modulation_mlp = Modulation(width, config.adaln_rank, parts=3)
        self.layer_norm_cross_view_attn: nn.LayerNorm | None = None
        self.cross_view_attn: CrossViewAttention | None = None
        if config.views is not None and config.views.neighbours is not None:
            self.layer_norm_cross_view_attn = nn.LayerNorm(width, eps)
            self.cross_view_attn = CrossViewAttention(width, config.heads, eps, config.views.neighbours)
        self.eps = eps

    def forward(self, x_BTSD: Tensor, conditions: Conditions) -> Tensor:
        of_self, of_text, of_mlp = conditions.camera_modulations
        x_BTSD = self._modulated(x_BTSD, conditions, self.adaln_modulation_self_attn, of_self, self._attend_self)
        if self.cross_view_attn is not None:
            x_BTSD = x_BTSD + self._attend_neighbours(x_BTSD, conditions)
        x_BTSD = self._modulated(x_BTSD, conditions, self.adaln_modulation_cross_attn, of_text, self._attend_text)
        return self._modulated(
            x_BTSD, conditions, self.adaln_modulation_mlp, of_mlp, lambda y_BTSD, _: self.mlp(y_BTSD)
        )

    def _modulated(
        self,
        x_BTSD: Tensor,
        conditions: Conditions,
        modulation: Modulation,
        of_camera_BT3D: Tensor | None,
        sublayer: Callable[[Tensor, Conditions], Tensor],
    ) -> Tensor:
        """The residual step of one sublayer."""
        shift, scale, gate = modulation.vectors(conditions.emb_BTD, conditions.lora_BT3D, x_BTSD.dtype, of_camera_BT3D)
        y_BTSD = F.layer_norm(x_BTSD, x_BTSD.shape[-1:], eps=self.eps) * (1 + scale) + shift
        return x_BTSD + gate * sublayer(y_BTSD, conditions)

    def _attend_self(self, y_BTSD: Tensor, conditions: Conditions) -> Tensor:
        cameras = conditions.cameras if self.cross_view_attn is not None else None
        y = y_BTSD if cameras is None else cameras.apart(y_BTSD)
        y_BND = y.flatten(1, 2)
        attended = self.self_attn(y_BND, y_BND, conditions.rope, conditions.tokens).unflatten(1, y.shape[1:3])
        return attended if cameras is None else cameras.together(attended)

    def _attend_neighbours(self, x_BTSD: Tensor, conditions: Conditions) -> Tensor:
        if self.cross_view_attn is None or self.layer_norm_cross_view_attn is None or conditions.cameras is None:
            raise ValueError("only a network with neighbouring cameras, on a clip of several cameras, attends across")
        y_BTSD = self.layer_norm_cross_view_attn(x_BTSD)
        return self.cross_view_attn.across(y_BTSD, conditions.cameras, conditions.tokens)

    def _attend_text(self, y_BTSD: Tensor, conditions: Conditions) -> Tensor:
        # Every camera's frames stand together: a reshape takes cameras apart. Only sizes of tensors decide, so that one
        # compiled graph serves any number of cameras.
        text_EMC = conditions.text_EMC
        y_END = y_BTSD.reshape(text_EMC.shape[0], -1, y_BTSD.shape[-1])
        if isinstance(self.cross_attn, ImageCrossAttention):
            if conditions.image_BID is None:
                raise ValueError("this network attends to an image: give one, zeros for none")
            attended_END = self.cross_attn.attend_both(y_END, text_EMC, conditions.image_BID)
        else:
            attended_END = self.cross_attn(y_END, text_EMC)
        return attended_END.view_as(y_BTSD)


BESIDE_FORWARD = ("before_proj", "after_proj")  # children of a control block that its branch calls for it


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
        self.hint_block = nn.Sequential()
        for _ in range(config.control.hint_layers if config.control is not None else 0):
            self.hint_block.extend((nn.Linear(config.width, config.width), nn.SiLU()))
        self.blocks = nn.ModuleList(ControlBlock(config, first=index == 0) for index in range(hints))

    def enter(self, control_BCTYX: Tensor, base_BTSD: Tensor, tokens: Tokens = WHOLE_FRAMES) -> Tensor:
        """What the first of its blocks starts from, (B, T, S, D)."""
        first = cast("ControlBlock", self.blocks[0])
        return first.enter(self.hint_block(self.embedder(control_BCTYX, tokens)), base_BTSD)

    def hints(self, x_BTSD: Tensor, conditions: Conditions) -> Iterator[Tensor]:
        """One (B, T, S, D) hint per control block, computed when it is asked for: none waits in memory."""
        for block in cast("Sequence[ControlBlock]", self.blocks):
            x_BTSD = block(x_BTSD, conditions)
            yield block.after_proj(x_BTSD)
