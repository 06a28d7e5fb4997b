"""The first rank's side of a gang: it starts the other ranks, tells them what to do, and ends with them.

The ranks are processes of this machine, one per GPU that this process has. None outlives another: members are killed
with this process, and this process ends when a member does, so that Ray frees all GPUs at once, starts the replica
again and retries the row. Members wait for orders on a pipe, never in a collective, which would time out.

Assumes that it is made in the thread that stays for the process's life (of an actor: its constructor), because the
kernel ties a member's life to it.
"""

import logging
import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import torch

from airshower.actors.gang_orders import Denoise, Load, Membership, received, sent
from airshower.configs.gang_layout import GangLayout
from airshower.configs.model_source import ModelSource
from airshower.models.denoise import SamplerSettings
from airshower.models.mesh_groups import join_gang, leave_gang
from airshower.models.sampling import ChunkConditions, GuidedRegion
from airshower.models.tensors import moved

_START_S = 300.0  # a member imports PyTorch, on a busy machine and from a slow disk
_COLLECTIVE_S = 600.0
_STOP_S = 30.0  # after an error, ranks that agree on it are done within a step

_CPU = torch.device("cpu")
_log = logging.getLogger(__name__)


class GangError(RuntimeError):
    """A gang can't be formed; the message says what is missing."""


class Gang:
    """All ranks of a replica."""

    def __init__(self, source: ModelSource, layout: GangLayout, device: torch.device, *, threads: int = 1) -> None:
        """Raises GangError where the GPUs or a member are missing."""
        if device.type == "cuda" and torch.cuda.device_count() < layout.ranks:
            raise GangError(f"a gang of {layout.ranks} GPUs, and this process has {torch.cuda.device_count()}")
        self._folder = tempfile.TemporaryDirectory(prefix="airshower-gang-")
        rendezvous = (Path(self._folder.name) / "rendezvous").as_uri()
        self._closing = False
        self._members = [_Member() for _ in range(1, layout.ranks)]
        for rank, member in enumerate(self._members, start=1):
            membership = Membership(
                source=source,
                layout=layout,
                rank=rank,
                rendezvous=rendezvous,
                device=f"cuda:{rank}" if device.type == "cuda" else "cpu",
                threads=threads,
                timeout_s=_COLLECTIVE_S,
            )
            sent(member.pipe, membership)
        for member in self._members:
            member.wait_for("here", _START_S)
        for rank, member in enumerate(self._members, start=1):
            threading.Thread(target=self._watch, args=(rank, member), name=f"gang-{rank}", daemon=True).start()
        self.mesh = join_gang(layout, 0, rendezvous, device, _COLLECTIVE_S)

    def close(self) -> None:
        """Ends the members, and not this process."""
        self._closing = True
        for member in self._members:
            member.pipe.close()
        for member in self._members:
            member.process.wait()
        leave_gang()

    @property
    def processes(self) -> list[int]:
        """Of the members."""
        return [member.process.pid for member in self._members]

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
        self._collect(_COLLECTIVE_S)
        self._tell(
            Denoise(network=network, conditions=moved(conditions, _CPU), settings=settings, region=moved(region, _CPU))
        )
        try:
            yield
        except BaseException as error:
            if not self._collect(_STOP_S):
                _log.error("the gang can't go on after: %s", error)
                os._exit(1)
            raise

    def _tell(self, order: Load | Denoise) -> None:
        for member in self._members:
            sent(member.pipe, order)
            member.busy += 1

    def _collect(self, timeout_s: float) -> bool:
        """Waits for what members were told before; False where one doesn't answer."""
        return all(member.finished(timeout_s) for member in self._members)

    def _watch(self, rank: int, member: "_Member") -> None:
        """Ends this process when the member ends."""
        status = member.process.wait()
        if self._closing:
            return
        _log.error("rank %d of the gang ended with status %d, and the replica with it", rank, status)
        os._exit(1)


class _Member:
    """One member's process and this end of its pipe."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        command = [sys.executable, "-m", "airshower.actors.gang_member", str(theirs.fileno()), str(os.getpid())]
        # what this process can import, the member can: Ray adds folders of a job to sys.path alone
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}
        self.process = subprocess.Popen(command, pass_fds=[theirs.fileno()], env=environment)  # in our process group
        theirs.close()
        self.pipe = Connection(ours.detach())
        self.busy = 0  # orders without an answer

    def wait_for(self, word: str, timeout_s: float) -> None:
        """Raises GangError unless the member says it in time."""
        try:
            said = received(self.pipe) if self.pipe.poll(timeout_s) else None
        except (EOFError, ConnectionError):
            status = self.process.wait()
            raise GangError(f"a rank of the gang ended with status {status} while it was starting") from None
        if said != word:
            raise GangError(f"a rank of the gang has not started within {timeout_s:.0f} s")

    def finished(self, timeout_s: float) -> bool:
        """Whether the member has done all it was told."""
        try:
            while self.busy and self.pipe.poll(timeout_s):
                received(self.pipe)
                self.busy -= 1
        except (EOFError, ConnectionError):
            return False
        return not self.busy
