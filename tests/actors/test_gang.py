"""A replica over several processes: the same clip, and no process that outlives another."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from airshower.actors.gang import Gang
from airshower.actors.gang_members import GangError
from airshower.actors.replica import Replica
from airshower.actors.row_texts import row_texts
from airshower.actors.text_encoder import TextEncoder
from airshower.cluster.packing import unpack_frames
from airshower.configs.gang_layout import GangLayout
from airshower.configs.model_source import ModelSource
from airshower.configs.presets import tiny_transfer
from airshower.configs.row_formats import spec_of
from airshower.pipelines.prepare_row import prepare_row
from tests.processes import is_running

VIDEO = Path(__file__).parents[2] / "configs" / "examples" / "street_90028" / "rgb.mp4"
TWO = GangLayout(token_ranks=2)
SOURCE = ModelSource(preset=tiny_transfer())


def clip_of(replica: Replica, on_progress: Callable[[float], None] | None = None) -> np.ndarray:
    given = {"name": "a", "prompt": "rain", "video_path": str(VIDEO), "edge": {}, "num_steps": 2, "max_frames": 9}
    spec = spec_of(given).resolved(tiny_transfer())
    encoder = TextEncoder(SOURCE, device="cpu", threads=1, warn=print)
    texts = row_texts(spec, "rain", encoder.encode)
    return unpack_frames(replica.generate(spec, prepare_row(spec), *texts, on_progress=on_progress).frames)


@pytest.fixture(scope="module")
def gang():
    replica = Replica(SOURCE, layout=TWO)
    yield replica
    replica.close()


def test_a_gang_makes_the_clip_of_one_device(gang):
    difference = clip_of(gang).astype(int) - clip_of(Replica(SOURCE))
    assert np.abs(difference).max() <= 1
    assert (difference != 0).mean() < 0.01


def test_a_row_that_is_stopped_leaves_the_gang_at_work(gang):
    def stop(fraction: float) -> None:
        raise KeyError("the user has had enough")

    before = clip_of(gang)
    with pytest.raises(KeyError):
        clip_of(gang, on_progress=stop)
    np.testing.assert_array_equal(clip_of(gang), before)


def test_a_gang_without_enough_gpus_is_one_line(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(GangError, match="a gang of 2 GPUs, and this process has 1"):
        Gang(SOURCE, TWO, torch.device("cuda"))


LEADER = """
import time
import psutil
import torch
from airshower.actors.gang import Gang
from airshower.configs.gang_layout import GangLayout
from airshower.configs.model_source import ModelSource
from airshower.configs.presets import tiny_transfer
gang = Gang(ModelSource(preset=tiny_transfer()), GangLayout(token_ranks=2), torch.device("cpu"))
print(*(process.pid for process in psutil.Process().children()), flush=True)
time.sleep(100)
"""


@pytest.mark.parametrize("victim", ["leader", "member"])
def test_no_rank_outlives_another(victim):
    leader = subprocess.Popen([sys.executable, "-c", LEADER], stdout=subprocess.PIPE, text=True)
    (member,) = map(int, leader.stdout.readline().split())
    os.kill(leader.pid if victim == "leader" else member, signal.SIGKILL)
    assert leader.wait(timeout=10) == (-signal.SIGKILL if victim == "leader" else 1)
    deadline_s = time.monotonic() + 10
    while is_running(member):
        assert time.monotonic() < deadline_s, "the member lives on"
        time.sleep(0.05)
