"""Gangs that no node has room for: clips as of one device; whatever is killed, rows are made and nothing stays."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import ray
from ray._private.state import state
from ray.cluster_utils import Cluster
from ray.util import placement_group_table

from airshower.actors.replica import Replica
from airshower.actors.row_texts import row_texts
from airshower.actors.text_encoder import TextEncoder
from airshower.cluster.packing import unpack_frames
from airshower.configs.gang_layout import GangLayout
from airshower.configs.model_source import ModelSource
from airshower.configs.presets import tiny_transfer
from airshower.pipelines.events import RowProgress
from airshower.pipelines.generate import GenerateSettings, generate
from airshower.pipelines.media import read_video, write_video
from airshower.pipelines.prepare_row import prepare_row
from airshower.pipelines.rows import read_rows
from tests.pipelines.test_gang_run import members

pytestmark = pytest.mark.cluster

SOURCE = ModelSource(preset=tiny_transfer())
WITHIN_S = 10


@pytest.fixture
def two_nodes(no_cluster: None) -> Iterator[str]:
    """The address of a cluster whose nodes have a CPU each."""
    node = {"num_cpus": 1, "object_store_memory": 150 * 2**20}
    cluster = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False}, shutdown_at_exit=False)
    try:
        cluster.add_node(**node)
        yield cluster.address
    finally:
        cluster.shutdown()


def reserved() -> list[str]:
    return [group["name"] for group in placement_group_table().values() if group["state"] != "REMOVED"]


def leader() -> int:
    """The process of the first rank."""
    actors = state.actor_table(None).values()
    return next(one["Pid"] for one in actors if "MakeStage" in one["ActorClassName"] and one["State"] == "ALIVE")


def wait_until(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + WITHIN_S
    while not condition():
        assert time.monotonic() < deadline_s, f"members {members()}, places {reserved()}"
        time.sleep(0.1)


def test_ranks_on_two_nodes_make_a_row_however_often_one_is_killed(tmp_path, pytestconfig, two_nodes):
    specs = [str(pytestconfig.rootpath / "configs" / "examples" / "street_edge.json")]
    rows = read_rows(specs, overrides={"max_frames": 9, "num_steps": 36}, preset=tiny_transfer())
    victims = [lambda: members()[0].pid, leader]
    freed = []

    def kill(event: object) -> None:
        if not isinstance(event, RowProgress) or not victims:
            return
        (places,) = reserved()
        os.kill(victims.pop(0)(), signal.SIGKILL)
        freed.append(beside.submit(wait_until, lambda: places not in reserved()))  # the run goes on meanwhile

    gang = GangLayout(token_ranks=2)
    settings = GenerateSettings(source=SOURCE, address=two_nodes, device="cpu", stall_timeout_s=120, gang=gang)
    ray.init(address=two_nodes, log_to_driver=False)
    try:
        with ThreadPoolExecutor() as beside:
            summary = generate(rows, str(tmp_path / "run"), settings, kill)
        assert not victims
        assert (summary.done, summary.failed) == (1, 0)
        assert [one.result() for one in freed] == [None, None]
        assert reserved() == []
        wait_until(lambda: ray.available_resources().get("CPU") == 2 and not members())
    finally:
        ray.shutdown()
    spec = rows[0].spec
    texts = row_texts(spec, rows[0].prompt, TextEncoder(SOURCE, device="cpu", threads=1, warn=print).encode)
    alone = unpack_frames(Replica(SOURCE).generate(spec, prepare_row(spec), *texts).frames)
    made = read_video(str(tmp_path / "run" / "street_edge.mp4"))
    write_video(tmp_path / "alone.mp4", alone, made.fps)
    difference = made.frames.astype(int) - read_video(str(tmp_path / "alone.mp4")).frames
    assert np.abs(difference).mean() < 0.5  # H.264 makes more of a level of difference
