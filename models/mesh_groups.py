"""A mesh of processes: its collectives are those of `torch.distributed`, NCCL's on GPUs and gloo's on CPUs.

Tokens move by all-to-all in contiguous buffers of sizes that are known beforehand, so that nothing waits for a GPU.
For inference: gradients don't cross ranks. A rank that dies leaves the others waiting until the timeout; whoever starts
them ends them together.
"""

from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed import ProcessGroup, Store, TCPStore

from airshower.configs.gang_layout import GangLayout
from airshower.models.mesh import WHOLE_FRAMES, Tokens
from airshower.models.mesh_mover import GroupGatherer


class ProcessMesh:
    """The ranks of one gang, seen from one of them."""

    def __init__(
        self,
        layout: GangLayout,
        device: torch.device,
        *,
        everyone: ProcessGroup,
        tokens: ProcessGroup,
        guidance: ProcessGroup | None,
    ) -> None:
        """`tokens` are the ranks of this one's guidance group, `guidance` this one and its partner in the other."""
        self.layout = layout
        self.device = device
        self.rank = everyone.rank()
        self._everyone, self._tokens, self._guidance = everyone, tokens, guidance

    def tokens(self, per_frame: int) -> Tokens:
        """The first ranks take one token more where they don't divide a frame."""
        ranks = self._tokens.size()
        if ranks == 1:
            return WHOLE_FRAMES
        if per_frame < ranks:
            raise ValueError(f"{per_frame} tokens in a frame for {ranks} ranks: use a larger clip or fewer ranks")
        most, least = -(-per_frame // ranks), per_frame // ranks
        return _SharedFrames(self._tokens, [most if rank < per_frame % ranks else least for rank in range(ranks)])

    def both(self, positive: Callable[[], Tensor], negative: Callable[[], Tensor]) -> tuple[Tensor, Tensor]:
        """Side by side where there are two groups for guidance."""
        if self._guidance is None:
            return positive(), negative()
        own = negative() if self._guidance.rank() else positive()
        first, second = _exchange([own, own], [own.shape, own.shape], self._guidance)
        return first, second

    def gatherer(self) -> GroupGatherer:
        """For a network whose weights are spread over all ranks."""
        return GroupGatherer(self._everyone, self.device)

    def agree(self, stop: bool) -> bool:
        """Over host memory: a GPU that is at work isn't waited for."""
        votes = torch.tensor([int(stop)])
        dist.all_reduce(votes, op=dist.ReduceOp.MAX, group=self._everyone)
        return bool(votes.item())


class _SharedFrames:
    """Every latent frame's tokens, consecutive ones for each rank of a group."""

    def __init__(self, group: ProcessGroup, sizes: Sequence[int]) -> None:
        self._group, self._sizes = group, sizes
        self._own = sizes[group.rank()]
        self._begin = sum(sizes[: group.rank()])

    def own(self, x: Tensor, axis: int) -> Tensor:
        return x.narrow(axis, self._begin, self._own)

    def whole(self, x: Tensor, axis: int) -> Tensor:
        shapes = [(*x.shape[:axis], size, *x.shape[axis + 1 :]) for size in self._sizes]
        return torch.cat(_exchange([x] * len(shapes), shapes, self._group), dim=axis)

    def by_head(self, x_BNHK: Tensor) -> Tensor:
        x_BTSHK = x_BNHK.unflatten(1, (-1, self._own))
        parts = x_BTSHK.unflatten(3, (len(self._sizes), -1)).unbind(3)
        batch, frames, _, heads, width = parts[0].shape
        shapes = [(batch, frames, size, heads, width) for size in self._sizes]
        return torch.cat(_exchange(parts, shapes, self._group), dim=2).flatten(1, 2)

    def by_token(self, x_BMD: Tensor) -> Tensor:
        parts = x_BMD.unflatten(1, (-1, sum(self._sizes))).split(self._sizes, dim=2)
        shape = parts[self._group.rank()].shape
        return torch.cat(_exchange(parts, [shape] * len(parts), self._group), dim=-1).flatten(1, 2)


def _exchange(parts: Sequence[Tensor], shapes: Sequence[Sequence[int]], group: ProcessGroup) -> list[Tensor]:
    """Part i goes to rank i of a group; returns what each rank has sent here, whose shapes are known."""
    if any(part.requires_grad for part in parts):
        raise ValueError("a mesh of processes is for inference: use torch.inference_mode()")
    counts, sizes = [part.numel() for part in parts], [torch.Size(shape).numel() for shape in shapes]
    sent = parts[0].new_empty(sum(counts))
    for place, part in zip(sent.split(counts), parts, strict=True):
        place.view(part.shape).copy_(part)
    received = sent.new_empty(sum(sizes))
    dist.all_to_all_single(received, sent, sizes, counts, group=group)
    return [flat.view(*shape) for flat, shape in zip(received.split(sizes), shapes, strict=True)]


def opened_rendezvous(host: str, timeout_s: float) -> tuple[str, Store]:
    """Where ranks on other nodes can meet rank 0, which calls this: for them an address, for itself what is there."""
    # Port 0: a free one, and nobody can take it before we do.
    store = TCPStore(host, 0, is_master=True, wait_for_workers=False, timeout=timedelta(seconds=timeout_s))
    return f"tcp://{host}:{store.port}", store


def join_gang(
    layout: GangLayout, rank: int, rendezvous: str | Store, device: torch.device, timeout_s: float = 600.0
) -> ProcessMesh:
    """Meets the other ranks; returns once all of them have called it.

    `rendezvous` is where: a URL of a file that is empty or not there yet, or on several nodes what `opened_rendezvous`
    gives. A process is in one gang at a time. A rank that doesn't come, or doesn't answer later, is an error on the
    others after the timeout.
    """
    on_gpu, timeout = device.type == "cuda", timedelta(seconds=timeout_s)
    meeting = _reached(rendezvous, timeout)
    if on_gpu:
        torch.cuda.set_device(device)  # where NCCL works
    dist.init_process_group(
        "cpu:gloo,cuda:nccl" if on_gpu else "gloo",
        init_method=meeting if isinstance(meeting, str) else None,
        store=None if isinstance(meeting, str) else meeting,
        rank=rank,
        world_size=layout.ranks,
        timeout=timeout,
    )
    group = partial(dist.new_group, timeout=timeout)  # every rank takes part in the making of every group
    groups, size = range(layout.guidance_groups), layout.token_ranks
    tokens = [group([number * size + token_rank for token_rank in range(size)]) for number in groups]
    pairs = [group([token_rank, size + token_rank]) for token_rank in range(size)] if len(groups) > 1 else None
    guidance = None if pairs is None else pairs[rank % size]
    return ProcessMesh(layout, device, everyone=group(), tokens=tokens[rank // size], guidance=guidance)


def _reached(rendezvous: str | Store, timeout: timedelta) -> str | Store:
    """As PyTorch takes it: from an address it would make a store with other keys than of one that it is given."""
    if isinstance(rendezvous, str) and rendezvous.startswith("tcp:"):
        host, _, port = rendezvous.removeprefix("tcp://").rpartition(":")
        return TCPStore(host, int(port), timeout=timeout)
    return rendezvous


def leave_gang() -> None:
    """Ends this process's part in its gang."""
    dist.destroy_process_group()
