"""The rectified-flow objective: one loss for a batch of latent clips under text and controls.

Noise levels are drawn as sigmoid of a normal variate and shifted, conditioning frames keep their exact velocity and
so contribute nothing (published training of the 2.5 family).

Shapes: B batch, C channels, T latent frames, Y and X latent rows and columns, M text tokens.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from airshower.models.dit.transformer import Context, ControlInput, Transformer
from airshower.models.dit.views import Cameras


@dataclass(frozen=True, kw_only=True)
class FlowBatch:
    """Latent clips and what steers them."""

    latents_BCTYX: Tensor
    text_BMC: Tensor  # encoder states, text dropout already applied; one camera after the other
    controls: Mapping[str, ControlInput]
    given_latent_frames_B: Tensor  # how many latent frames are given, per clip; of every camera as many
    cameras: Cameras | None = None


def training_timesteps(u: Tensor, shift: float) -> Tensor:
    """Timesteps (0..1000, not rounded) of draws from 0..1, moved towards noise by `shift`; a thousandth is sigma."""
    return 1000 * shift * u / (1 + (shift - 1) * u)


def flow_loss(net: Transformer, batch: FlowBatch, shift: float, generator: torch.Generator) -> Tensor:
    """Mean squared error of the velocity over all elements, given frames included as zeros."""
    x0 = batch.latents_BCTYX
    clips, frames = x0.shape[0], x0.shape[2]
    uniform = torch.sigmoid(torch.randn(clips, device=x0.device, generator=generator))
    timesteps = training_timesteps(uniform, shift)
    sigma = (timesteps / 1000).view(-1, 1, 1, 1, 1)
    noise = torch.randn(x0.shape, device=x0.device, generator=generator)
    per_camera = frames if batch.cameras is None else frames // len(batch.cameras)
    frame_index = (torch.arange(frames, device=x0.device) % per_camera).view(1, 1, -1, 1, 1)
    mask = (frame_index < batch.given_latent_frames_B.view(-1, 1, 1, 1, 1)).float()
    mask = mask.expand(-1, -1, -1, *x0.shape[3:])
    noisy = mask * x0 + (1 - mask) * ((1 - sigma) * x0 + sigma * noise)
    context = Context(text_BMC=net.project_text(batch.text_BMC), cameras=batch.cameras)
    velocity = net(noisy, timesteps[:, None], context, mask, batch.controls)
    return ((1 - mask) * (velocity.float() - (noise - x0))).square().mean()
