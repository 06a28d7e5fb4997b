"""Ranks of a gang on other nodes: an actor for each node, whose processes they are, and the first rank's side of it.

The actors belong to the first rank: they end with it, and each ends with any of its ranks, whereupon the first rank
ends. Orders reach them as Ray calls.
"""

import os
import threading
from collections.abc import Callable, Sequence
from typing import Any, cast

import ray
from ray.actor import ActorHandle
from ray.exceptions import GetTimeoutError, RayError
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from airshower.actors.gang_members import GangError, LocalMembers
from airshower.cluster.gang_places import free, reserved_places
from airshower.cluster.network_interface import talk_where_ray_does

_STAY_AND_FOLLOW = 2  # calls at a time


class GangHost:
    """Members on the node of this actor."""

    def __init__(self, memberships: Sequence[bytes], timeout_s: float) -> None:
        talk_where_ray_does()
        self._members = LocalMembers(memberships)
        self._members.wait_until_here(timeout_s)
        self._members.watch(lambda _: os._exit(1))

    def stay(self) -> None:
        """Never returns: the call fails when this process ends."""
        threading.Event().wait()

    def processes(self) -> list[int]:
        """Of the members."""
        return self._members.processes

    def follow(self, order: bytes) -> None:
        """Returns when all members have done it; raises GangError when one is gone, and this process is about to be."""
        self._members.tell(order)
        if not self._members.finished(None):
            raise GangError("a rank of the gang has ended")


class RemoteMembers:
    """What `LocalMembers` is, for ranks on other nodes. Must be made in an actor."""

    def __init__(self, memberships: Sequence[Sequence[bytes]], start_s: float, places_s: float) -> None:
        """Each node's, as packed; raises NoPlacesError where there is no room for them in time."""
        self._places = reserved_places(len(memberships), places_s)
        self._start_s = start_s
        self._hosts = [self._host(place, ranks) for place, ranks in enumerate(memberships)]
        self._lives: list[ray.ObjectRef] = [host.stay.remote() for host in self._hosts]
        self._busy: list[ray.ObjectRef] = []

    def _host(self, place: int, memberships: Sequence[bytes]) -> "ActorHandle[GangHost]":
        size = self._places.bundle_specs[place]
        options: dict[str, Any] = {
            "num_cpus": size.get("CPU", 0),
            "num_gpus": size.get("GPU", 0),
            "max_concurrency": _STAY_AND_FOLLOW,
            "scheduling_strategy": PlacementGroupSchedulingStrategy(self._places, placement_group_bundle_index=place),
        }
        return cast("ActorHandle[GangHost]", ray.remote(**options)(GangHost).remote(memberships, self._start_s))

    def wait_until_here(self, timeout_s: float) -> None:
        try:
            ray.get([host.processes.remote() for host in self._hosts], timeout=timeout_s)
        except GetTimeoutError:
            raise GangError(f"ranks on other nodes have not started within {timeout_s:.0f} s") from None
        except RayError as error:
            raise GangError(f"ranks on another node could not be started: {' '.join(str(error).split())}") from error

    def watch(self, on_end: Callable[[str], None]) -> None:
        """Calls back, from a thread, when ranks on another node have ended."""
        for life in self._lives:
            threading.Thread(target=_watch, args=(life, on_end), name="gang-host", daemon=True).start()

    def tell(self, order: bytes) -> None:
        there = ray.put(order)  # once for all of them
        self._busy += [host.follow.remote(there) for host in self._hosts]

    def finished(self, timeout_s: float | None) -> bool:
        """Whether all have done what they were told, or do so in time; None waits for them. False where one is gone."""
        if not self._busy:
            return True
        done, self._busy = ray.wait(self._busy, num_returns=len(self._busy), timeout=timeout_s)
        try:
            ray.get(done)
        except RayError:
            return False
        return not self._busy

    def close(self) -> None:
        free(self._places)


def _watch(life: ray.ObjectRef, on_end: Callable[[str], None]) -> None:
    try:
        ray.get(life)
    except RayError as error:
        on_end(f"ranks of the gang on another node are gone: {' '.join(str(error).split())}")
