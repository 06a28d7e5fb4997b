"""A rank of a gang that isn't the first: a process that denoises when it is told to, and ends with the first rank.

It holds the network alone: encoding, decoding and everything else of a row stay with the first rank. Started by
`airshower.actors.gang_members` as `python -m airshower.actors.gang_member FD PARENT`, where FD is its end of a pipe.
"""

import ctypes
import os
import signal
import sys
from multiprocessing.connection import Connection

import torch

from airshower.actors.gang_members import DONE, HERE
from airshower.actors.gang_network import load_network
from airshower.actors.gang_orders import Denoise, Load, Membership, unpacked
from airshower.actors.local_parts import local_parts
from airshower.models.denoise import denoise
from airshower.models.dit.transformer import Transformer
from airshower.models.mesh import StoppedByAnotherRankError
from airshower.models.mesh_groups import ProcessMesh, join_gang
from airshower.models.tensors import moved

_PR_SET_PDEATHSIG = 1


class Member:
    """One rank: its networks and its place in the gang."""

    def __init__(self, membership: Membership, mesh: ProcessMesh) -> None:
        self._mesh = mesh
        self._device = torch.device(membership.device)
        self._parts = local_parts(membership.source)
        self._networks: dict[str, Transformer] = {}

    def follow(self, order: Load | Denoise) -> None:
        """Does what the first rank does at the same time."""
        net = self._network(order.network)
        if isinstance(order, Denoise):
            conditions, region = moved(order.conditions, self._device), moved(order.region, self._device)
            denoise(net, conditions, order.settings, region=region, mesh=self._mesh)

    def _network(self, name: str) -> Transformer:
        if name not in self._networks:
            self._networks = {name: load_network(self._parts, name, self._mesh, self._device)}
        return self._networks[name]


def end_with(parent: int) -> None:
    """This process is killed when its parent dies, however that happens."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before
        os._exit(1)


def main() -> None:
    descriptor, parent = int(sys.argv[1]), int(sys.argv[2])
    end_with(parent)
    pipe = Connection(descriptor)
    membership: Membership = unpacked(pipe.recv_bytes())
    torch.set_num_threads(membership.threads)
    pipe.send_bytes(HERE)
    device = torch.device(membership.device)
    mesh = join_gang(membership.layout, membership.rank, membership.rendezvous, device, membership.timeout_s)
    member = Member(membership, mesh)
    while True:
        try:
            order: Load | Denoise = unpacked(pipe.recv_bytes())
        except (EOFError, ConnectionError):  # the first rank is gone, or wants no more
            return
        try:
            with torch.inference_mode():
                member.follow(order)
        except (ValueError, StoppedByAnotherRankError):
            pass  # the first rank raises the same, or has raised: it is told there
        pipe.send_bytes(DONE)


if __name__ == "__main__":
    main()
