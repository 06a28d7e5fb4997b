"""Gangs inside a run: clips as of one device, and whatever is killed, rows are made and GPUs are free again."""

import os
import signal
import time

import numpy as np
import psutil
import pytest
import ray

from airshower.actors.gang import Gang
from airshower.configs.gang_layout import GangLayout
from airshower.configs.model_source import ModelSource
from airshower.configs.presets import tiny_transfer
from airshower.pipelines.events import RowProgress
from airshower.pipelines.generate import GenerateSettings, generate
from airshower.pipelines.media import read_video
from airshower.pipelines.rows import read_rows
from tests.processes import commands_below

pytestmark = pytest.mark.cluster

SOURCE = ModelSource(preset=tiny_transfer())
TWO = GangLayout(token_ranks=2)


def members() -> list[psutil.Process]:
    """All members of gangs that are alive on this machine below this process."""
    return [process for process, command in commands_below() if "airshower.actors.gang_member" in command]


@pytest.mark.usefixtures("cluster")
def test_a_killed_rank_costs_a_retry_and_no_row(tmp_path, pytestconfig):
    specs = [str(pytestconfig.rootpath / "configs" / "examples" / "street_edge.json")]
    short = {"max_frames": 9, "num_steps": 8}
    rows = read_rows(specs, overrides=short, preset=tiny_transfer())
    killed = []

    def kill_once(event: object) -> None:
        if isinstance(event, RowProgress) and not killed and (found := members()):
            killed.append(found[0].pid)
            os.kill(found[0].pid, signal.SIGKILL)

    settings = GenerateSettings(source=SOURCE, device="cpu", replicas=1, stall_timeout_s=120)
    gang = GenerateSettings(source=SOURCE, device="cpu", replicas=1, stall_timeout_s=120, gang=TWO)
    summary = generate(rows, str(tmp_path / "gang"), gang, kill_once)
    assert killed
    assert (summary.done, summary.failed) == (1, 0)
    generate(rows, str(tmp_path / "one"), settings)
    made, wanted = (read_video(str(tmp_path / name / "street_edge.mp4")).frames for name in ("gang", "one"))
    assert np.abs(made.astype(int) - wanted).mean() < 0.5  # H.264 makes more of a level of difference
    assert not members()


@pytest.mark.parametrize("victim", ["leader", "member"])
def test_the_gpus_of_a_killed_gang_are_free_within_ten_seconds(no_cluster, victim):
    ray.init(address="local", num_cpus=2, num_gpus=2, include_dashboard=False, log_to_driver=False)
    try:
        leader = ray.remote(num_gpus=2, num_cpus=1)(Leader).remote()
        pid, member = ray.get(leader.processes.remote())
        assert ray.available_resources().get("GPU", 0) == 0
        os.kill(pid if victim == "leader" else member, signal.SIGKILL)
        deadline_s = time.monotonic() + 10
        while ray.available_resources().get("GPU", 0) < 2 or members():
            assert time.monotonic() < deadline_s, f"GPUs {ray.available_resources()}, members {members()}"
            time.sleep(0.1)
    finally:
        ray.shutdown()


class Leader:
    """The first rank of a gang in an actor."""

    def __init__(self) -> None:
        import torch

        self._gang = Gang(SOURCE, TWO, torch.device("cpu"))

    def processes(self) -> tuple[int, int]:
        return os.getpid(), members()[0].pid
