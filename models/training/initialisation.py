"""Initial values of a transformer that is trained from scratch."""

import torch
from torch import nn

from airshower.models.dit.block import ControlBlock
from airshower.models.dit.layers import Modulation, TimestepEmbedding
from airshower.models.dit.transformer import Transformer


def initialise(net: Transformer, generator: torch.Generator) -> None:
    """Linear layers by fan-in; gates, hints and the output start at zero: every block starts as the identity."""
    for module in net.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=module.in_features**-0.5, generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    for module in net.modules():
        if isinstance(module, Modulation):
            _, up = module.linears()
            nn.init.zeros_(up.weight)
        if isinstance(module, ControlBlock):
            nn.init.zeros_(module.after_proj.weight)
    nn.init.zeros_(net.final_layer.linear.weight)
    for module in net.t_embedder:
        if isinstance(module, TimestepEmbedding):
            nn.init.zeros_(module.linear_2.weight)
