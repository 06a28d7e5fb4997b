"""Places that gangs reserve on other nodes: whoever is killed, they are free again, and nobody waits for ever."""

import os
import signal
import time
from collections.abc import Iterator

import pytest
import ray
from ray.util import placement_group_table

from airshower.cluster import gang_places
from airshower.cluster.gang_places import NoPlacesError, places_kept, reserved_places

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("cluster")]  # of two CPUs

WITHIN_S = 10


class FirstRank:
    """One CPU is its own, another one it reserves."""

    def __init__(self) -> None:
        try:
            reserved_places(1, timeout_s=1)
            self.reserved = True
        except NoPlacesError:
            self.reserved = False

    def pid(self) -> int:
        return os.getpid()

    def has_places(self) -> bool:
        return self.reserved


def first_rank(restarts: int = 0) -> "ray.actor.ActorHandle":
    return ray.remote(num_cpus=1, max_restarts=restarts, max_task_retries=-1)(FirstRank).remote()


def reserved() -> list[str]:
    return [group["name"] for group in placement_group_table().values() if group["state"] != "REMOVED"]


def seconds() -> Iterator[float]:
    """Until it is too late."""
    until_s = time.monotonic() + WITHIN_S
    while (now_s := time.monotonic()) < until_s:
        yield now_s
        time.sleep(0.1)
    pytest.fail(f"reserved {reserved()}, free {ray.available_resources()}")


def test_the_driver_frees_what_nobody_comes_back_for():
    with places_kept() as look:
        rank = first_rank()
        assert ray.get(rank.has_places.remote())
        assert look() is None
        assert len(reserved()) == 1  # while it lives
        os.kill(ray.get(rank.pid.remote()), signal.SIGKILL)
        for _ in seconds():
            look()
            if not reserved() and ray.available_resources().get("CPU") == 2:
                break


def test_the_next_life_of_a_first_rank_frees_what_the_last_one_had():
    with places_kept():
        rank = first_rank(restarts=-1)
        before = ray.get(rank.pid.remote())
        (name,) = reserved()
        os.kill(before, signal.SIGKILL)
        for _ in seconds():
            if ray.get(rank.pid.remote()) != before and name not in reserved():
                break
        assert len(reserved()) == 1  # its own
    assert reserved() == []
    ray.kill(rank)


def test_gangs_that_wait_for_each_other_are_told_so(monkeypatch):
    monkeypatch.setattr(gang_places, "_STANDOFF_S", 0.0)
    with places_kept() as look:
        ranks = [first_rank(), first_rank()]
        assert ray.get([rank.has_places.remote() for rank in ranks]) == [False, False]
        assert "2 gangs hold a part of their GPUs each" in str(look())
        ray.kill(ranks[0])
        for _ in seconds():
            if look() is None and reserved():  # the other one has its place
                break
        ray.kill(ranks[1])
