"""Exponential moving average of weights."""

from collections.abc import Mapping

import torch
from torch import Tensor


class Average:
    """Follows a set of tensors with a half-life in steps; early on it follows faster, to forget the start."""

    def __init__(self, tensors: Mapping[str, Tensor], halflife_steps: int) -> None:
        self.tensors = {key: tensor.detach().clone() for key, tensor in tensors.items()}
        self.halflife_steps = halflife_steps
        self.steps = 0

    @torch.no_grad()
    def update(self, tensors: Mapping[str, Tensor]) -> None:
        """Moves the average towards the current values."""
        self.steps += 1
        keep = min(0.5 ** (1 / self.halflife_steps), self.steps / (self.steps + 9))
        averaged = [self.tensors[key] for key in tensors]
        torch._foreach_lerp_(averaged, [tensor.detach() for tensor in tensors.values()], 1 - keep)
