"""The few-step sampler of the distilled networks: no guidance, and the same noise again at every step.

Noise levels are angles: the state at angle t is cos(t) x0 + sin(t) noise.
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from airshower.models.dit.transformer import Transformer
from airshower.models.mesh import ONE_DEVICE, Mesh, tell_step
from airshower.models.sampling import ChunkConditions

# Published: where the student was trained.
ANGLES = (math.pi / 2, math.atan(15), math.atan(5), math.atan(5 / 3))
GIVEN_ANGLE = math.atan(1e-4)  # noise level at which given frames are shown to the network


def distilled_angles(steps: int) -> tuple[float, ...]:
    """Angles of 1 to 4 steps, with the final 0; raises ValueError for other numbers."""
    if not 1 <= steps <= len(ANGLES):
        raise ValueError(f"{steps} steps: a distilled network takes 1 to {len(ANGLES)}")
    return (*ANGLES[:steps], 0.0)


def sample_distilled(
    net: Transformer,
    noise_BCTYX: Tensor,
    angles: tuple[float, ...],
    conditions: ChunkConditions,
    on_step: Callable[[int], None] | None = None,
    mesh: Mesh = ONE_DEVICE,
) -> Tensor:
    """From standard normal noise to latents (B, C, T, Y, X), float32; the state is float64, as in the reference."""
    shown = replace(conditions, given_timestep=_flow_time(GIVEN_ANGLE))
    x = noise_BCTYX.double()
    for step, (here, there) in enumerate(itertools.pairwise(angles)):
        scale, time = 1 / (math.cos(here) + math.sin(here)), _flow_time(here)
        model_input = shown.with_given(x * scale).to(net.dtype)
        timesteps, mask = shown.timesteps(time), shown.given_mask_B1TYX
        predicted = net(model_input, timesteps, shown.context, mask, shown.controls, mesh=mesh).float()
        x0 = shown.with_given(scale * x - time * predicted)
        x = math.cos(there) * x0 + math.sin(there) * noise_BCTYX
        tell_step(on_step, step + 1, mesh)
    return x.to(torch.float32)


def _flow_time(angle: float) -> float:
    """What the network gets as timestep."""
    return math.sin(angle) / (math.cos(angle) + math.sin(angle))
