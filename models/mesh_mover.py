"""Weights that come from all ranks of a mesh: an all-gather beside the computation."""

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed import ProcessGroup

from airshower.models.host_weights import Wait

# The second is the first's name before PyTorch 2.13.
_all_gather = getattr(dist, "all_gather_single", dist.all_gather_into_tensor)


class GroupGatherer:
    """Gathers parts into places.

    The group is one that the network's own exchange of tokens doesn't use, so that neither waits for the other; all
    ranks start both in the same order. NCCL runs behind what is queued on the current stream, as a carrier must.
    """

    def __init__(self, group: ProcessGroup, device: torch.device) -> None:
        self.device = device
        self.rank, self.ranks = group.rank(), group.size()
        self._group = group

    def place(self, size_bytes: int) -> Tensor:
        return torch.empty(size_bytes, dtype=torch.uint8, device=self.device)

    def start(self, place: Tensor, source: Tensor) -> Wait:
        work = _all_gather(place, source, group=self._group, async_op=True)
        return lambda: work.wait()
