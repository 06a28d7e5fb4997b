"""The layer that turns text encoder states into what a network's blocks attend to, read without the network.

The text stage projects: Reason1's states are 200 MB for a prompt, and 2 MB once projected.
"""

import torch
from torch import Tensor

from airshower.models.checkpoints.files import Stored

Projection = tuple[Tensor, Tensor]  # weight (C, states) and bias (C,) of a linear layer before an exact GELU

_WEIGHT, _BIAS = "crossattn_proj.0.weight", "crossattn_proj.0.bias"


def text_projection(weights: Stored, device: torch.device, dtype: torch.dtype) -> Projection | None:
    """From a network's weights by published name; None for a network that attends to the states themselves."""
    if _WEIGHT not in weights:
        return None
    return weights[_WEIGHT].read().to(device, dtype), weights[_BIAS].read().to(device, dtype)
