"""Members of a gang on this machine: processes that are told what to do over pipes, and that end with this one.

What they are told is packed bytes (`gang_orders`), so that this process need not know PyTorch. They are killed with
this process; what happens here when one of them ends is up to `watch`. Members wait for orders on a pipe, never in a
collective, which would time out.

Assumes that they are started in the thread that stays for the process's life (of an actor: its constructor), because
the kernel ties a member's life to it.
"""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection

from airshower.cluster.own_package import environment, module_command

HERE, DONE = b"here", b"done"  # what a member says

_LEAVE_S = 10.0


class GangError(RuntimeError):
    """A gang can't be formed; the message says what is missing."""


class LocalMembers:
    """Some ranks of a gang."""

    def __init__(self, memberships: Sequence[bytes]) -> None:
        """Starts them, and doesn't wait for them."""
        self._members = [_Member() for _ in memberships]
        for member, membership in zip(self._members, memberships, strict=True):
            member.pipe.send_bytes(membership)

    def wait_until_here(self, timeout_s: float) -> None:
        """Until all are ready to meet the first rank; raises GangError where one ends or isn't in time."""
        until_s = time.monotonic() + timeout_s
        for member in self._members:
            member.wait_until_here(until_s)

    def watch(self, on_end: Callable[[str], None]) -> None:
        """Calls back, from a thread, for every member that ends."""
        for member in self._members:
            threading.Thread(target=member.watch, args=(on_end,), name="gang-member", daemon=True).start()

    @property
    def processes(self) -> list[int]:
        return [member.process.pid for member in self._members]

    def tell(self, order: bytes) -> None:
        """Lets all of them do something; raises OSError where one is gone."""
        for member in self._members:
            member.pipe.send_bytes(order)
            member.busy += 1

    def finished(self, timeout_s: float | None) -> bool:
        """Whether all have done what they were told, or do so in time; None waits for them. False where one is gone."""
        return all(member.finished(timeout_s) for member in self._members)

    def close(self) -> None:
        """Ends them; one that waits for others in vain has to be killed."""
        for member in self._members:
            member.pipe.close()
        for member in self._members:
            try:
                member.process.wait(timeout=_LEAVE_S)
            except subprocess.TimeoutExpired:
                member.process.kill()
                member.process.wait()


class _Member:
    """One member's process and this end of its pipe."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        command = module_command("airshower.actors.gang_member", str(theirs.fileno()), str(os.getpid()))
        # what this process can import, the member can: Ray adds folders of a job to sys.path alone
        found = environment(*sys.path)
        self.process = subprocess.Popen(command, pass_fds=[theirs.fileno()], env=found)  # in our process group
        theirs.close()
        self.pipe = Connection(ours.detach())
        self.busy = 0  # orders without an answer

    def wait_until_here(self, until_s: float) -> None:
        try:
            said = self.pipe.recv_bytes() if self.pipe.poll(max(0.0, until_s - time.monotonic())) else None
        except (EOFError, ConnectionError):
            status = self.process.wait()
            raise GangError(f"a rank of the gang ended with status {status} while it was starting") from None
        if said != HERE:
            raise GangError("a rank of the gang has not started in time")

    def watch(self, on_end: Callable[[str], None]) -> None:
        status = self.process.wait()
        on_end(f"a rank of the gang ended with status {status}")

    def finished(self, timeout_s: float | None) -> bool:
        try:
            while self.busy and self.pipe.poll(timeout_s):
                self.pipe.recv_bytes()
                self.busy -= 1
        except (EOFError, ConnectionError):
            return False
        return not self.busy
