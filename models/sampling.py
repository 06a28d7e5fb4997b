"""Denoising one chunk with the rectified-flow sampler of the 2.5 family, from noise to latents.

Plain functions over a `Transformer`; what a chunk is and where its conditions come from is decided elsewhere. The
samplers of Predict2 (`adams_bashforth.py`) and of the distilled networks (`distilled.py`) take the same conditions.

Shapes: B batch, C channels, T latent frames, Y and X latent rows and columns.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor

from airshower.models.dit.transformer import Context, ControlInput, Transformer
from airshower.models.mesh import ONE_DEVICE, Mesh, tell_step
from airshower.models.unipc import Schedule, UniPc


@dataclass(frozen=True, kw_only=True)
class ChunkConditions:
    """What steers one chunk. Latents are normalised; `given_BCTYX` counts where `given_mask_B1TYX` is 1."""

    context: Context
    negative_context: Context
    given_BCTYX: Tensor
    given_mask_B1TYX: Tensor
    controls: Mapping[str, ControlInput] = field(default_factory=dict)
    given_timestep: float | None = None  # of given frames; None: that of the others

    def with_given(self, x_BCTYX: Tensor) -> Tensor:
        """The latents with the given frames in their place."""
        mask = self.given_mask_B1TYX
        return mask * self.given_BCTYX + (1 - mask) * x_BCTYX

    def timesteps(self, timestep: float) -> Tensor:
        """Raw timesteps for the network: (B, 1), or (B, T) when given frames have their own."""
        mask_BT = self.given_mask_B1TYX[:, 0, :, 0, 0]
        if self.given_timestep is None:
            return torch.full((len(mask_BT), 1), timestep, device=mask_BT.device)
        return mask_BT * self.given_timestep + (1 - mask_BT) * timestep


@dataclass(frozen=True, kw_only=True)
class GuidedRegion:
    """Guided generation: up to a step, the network sees this clip, noised, where the mask is 1.

    The published sampler shows it to the network alone and goes on from its own state, which drifts away from what was
    seen: chunks of one clip then disagree about the region at every seam (public issue 239 of Transfer2.5). Here the
    sampler goes on from what the network saw, unless it is to do `as_published`.
    """

    latents_BCTYX: Tensor
    mask_BCTYX: Tensor
    last_step: int  # the last step, from 0, that is guided
    as_published: bool = False

    def seen(self, x_BCTYX: Tensor, step: int, sigma: float, noise_BCTYX: Tensor) -> Tensor:
        """What the network gets instead of the sampler's state."""
        if step > self.last_step:
            return x_BCTYX
        noisy = (1 - sigma) * self.latents_BCTYX + sigma * noise_BCTYX
        return self.mask_BCTYX * noisy + (1 - self.mask_BCTYX) * x_BCTYX


def guided(
    predict: Callable[[Context], Tensor], conditions: ChunkConditions, guidance: float, mesh: Mesh = ONE_DEVICE
) -> Tensor:
    """c + g (c - u), the Transfer2.5 form of guidance (g = 3 is the usual scale 4), of what the network predicts.

    Predict2.5 multiview's form, u + g (c - u), is this one with g - 1. Without guidance (g = 0) the unconditional half
    has no effect and is not computed.
    """
    if guidance == 0:
        return predict(conditions.context)
    conditional, unconditional = mesh.both(
        partial(predict, conditions.context), partial(predict, conditions.negative_context)
    )
    return conditional + guidance * (conditional - unconditional)


def guided_velocity(
    net: Transformer,
    x_BCTYX: Tensor,
    timestep: float,
    noise_BCTYX: Tensor,
    conditions: ChunkConditions,
    guidance: float,
    mesh: Mesh = ONE_DEVICE,
) -> Tensor:
    """What the flow sampler goes by; given frames keep their exact velocity."""
    mask, dtype = conditions.given_mask_B1TYX, net.dtype
    model_input, timesteps = conditions.with_given(x_BCTYX).to(dtype), conditions.timesteps(timestep)

    def velocity(context: Context) -> Tensor:
        predicted = net(model_input, timesteps, context, mask, conditions.controls, mesh=mesh).float()
        return mask * (noise_BCTYX - conditions.given_BCTYX) + (1 - mask) * predicted

    return guided(velocity, conditions, guidance, mesh)


def sample(
    net: Transformer,
    noise_BCTYX: Tensor,
    schedule: Schedule,
    conditions: ChunkConditions,
    guidance: float,
    *,
    region: GuidedRegion | None = None,
    on_step: Callable[[int], None] | None = None,
    mesh: Mesh = ONE_DEVICE,
) -> Tensor:
    """Runs the sampler from noise to latents (B, C, T, Y, X), float32; `on_step` is called after each step."""
    solver = UniPc(schedule)
    x = noise_BCTYX
    for step, timestep in enumerate(schedule.timesteps):
        seen = x if region is None else region.seen(x, step, schedule.sigmas[step], noise_BCTYX)
        velocity = guided_velocity(net, seen, timestep, noise_BCTYX, conditions, guidance, mesh)
        x = solver.step(x if region is not None and region.as_published else seen, velocity)
        tell_step(on_step, step + 1, mesh)
    return x
