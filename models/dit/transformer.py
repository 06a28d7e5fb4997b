"""The diffusion transformer of the 2B family: base network and control branches, on one device or a mesh of them.

`Transformer.forward` computes one network evaluation (the velocity). Text is projected once per prompt by
`project_text`, not once per evaluation.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import cast

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from airshower.configs.network import DitConfig
from airshower.models.dit.block import BESIDE_FORWARD, Block, Conditions, ControlBranch
from airshower.models.dit.layers import FinalLayer, PatchEmbed, RmsNorm, Sinusoid, TimestepEmbedding, linear_fp32
from airshower.models.dit.rope import rope_table
from airshower.models.dit.views import Cameras
from airshower.models.host_weights import Mover
from airshower.models.mesh import ONE_DEVICE, Mesh, Tokens
from airshower.models.streamed_layers import stream_from_host


@dataclass(frozen=True)
class ControlInput:
    """Latents of one control video (B, C, T, Y, X) and its weight: a number, or a map (B, 1, T, Y/patch, X/patch)."""

    latents_BCTYX: Tensor
    weight: float | Tensor = 1.0


@dataclass(frozen=True, kw_only=True)
class Context:
    """What a whole clip is about; all of it is the same at every step.

    Text and image are projected (`Transformer.project_text`, `project_image`). The text of several cameras stands one
    camera after the other, in their order.
    """

    text_BMC: Tensor
    image_BID: Tensor | None = None
    cameras: Cameras | None = None
    fps: float | None = None


class Transformer(nn.Module):
    """Predicts the velocity of a noisy latent video under text, time and controls."""

    def __init__(self, config: DitConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.x_embedder = PatchEmbed(config.latent_channels + config.extra_channels, width, config.patch)
        self.t_embedder = nn.Sequential(Sinusoid(width), TimestepEmbedding(width))
        self.t_embedding_norm = RmsNorm(width, config.norm_eps)
        self.crossattn_proj = nn.Sequential()
        if config.text_in_channels is not None:
            self.crossattn_proj.extend((nn.Linear(config.text_in_channels, config.text_channels), nn.GELU()))
        self.img_context_proj = nn.Sequential()
        if config.image is not None:
            self.img_context_proj.extend((nn.Linear(config.image.channels, width), nn.GELU()))
        self._build_camera_embedding(config)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.blocks))
        self.final_layer = FinalLayer(width, config.latent_channels, config.patch, config.adaln_rank, config.norm_eps)
        self.branches = nn.ModuleDict()
        if config.control is not None:
            channels = config.control.padded_channels + config.extra_channels
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

    def project_image(self, image_BIC: Tensor) -> Tensor:
        """Image encoder states (B, I, image channels) -> what the blocks attend to (B, I, width)."""
        return self.img_context_proj(image_BIC)

    def offload(self, mover: Mover) -> None:
        """The weights of all blocks wait in host memory from now on; the rest is on the mover's device."""
        stream_from_host(self, self.all_blocks(), mover, staying=BESIDE_FORWARD)

    def all_blocks(self) -> list[nn.Module]:
        """Of the base and of all branches."""
        branches = cast("Iterable[ControlBranch]", self.branches.values())
        return [*self.blocks, *(block for branch in branches for block in branch.blocks)]

    def forward(
        self,
        latents_BCTYX: Tensor,
        timesteps_BT: Tensor,
        context: Context,
        condition_mask_B1TYX: Tensor,
        controls: Mapping[str, ControlInput] | None = None,
        padding_mask_B1TYX: Tensor | None = None,
        mesh: Mesh = ONE_DEVICE,
    ) -> Tensor:
        """Velocity (B, C, T, Y, X), float32, the whole of it on every rank of the mesh, which all give the same inputs.

        Timesteps are raw (before the config's scale), one per clip (B, 1) or per latent frame (B, T). The condition
        mask is 1 on given latent frames; the padding mask, on the latent grid, is 1 on padded pixels.
        """
        if padding_mask_B1TYX is None:
            padding_mask_B1TYX = torch.zeros_like(condition_mask_B1TYX)
        self._check(context)
        extra = [condition_mask_B1TYX, padding_mask_B1TYX, *self._camera_channels(context, condition_mask_B1TYX)]
        extra_BETYX = torch.cat(extra, dim=1).to(latents_BCTYX.dtype)
        tokens = mesh.tokens(math.prod(latents_BCTYX.shape[3:]) // self.config.patch**2)
        x = self.x_embedder(torch.cat((latents_BCTYX, extra_BETYX), dim=1), tokens)
        conditions = self._conditions(latents_BCTYX, timesteps_BT, context, tokens)
        hints = self._hints(controls or {}, extra_BETYX, x, conditions)
        for index, block in enumerate(self.blocks):
            x = block(x, conditions)
            if self.config.control is not None and index in self.config.control.injected_after:
                for hint in hints:
                    x = x + next(hint)
        x = tokens.whole(self.final_layer(x, conditions.emb_BTD, conditions.lora_BT3D), axis=2)
        return self._unpatchify(x, latents_BCTYX.shape)

    def _build_camera_embedding(self, config: DitConfig) -> None:
        if config.views is None:
            return
        if config.views.channels is not None:
            self.view_embeddings = nn.Embedding(config.views.cameras, config.views.channels)
        else:
            self.adaln_view_embedder = nn.Embedding(config.views.cameras, config.width)
            self.adaln_view_proj = nn.Linear(config.width, 9 * config.width)

    def _check(self, context: Context) -> None:
        views = self.config.views
        if (views is None) != (context.cameras is None):
            raise ValueError(
                "this network is for one camera: give none" if views is None else "this network needs camera ids"
            )
        if views is not None and context.cameras is not None and max(context.cameras.ids) >= views.cameras:
            raise ValueError(f"cameras {context.cameras.ids}: this network knows ids below {views.cameras}")

    def _camera_channels(self, context: Context, like_B1TYX: Tensor) -> list[Tensor]:
        """The embedding of every frame's camera as input channels (B, E, T, Y, X), where the network has them."""
        if context.cameras is None or self.config.modulates_by_camera:
            return []
        batch, _, frames, rows, columns = like_B1TYX.shape
        ids = context.cameras.id_of_each_frame(frames, like_B1TYX.device)
        return [self.view_embeddings(ids).T[None, :, :, None, None].expand(batch, -1, -1, rows, columns)]

    def _conditions(self, latents_BCTYX: Tensor, timesteps_BT: Tensor, context: Context, tokens: Tokens) -> Conditions:
        _, _, frames, rows, columns = latents_BCTYX.shape
        patch, cameras, device = self.config.patch, context.cameras, latents_BCTYX.device
        sinusoid = self.t_embedder[0](timesteps_BT.float() * self.config.timestep_scale)
        per_camera = frames if cameras is None else frames // len(cameras)
        grid = (per_camera, rows // patch, columns // patch)
        rope = rope_table(self.config.rope, self.config.head_width, grid, device, context.fps).own(per_camera, tokens)
        modulations: tuple[Tensor | None, ...] = (None, None, None)
        if cameras is not None:
            if self.config.views is not None and self.config.views.neighbours is None:
                rope = rope.repeated(len(cameras))
            if self.config.modulates_by_camera:
                ids = cameras.id_of_each_frame(frames, device)
                modulations = linear_fp32(self.adaln_view_proj, self.adaln_view_embedder(ids))[None].chunk(3, dim=-1)
        return Conditions(
            emb_BTD=self.t_embedding_norm(sinusoid),
            lora_BT3D=self.t_embedder[1](sinusoid),
            text_EMC=context.text_BMC if cameras is None else cameras.apart(context.text_BMC),
            image_BID=context.image_BID,
            rope=rope,
            cameras=cameras,
            camera_modulations=modulations,
            tokens=tokens,
        )

    def _hints(
        self, controls: Mapping[str, ControlInput], masks: Tensor, base_BTSD: Tensor, conditions: Conditions
    ) -> list[Iterator[Tensor]]:
        """Of every control, its weighted hints. Weights are used as given, never normalised (reference)."""
        hints: list[Iterator[Tensor]] = []
        for name, control in controls.items():
            if self.config.control is None or name not in self.branches:
                raise ValueError(f"control {name!r}: this network has {', '.join(self.branches) or 'no controls'}")
            missing = self.config.control.padded_channels - control.latents_BCTYX.shape[1]
            padded = F.pad(control.latents_BCTYX.to(base_BTSD.dtype), (0, 0, 0, 0, 0, 0, 0, missing))
            branch = cast("ControlBranch", self.branches[name])
            entered = branch.enter(torch.cat((padded, masks), dim=1), base_BTSD, conditions.tokens)
            weight = _per_token(control.weight, base_BTSD.dtype, conditions.tokens)
            hints.append(map(partial(torch.mul, other=weight), branch.hints(entered, conditions)))
        return hints

    def _unpatchify(self, x_BTSP: Tensor, shape: torch.Size) -> Tensor:
        patch = self.config.patch
        return rearrange(  # a token's values are ordered row, column, channel
            x_BTSP, "b t (y x) (m n c) -> b c t (y m) (x n)", y=shape[3] // patch, m=patch, n=patch
        )


def _per_token(weight: float | Tensor, dtype: torch.dtype, tokens: Tokens) -> float | Tensor:
    """A number stays; a map (B, 1, T, Y, X) on the patch grid becomes (B, T, S, 1)."""
    if isinstance(weight, Tensor):
        return tokens.own(rearrange(weight, "b 1 t y x -> b t (y x) 1").to(dtype), axis=2)
    return weight
