"""The first rank's side of a gang: it starts the other ranks, tells them what to do, and ends with them.

On this machine the ranks are processes below this one, one per GPU that it has; those of other nodes are below actors
of this one (`gang_host`). None outlives another: members are killed with this process, and this process ends when a
member does, so that Ray frees all GPUs at once, starts the replica again and retries the row.

Assumes what `gang_members` does of threads, and for several nodes that this process is an actor.
"""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

import torch
from torch.distributed import Store

from airshower.actors.gang_members import GangError, LocalMembers
from airshower.actors.gang_orders import Denoise, Load, Membership, packed
from airshower.configs.gang_layout import GangLayout
from airshower.configs.model_source import ModelSource
from airshower.models.denoise import SamplerSettings
from airshower.models.mesh_groups import join_gang, leave_gang, opened_rendezvous
from airshower.models.sampling import ChunkConditions, GuidedRegion
from airshower.models.tensors import moved

_PLACES_S = 60.0  # until somebody is told that there are none yet
_START_S = 300.0  # a member imports PyTorch, on a busy machine and from a slow disk
_COLLECTIVE_S = 600.0
_STOP_S = 30.0  # after an error, ranks that agree on it are done within a step

_CPU = torch.device("cpu")
_log = logging.getLogger(__name__)


class Members(Protocol):
    """The ranks of this machine, or those of all others."""

    def wait_until_here(self, timeout_s: float) -> None: ...

    def watch(self, on_end: Callable[[str], None]) -> None: ...

    def tell(self, order: bytes) -> None: ...

    def finished(self, timeout_s: float | None) -> bool: ...

    def close(self) -> None: ...


class Gang:
    """All ranks of a replica."""

    def __init__(self, source: ModelSource, layout: GangLayout, device: torch.device, *, threads: int = 1) -> None:
        """Raises GangError where the GPUs or a member are missing, NoPlacesError where there is no room elsewhere."""
        if device.type == "cuda" and torch.cuda.device_count() < layout.node_ranks:
            raise GangError(f"a gang of {layout.node_ranks} GPUs, and this process has {torch.cuda.device_count()}")
        self._closing = False
        self._members: list[Members] = []
        self._in_memory = os.fdopen(os.memfd_create("rendezvous"))  # leaves nothing on a disk, however this ends
        address, meeting = self._rendezvous(layout)

        def membership(rank: int) -> bytes:
            return packed(
                Membership(
                    source=source,
                    layout=layout,
                    rank=rank,
                    rendezvous=address,
                    device=f"cuda:{rank % layout.node_ranks}" if device.type == "cuda" else "cpu",
                    threads=threads,
                    timeout_s=_COLLECTIVE_S,
                )
            )

        try:
            self._start([[membership(rank) for rank in ranks] for ranks in _by_node(layout)])
            self.mesh = join_gang(layout, 0, meeting, device, _COLLECTIVE_S)
        except BaseException:
            self._end_members()
            raise

    def _rendezvous(self, layout: GangLayout) -> tuple[str, str | Store]:
        """Where ranks meet: as members are told, and as this one is."""
        if layout.nodes == 1:
            file = f"file:///proc/{os.getpid()}/fd/{self._in_memory.fileno()}"
            return file, file
        from ray.util import get_node_ip_address

        from airshower.cluster.network_interface import talk_where_ray_does

        talk_where_ray_does()
        return opened_rendezvous(get_node_ip_address(), _START_S)

    def _start(self, memberships: list[list[bytes]]) -> None:
        here, *elsewhere = memberships
        if elsewhere:
            from airshower.actors.gang_host import RemoteMembers  # imports Ray

            self._members.append(RemoteMembers(elsewhere, _START_S, _PLACES_S))
        self._members.append(LocalMembers(here))
        for members in self._members:
            members.wait_until_here(_START_S)
        for members in self._members:
            members.watch(self._end)

    def close(self) -> None:
        """Ends the members, and not this process."""
        self._end_members()
        leave_gang()
        self._in_memory.close()

    def load(self, network: str) -> None:
        """Lets all members load a network while this process does."""
        self._tell(Load(network=network))

    @contextmanager
    def denoising(
        self, network: str, conditions: ChunkConditions, settings: SamplerSettings, region: GuidedRegion | None
    ) -> Iterator[None]:
        """All members denoise with what this process does within the block.

        An error that not all ranks have would leave members in the middle of a step, waiting: then the process ends.
        """
        if not self._collect(_COLLECTIVE_S):
            self._end("a rank of the gang has not finished the clip before")
        self._tell(
            Denoise(network=network, conditions=moved(conditions, _CPU), settings=settings, region=moved(region, _CPU))
        )
        try:
            yield
        except BaseException as error:
            if not self._collect(_STOP_S):
                self._end(f"the gang can't go on after: {error}")
            raise

    def _tell(self, order: Load | Denoise) -> None:
        told = packed(order)
        try:
            for members in self._members:
                members.tell(told)
        except OSError as error:
            self._end(f"a rank of the gang can't be told anything: {error}")

    def _collect(self, timeout_s: float) -> bool:
        """Waits for what members were told before; False where one doesn't answer."""
        return all(members.finished(timeout_s) for members in self._members)

    def _end_members(self) -> None:
        self._closing = True
        for members in self._members:
            members.close()

    def _end(self, why: str) -> None:
        """Ends this process, for want of a member: then the row is retried, where an error would be the row's own."""
        if self._closing:
            return
        _log.error("%s, and the replica ends with it", why)
        os._exit(1)


def _by_node(layout: GangLayout) -> Iterator[range]:
    """The ranks of each node, without the first of all."""
    for node in range(layout.nodes):
        first = node * layout.node_ranks
        yield range(max(1, first), first + layout.node_ranks)
