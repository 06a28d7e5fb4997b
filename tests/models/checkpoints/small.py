"""A small Transfer2.5 network with random weights, and what a published file of it holds."""

from dataclasses import replace

import torch
from torch import Tensor

from airshower.configs.network import ControlConfig, DitConfig, ImageConfig, RopeConfig
from airshower.models.dit.keys import published_key
from airshower.models.dit.transformer import Transformer

CONFIG = DitConfig(
    blocks=4,
    width=64,
    heads=2,
    mlp_width=256,
    adaln_rank=8,
    text_in_channels=80,
    text_channels=48,
    rope=RopeConfig(precision="bfloat16_exponents"),
    control=ControlConfig(branches=("edge",), injected_after=(0, 2)),
)
WITH_IMAGE = replace(CONFIG, image=ImageConfig(channels=40))


def random_network(config: DitConfig, seed: int = 0) -> Transformer:
    random = torch.Generator().manual_seed(seed)
    net = Transformer(config).eval().requires_grad_(False)
    for value in net.state_dict().values():
        value.copy_(torch.randn(value.shape, generator=random) * 0.2 + (value.ndim == 1))
    return net


def published(net: Transformer, prefix: str = "net.") -> dict[str, Tensor]:
    """The network's weights as a released file names them, with what else is in such a file."""
    weights = {prefix + published_key(key, net.config): value for key, value in net.state_dict().items()}
    extras = {
        "accum_iteration": torch.tensor(7),
        "pos_embedder.seq": torch.arange(128.0),
        "blocks.0.self_attn.q_proj._extra_state": torch.zeros(0, dtype=torch.uint8),
    }
    return weights | {prefix + key: value for key, value in extras.items()}
