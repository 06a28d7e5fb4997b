"""Commits of a run folder correct the times of the GPU that they were made on, and of no other."""

from dataclasses import replace

import pytest

from airshower.actors.model_costs import ModelCosts
from airshower.cluster.inventory import Inventory, Node
from airshower.configs.gpus import GPUS
from airshower.configs.messages import Row
from airshower.configs.presets import preset
from airshower.pipelines.planning.measured import learn_from
from airshower.pipelines.planning.service_times import ServiceTimes
from tests.benchmarks.ledger import commit_of
from tests.pipelines.planning.test_plan import CLIP


def test_commits_speak_for_their_gpu():
    times = ServiceTimes(ModelCosts(preset("transfer2.5-2b")))
    there = Inventory(nodes=(Node(name="n", cpus=8, memory_gib=1, gpus=1, gpu=GPUS["A100-80G"]),))
    planned_s = times.of(CLIP, "generate", GPUS["A100-80G"]).seconds
    other_s = times.of(CLIP, "generate", GPUS["L40S"]).seconds
    row = Row(index=0, name="a", source="rows", spec=None, key="0" * 64)
    made = commit_of(row).model_copy(update={"gpu": "A100", "seconds": {"generate": planned_s / 2, "denoise_s": 1.0}})
    commits = [made] * 10 + [commit_of(replace(row, key="f" * 64))]  # of a row that is not among these
    assert learn_from(commits, {row.key: CLIP}, there, times) == 10
    assert times.of(CLIP, "generate", GPUS["A100-80G"]).seconds == pytest.approx(planned_s / 2, rel=0.1)
    assert times.of(CLIP, "generate", GPUS["L40S"]).seconds == other_s
