"""A network for ranks that can't hold all of it: of every block each rank has one part of the weights.

Before a block computes, its parts are gathered from all ranks into one of two places, while the block before it
computes. Apart from where weights are, a network does what it did: results are the same bit for bit. Loading reads only
what a rank keeps, one weight at a time.
"""

from collections.abc import Callable, Collection
from functools import partial
from math import ceil
from typing import Protocol

import torch
from torch import Tensor, nn

from airshower.configs.network import DitConfig
from airshower.models.dit.block import BESIDE_FORWARD
from airshower.models.dit.transformer import Transformer
from airshower.models.host_weights import ALIGNMENT_BYTES, Carrier, PackedWeights, take_weights
from airshower.models.streamed_layers import StreamedLayers


class Gatherer(Carrier, Protocol):
    """Brings weights from the parts that all ranks have; parts are on the ranks' devices and equally long."""

    rank: int
    ranks: int


def sharded_network(
    config: DitConfig, read: Callable[[str], Tensor], gatherer: Gatherer, dtype: torch.dtype
) -> Transformer:
    """The network in inference mode; `read` gives the weight of one of our names, wherever it is, in any type.

    All ranks call it, and the network, alike.
    """
    with torch.device("meta"):
        net = Transformer(config).to(dtype)
    names = {parameter: name for name, parameter in net.named_parameters()}
    with torch.inference_mode(False):
        packed = [
            _own_part(block, gatherer, lambda parameter: read(names[parameter]), BESIDE_FORWARD)
            for block in net.all_blocks()
        ]
        whole = {name: read(name).to(gatherer.device, dtype) for name in net.state_dict()}
    net.load_state_dict(whole, strict=True, assign=True)
    StreamedLayers(net.all_blocks(), packed, gatherer)
    return net.eval().requires_grad_(False)


def _own_part(
    module: nn.Module, gatherer: Gatherer, read: Callable[[nn.Parameter], Tensor], staying: Collection[str]
) -> PackedWeights:
    """This rank's part of the module's packed weights."""
    weights, parameters, size_bytes = take_weights(module, staying)
    part_bytes = ceil(size_bytes / gatherer.ranks / ALIGNMENT_BYTES) * ALIGNMENT_BYTES
    first, last = gatherer.rank * part_bytes, (gatherer.rank + 1) * part_bytes
    part = torch.zeros(part_bytes, dtype=torch.uint8, device=gatherer.device)
    for weight, parameter in zip(weights, parameters, strict=True):
        begin, end = max(first, weight.begin), min(last, weight.end)
        if begin < end:
            own = slice((begin - weight.begin) // weight.dtype.itemsize, (end - weight.begin) // weight.dtype.itemsize)
            part[begin - first : end - first].view(weight.dtype).copy_(read(parameter).flatten()[own])
    absent = partial(torch.empty, device="meta")  # using one by mistake is an error
    at_rest = [nn.Parameter(absent(weight.shape, dtype=weight.dtype), requires_grad=False) for weight in weights]
    return PackedWeights(weights, part_bytes * gatherer.ranks, part, at_rest)
