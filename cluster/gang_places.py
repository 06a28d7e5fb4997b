"""Places on other nodes for gangs that are larger than a node: placement groups, and who frees them.

A gang's first rank is an actor that Ray scheduled by itself; for each further node of the gang it reserves a place the
size of its own. Ray frees a placement group only at the end of the job, so its name says whose it is: of which life of
which actor. The next life of that actor frees it, and so does the run's driver, which sees first ranks that can't start
again as well, and which frees all at the end. A killed driver's job ends, and with it everything of it.

Why gangs don't wait for each other: all places are alike and at most as many gangs are started as the nodes had room
for (`airshower.cluster.inventory.gang_room`), so whichever places first ranks take, the others' are left; and a
placement group is reserved as a whole or not at all. Where nodes were lost since, or another run has gangs here, too,
all gangs that are left may hold one part and wait for the others: the driver of the latest run then says so.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airshower.cluster.lost_nodes import taking_leave

if TYPE_CHECKING:
    from ray.util.placement_group import PlacementGroup

_PREFIX = "airshower-gang"
_STANDOFF_S = 600.0  # time for new nodes to come


class NoPlacesError(RuntimeError):
    """There is no room yet; the same call later goes on waiting for it."""


def reserved_places(nodes: int, timeout_s: float) -> "PlacementGroup":
    """Places for the actor that calls this, which holds one itself; raises NoPlacesError where none come in time.

    Frees those of its earlier lives first; those that it has, or waits for, stay.
    """
    from ray import get_runtime_context
    from ray.util import placement_group

    context = get_runtime_context()
    actor = context.get_actor_id()
    if actor is None:
        raise ValueError("places on other nodes are an actor's, and this process is none")
    owner = _Owner(job=context.get_job_id(), actor=actor, life=_lives(actor))
    own = None
    for group in _groups():
        if group.owner == owner:
            own = group.handle()
        elif group.owner.actor == actor:
            group.free()
    size = context.get_assigned_resources()
    if own is None:
        # PACK: parts of a gang are better on one node than on two, where one has room for both.
        own = placement_group([size] * nodes, strategy="PACK", name=str(owner))
    if not own.wait(timeout_s):
        each = ", ".join(f"{amount:g} {name}" for name, amount in sorted(size.items(), reverse=True))
        raise NoPlacesError(f"a gang waits for room on other nodes: {nodes} x ({each})")
    return own


def free(places: "PlacementGroup") -> None:
    """Whatever runs there ends."""
    from ray.util import remove_placement_group

    remove_placement_group(places)


@contextmanager
def places_kept() -> Iterator[Callable[[], str | None]]:
    """For a run's driver: what it yields is to be called every few seconds, and frees places of first ranks that are
    gone; at the end all of the job's are freed.

    The call returns what is wrong where no gang can ever start again: each of several waits for what another one holds.
    """
    from ray import get_runtime_context

    job = get_runtime_context().get_job_id()

    def free_all() -> None:
        for group in _groups():
            if group.owner.job == job:
                group.free()

    with taking_leave(free_all):
        yield _Keeper(job).look


class _Keeper:
    """The driver's eye on the places of its job."""

    def __init__(self, job: str) -> None:
        self._job = job
        self._standoff_since_s: float | None = None

    def look(self) -> str | None:
        groups = _groups()
        for group in groups:
            if group.owner.job == self._job and group.owner.is_gone():
                group.free()
        waiting = [group for group in groups if group.state == "PENDING"]
        ours_yields = max((group.owner.job for group in waiting), default=None) == self._job
        if len(waiting) < 2 or len(waiting) < len(groups) or not ours_yields:
            self._standoff_since_s = None
            return None
        now_s = time.monotonic()
        self._standoff_since_s = self._standoff_since_s or now_s
        if now_s - self._standoff_since_s < _STANDOFF_S:
            return None
        return (
            f"{len(waiting)} gangs hold a part of their GPUs each and wait for the others: nodes were lost, or another "
            "run has gangs across nodes here: the same command again goes on with as many gangs as there is room for"
        )


@dataclass(frozen=True, kw_only=True)
class _Owner:
    """A first rank, and its how many-th process."""

    job: str
    actor: str
    life: int

    def __str__(self) -> str:
        return f"{_PREFIX}:{self.job}:{self.actor}:{self.life}"

    def is_gone(self) -> bool:
        from ray._private.state import state

        actor = state.actor_table(self.actor)
        return not actor or actor["State"] == "DEAD" or actor["NumRestarts"] > self.life


@dataclass(frozen=True, kw_only=True)
class _Group:
    """A placement group that isn't removed."""

    id: str
    owner: _Owner
    state: str

    def handle(self) -> "PlacementGroup":
        from ray import PlacementGroupID
        from ray.util.placement_group import PlacementGroup

        return PlacementGroup(PlacementGroupID(bytes.fromhex(self.id)))

    def free(self) -> None:
        free(self.handle())


def _groups() -> list[_Group]:
    """All gangs' of the cluster."""
    from ray.util import placement_group_table

    groups = []
    for id, group in placement_group_table().items():
        prefix, *parts = group["name"].split(":")
        if prefix == _PREFIX and group["state"] != "REMOVED":
            job, actor, life = parts
            groups.append(_Group(id=id, owner=_Owner(job=job, actor=actor, life=int(life)), state=group["state"]))
    return groups


def _lives(actor: str) -> int:
    """How often an actor was started again; counted when it has died, so the same for all of a life."""
    from ray._private.state import state  # as Ray's own tools ask; there is no public way without its dashboard

    return state.actor_table(actor)["NumRestarts"]
