"""The layer that turns text encoder states into what a network's blocks attend to, loaded without the network.

The text stage projects: Reason1's states are 200 MB for a prompt, and 1 MB once projected.
"""

import torch
from torch import nn

from airshower.models.checkpoints.files import Stored

_WEIGHT, _BIAS = "crossattn_proj.0.weight", "crossattn_proj.0.bias"


def text_projection(weights: Stored, device: torch.device, dtype: torch.dtype) -> nn.Sequential:
    """(M, text_in_channels) -> (M, text_channels) from a network's weights by published name; empty if it has none."""
    if _WEIGHT not in weights:
        return nn.Sequential()
    width, states = weights[_WEIGHT].shape
    with torch.device("meta"):
        linear = nn.Linear(states, width)
    tensors = {"weight": weights[_WEIGHT].read(), "bias": weights[_BIAS].read()}
    linear.load_state_dict({key: value.to(device, dtype) for key, value in tensors.items()}, assign=True)
    return nn.Sequential(linear, nn.GELU()).requires_grad_(False)
