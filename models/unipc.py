"""The rectified-flow sampler of the 2.5 family: its noise schedule and the UniPC solver.

Flow: x_s = (1 - s) x0 + s e with noise level s in 0..1; the network predicts the velocity e - x0. UniPC here is order 2
(variant bh2) on x0 predictions: a predictor every step, a corrector on every step but the first; the first and the last
step are of order 1. Deterministic: all randomness is in the initial noise.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

MAX_SIGMA = 0.999  # the first training noise level with shift 1 (published)
TIMESTEPS = 1000


@dataclass(frozen=True)
class Schedule:
    """Noise levels of N steps and the network's timesteps: `sigmas` has N + 1 entries and ends in 0."""

    sigmas: tuple[float, ...]
    timesteps: tuple[int, ...]

    @property
    def steps(self) -> int:
        return len(self.timesteps)


def flow_schedule(steps: int, shift: float) -> Schedule:
    """Evenly spaced noise levels, moved towards noise by `shift`."""
    base = np.linspace(MAX_SIGMA, 0, steps + 1)[:-1]
    return _schedule(shift * base / (1 + (shift - 1) * base))


def karras_schedule(steps: int, sigma_max: float = 200.0, sigma_min: float = 0.01, rho: float = 7.0) -> Schedule:
    """Karras' spacing mapped to flow levels, as the post-trained Predict2.5 base uses it: `steps` + 1 evaluations."""
    ramp = np.linspace(0, 1, steps + 1)
    edm = (sigma_max ** (1 / rho) + ramp * (sigma_min ** (1 / rho) - sigma_max ** (1 / rho))) ** rho
    return _schedule(edm / (1 + edm))


def _schedule(sigmas: np.ndarray) -> Schedule:
    timesteps = tuple(int(sigma * TIMESTEPS) for sigma in sigmas)  # the reference truncates
    return Schedule(sigmas=(*map(float, sigmas), 0.0), timesteps=timesteps)


def noise(seed: int, shape: tuple[int, ...]) -> Tensor:
    """Standard normal noise that is the same on every machine: numpy's legacy generator, float32 (published)."""
    return torch.from_numpy(np.random.RandomState(seed).standard_normal(shape).astype(np.float32))


class UniPc:
    """Solver state for one sampling run; `step` takes the network's velocity and moves to the next noise level."""

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        self.index = 0
        self._predictions: list[Tensor] = []  # x0 of the last two steps, newest last
        self._start: Tensor | None = None  # state from which the last prediction step set out

    def step(self, x: Tensor, velocity: Tensor) -> Tensor:
        """The state at the next noise level. Called once per step, in order, with the state it returned last."""
        prediction = x - self.schedule.sigmas[self.index] * velocity
        if self._start is not None:
            x = self._correct(self._start, prediction)
        self._predictions = [*self._predictions[-1:], prediction]
        self._start = x
        self.index += 1
        return self._predict(x)

    def _correct(self, start: Tensor, prediction: Tensor) -> Tensor:
        """The state at the current level again, now that the x0 prediction there is known."""
        previous = self._predictions[-1]
        h, growth, decay, level = self._move(self.index - 1)
        x = decay * start - level * growth * previous
        if len(self._predictions) == 1:
            return x - level * growth * 0.5 * (prediction - previous)
        r = self._ratio(self.index - 1)
        phi = growth / -h - 1
        b1, b2 = phi / growth, 2 * (phi / -h - 0.5) / growth
        rho_old, rho_new = np.linalg.solve([[1.0, 1.0], [r, 1.0]], [b1, b2])
        older = self._predictions[-2]
        return x - level * growth * (rho_old * (older - previous) / r + rho_new * (prediction - previous))

    def _predict(self, x: Tensor) -> Tensor:
        step = self.index - 1
        newest = self._predictions[-1]
        if step == self.schedule.steps - 1 or len(self._predictions) == 1:
            if self.schedule.sigmas[step + 1] == 0.0:
                return newest
            _, growth, decay, level = self._move(step)
            return decay * x - level * growth * newest
        _, growth, decay, level = self._move(step)
        slope = (self._predictions[-2] - newest) / self._ratio(step)
        return decay * x - level * growth * (newest + 0.5 * slope)

    def _move(self, step: int) -> tuple[float, float, float, float]:
        """(h, expm1(-h), s'/s, 1 - s') of the move from level `step` to the next."""
        here, there = self.schedule.sigmas[step], self.schedule.sigmas[step + 1]
        h = _log_snr(there) - _log_snr(here)
        return h, float(np.expm1(-h)), there / here, 1 - there

    def _ratio(self, step: int) -> float:
        """Last move's length over this one's, in log-SNR; negative."""
        sigmas = self.schedule.sigmas
        last, here, there = (_log_snr(sigmas[i]) for i in (step - 1, step, step + 1))
        return (last - here) / (there - here)


def _log_snr(sigma: float) -> float:
    return float(np.log(1 - sigma) - np.log(sigma))
