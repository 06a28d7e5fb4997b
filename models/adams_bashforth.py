"""The sampler of Predict2: EDM noise levels under a rectified-flow network, two-step Adams-Bashforth, one clean pass.

State at noise level sigma: x0 + sigma * noise. The network sees it at flow time t = sigma / (1 + sigma). State and
levels are float64, as in the reference; the state is rounded to the network's type before every evaluation.
"""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from airshower.models.dit.transformer import Context, Transformer
from airshower.models.mesh import ONE_DEVICE, Mesh, tell_step
from airshower.models.sampling import ChunkConditions, guided

SIGMA_MAX, SIGMA_MIN, RHO = 200.0, 0.01, 7.0
GIVEN_SIGMA = 1e-4  # noise level at which given frames are shown to the network


def edm_sigmas(steps: int, sigma_max: float = SIGMA_MAX, sigma_min: float = SIGMA_MIN, rho: float = RHO) -> np.ndarray:
    """`steps` + 1 noise levels, falling, in Karras' spacing."""
    ramp = np.linspace(0, 1, steps + 1)
    return (sigma_max ** (1 / rho) + ramp * (sigma_min ** (1 / rho) - sigma_max ** (1 / rho))) ** rho


def flow_time(sigma: float) -> float:
    """Where the network stands at a noise level; also what it gets as timestep."""
    return sigma / (1 + sigma)


def loss_weight(sigma: float) -> float:
    """Weight of the squared x0 error in training."""
    return (1 + sigma) ** 2 / sigma**2


def guided_x0(
    net: Transformer,
    x_BCTYX: Tensor,
    sigma: float,
    conditions: ChunkConditions,
    guidance: float,
    mesh: Mesh = ONE_DEVICE,
) -> Tensor:
    """c + g (c - u) of the x0 predictions, given frames in their place; float64 in and out."""
    t = flow_time(sigma)
    shown = replace(conditions, given_timestep=flow_time(GIVEN_SIGMA))
    model_input = shown.with_given(x_BCTYX * (1 - t)).to(net.dtype)
    timesteps = shown.timesteps(t)

    def x0(context: Context) -> Tensor:
        predicted = net(model_input, timesteps, context, shown.given_mask_B1TYX, shown.controls, mesh=mesh).float()
        return shown.with_given((1 - t) * x_BCTYX - t * predicted)

    return guided(x0, conditions, guidance, mesh)


class AdamsBashforth:
    """Steps in the logarithm of the noise level, each from the last two x0 predictions; the first one is Euler's."""

    def __init__(self, sigmas: np.ndarray) -> None:
        self.sigmas = sigmas
        self.index = 0
        self._previous: Tensor | None = None

    def step(self, x: Tensor, x0: Tensor) -> Tensor:
        """The state at the next noise level, from that at the current one and the x0 predicted there."""
        here, there = self.sigmas[self.index], self.sigmas[self.index + 1]
        if self._previous is None:
            x = (here - there) / here * x0 + there / here * x
        else:
            x = self._two_step(x, x0, self._previous, here, there)
        self._previous = x0
        self.index += 1
        return x

    def _two_step(self, x: Tensor, x0: Tensor, previous: Tensor, here: float, there: float) -> Tensor:
        length = math.log(here) - math.log(there)
        back = (math.log(here) - math.log(self.sigmas[self.index - 1])) / length  # negative
        phi1 = math.expm1(-length) / -length
        phi2 = (phi1 - 1) / -length
        slope = phi2 / back
        return math.exp(-length) * x + length * ((phi1 - slope) * x0 + slope * previous)


def sample_predict2(
    net: Transformer,
    noise_BCTYX: Tensor,
    sigmas: np.ndarray,
    conditions: ChunkConditions,
    guidance: float,
    on_step: Callable[[int], None] | None = None,
    mesh: Mesh = ONE_DEVICE,
) -> Tensor:
    """From standard normal noise to latents (B, C, T, Y, X), float32: one evaluation more than there are steps."""
    solver = AdamsBashforth(sigmas)
    x = noise_BCTYX.double() * sigmas[0]
    for step in range(len(sigmas) - 1):
        x = solver.step(x, guided_x0(net, x, sigmas[step], conditions, guidance, mesh))
        tell_step(on_step, step + 1, mesh)
    return guided_x0(net, x, sigmas[-1], conditions, guidance, mesh).to(torch.float32)
