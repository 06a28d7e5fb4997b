"""Denoising one chunk: from noise to latents under text, controls and conditioning frames.

Plain functions over a `Transformer`; what a chunk is and where its conditions come from is decided elsewhere.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from airshower.models.dit.transformer import ControlInput, Transformer
from airshower.models.unipc import Schedule, UniPc


@dataclass(frozen=True, kw_only=True)
class ChunkConditions:
    """What steers one chunk. Text is projected; latents are normalised.

    Shapes: B batch, C channels, T latent frames, Y and X latent rows and columns. `given_BCTYX` holds the conditioning
    frames where `given_mask_B1TYX` is 1.
    """

    text_BMC: Tensor
    negative_text_BMC: Tensor
    given_BCTYX: Tensor
    given_mask_B1TYX: Tensor
    controls: Mapping[str, ControlInput] = field(default_factory=dict)


def guided_velocity(
    net: Transformer,
    x_BCTYX: Tensor,
    timestep: float,
    noise_BCTYX: Tensor,
    conditions: ChunkConditions,
    guidance: float,
) -> Tensor:
    """v = c + g (c - u), the Transfer2.5 form (g = 3 is the usual scale 4); given frames keep their exact velocity.

    Without guidance (g = 0) the unconditional half has no effect and is not computed.
    """
    mask = conditions.given_mask_B1TYX
    model_input = mask * conditions.given_BCTYX + (1 - mask) * x_BCTYX
    timesteps = torch.full((x_BCTYX.shape[0], 1), timestep, device=x_BCTYX.device)
    dtype = net.dtype

    def velocity(text_BMC: Tensor) -> Tensor:
        predicted = net(model_input.to(dtype), timesteps, text_BMC, mask, conditions.controls).float()
        return mask * (noise_BCTYX - conditions.given_BCTYX) + (1 - mask) * predicted

    conditional = velocity(conditions.text_BMC)
    if guidance == 0:
        return conditional
    return conditional + guidance * (conditional - velocity(conditions.negative_text_BMC))


def sample(
    net: Transformer,
    noise_BCTYX: Tensor,
    schedule: Schedule,
    conditions: ChunkConditions,
    guidance: float,
    on_step: Callable[[int], None] | None = None,
) -> Tensor:
    """Runs the sampler from noise to latents (B, C, T, Y, X), float32; `on_step` is called after each step."""
    solver = UniPc(schedule)
    x = noise_BCTYX
    for step, timestep in enumerate(schedule.timesteps):
        x = solver.step(x, guided_velocity(net, x, timestep, noise_BCTYX, conditions, guidance))
        if on_step is not None:
            on_step(step + 1)
    return x
