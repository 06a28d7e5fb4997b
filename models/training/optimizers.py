"""The optimizers of a training run and their common schedule.

Muon (K. Jordan and others, 2024) takes steps whose matrices are nearly orthogonal, so that every direction of a weight
moves equally fast. AdamW serves what is left: biases, norms, embeddings. PyTorch's own Muon takes matrices only; here
convolutions count as matrices too, rows being output channels.
"""

import math
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from airshower.configs.training import Optimisation

# Coefficients of the quintic Newton-Schulz iteration of the Muon paper, tuned for a steep slope at zero.
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
NEWTON_SCHULZ_STEPS = 5


def orthogonalised(matrices_BRC: Tensor) -> Tensor:
    """Every matrix with its singular values moved to about one; bfloat16 inside."""
    a, b, c = NEWTON_SCHULZ
    x = matrices_BRC.bfloat16()
    tall = x.shape[-2] > x.shape[-1]
    if tall:
        x = x.mT
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(NEWTON_SCHULZ_STEPS):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    return (x.mT if tall else x).to(matrices_BRC.dtype)


class Muon(torch.optim.Optimizer):
    """Nesterov momentum whose steps are orthogonalised; weights of one shape are stepped together."""

    def __init__(
        self, weights: Iterable[nn.Parameter], *, lr: float, weight_decay: float, momentum: float = 0.95
    ) -> None:
        super().__init__(weights, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One update of every weight that has a gradient."""
        for group in self.param_groups:
            by_shape: dict[tuple[int, int], list[nn.Parameter]] = defaultdict(list)
            for weight in group["params"]:
                if weight.grad is not None:
                    by_shape[len(weight), weight[0].numel()].append(weight)
            for shape, weights in by_shape.items():
                self._step_together(shape, weights, group)

    def _step_together(self, shape: tuple[int, int], weights: list[nn.Parameter], group: dict[str, Any]) -> None:
        rows, columns = shape
        directions = torch.stack([self._direction(weight, group["momentum"]) for weight in weights])
        rate = group["lr"] * math.sqrt(max(1.0, rows / columns))
        for weight, step in zip(weights, orthogonalised(directions), strict=True):
            weight.mul_(1 - group["lr"] * group["weight_decay"]).add_(step.view_as(weight), alpha=-rate)

    def _direction(self, weight: nn.Parameter, momentum: float) -> Tensor:
        gradient = weight.grad
        if gradient is None:
            raise ValueError("only weights with a gradient are stepped")
        state = self.state[weight]
        if not state:
            state["momentum"] = torch.zeros_like(weight)
        state["momentum"].lerp_(gradient, 1 - momentum)
        return gradient.lerp(state["momentum"], momentum).flatten(1)


def build_optimizers(
    task: nn.Module, muon_weights: list[nn.Parameter], optimisation: Optimisation
) -> list[torch.optim.Optimizer]:
    """Muon for the given weights of the task, AdamW for its others."""
    inside = {id(weight) for weight in muon_weights}
    others = [parameter for parameter in task.parameters() if id(parameter) not in inside]
    decay = optimisation.weight_decay
    return [
        Muon(muon_weights, lr=optimisation.muon_learning_rate, weight_decay=decay),
        torch.optim.AdamW(others, lr=optimisation.adam_learning_rate, betas=(0.9, 0.99), weight_decay=decay),
    ]


def rate_factor(optimisation: Optimisation, step: int) -> float:
    """Share of the full learning rates at a step: linear warm-up, then half a cosine down to zero."""
    warmup = min(1.0, (step + 1) / max(1, optimisation.warmup_steps))
    return warmup * 0.5 * (1 + math.cos(math.pi * step / optimisation.steps))


def set_rates(optimizers: list[torch.optim.Optimizer], factor: float) -> None:
    """Sets all learning rates to a share of the full ones."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = factor * optimizer.defaults["lr"]
