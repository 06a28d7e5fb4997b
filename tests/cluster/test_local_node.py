"""Ray on this machine: waited for where it is slow to start, told apart from one that can't start at all."""

import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray
from ray._private import services

from airshower.cluster import local_node as module
from airshower.cluster.local_node import NodeStartError, local_node

OPTIONS = {"cpus": 1, "object_store_bytes": 80 * 2**20, "log": False}


def instead_of_raylet(folder: Path, script: str) -> str:
    """A program in the place of Ray's."""
    path = folder / "raylet"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


@pytest.fixture
def sockets() -> Iterator[Path]:
    """A short folder for Ray's sockets, and a TMPDIR that is too long for them."""
    with tempfile.TemporaryDirectory(dir="/tmp") as short:
        yield Path(short)


@pytest.mark.cluster
@pytest.mark.usefixtures("no_cluster")
def test_a_slow_start_is_waited_for_and_said(tmp_path, sockets, monkeypatch):
    slow = instead_of_raylet(tmp_path, f'sleep 3\nexec {services.RAYLET_EXECUTABLE} "$@"')
    monkeypatch.setattr(services, "RAYLET_EXECUTABLE", slow)
    monkeypatch.setattr(module, "SAID_AFTER_S", 1.0)
    monkeypatch.setattr(module, "_SHORT_FOLDERS", (str(sockets),))
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path / ("t" * 60)))
    said: list[str] = []
    with local_node(**OPTIONS, say=said.append) as address:
        (private,) = sockets.iterdir()
        assert stat.S_IMODE(private.stat().st_mode) == 0o700
        assert {path.name for path in (private / "ray").iterdir()} == {"plasma", "raylet"}
        ray.init(address=address, logging_level=50, log_to_driver=False)
        assert ray.cluster_resources()["CPU"] == 1
        ray.shutdown()
    assert said == ["this machine is busy: Ray needs longer than 1 s to start; waiting for it, 10 minutes at most"]
    assert list(sockets.iterdir()) == []


@pytest.mark.cluster
@pytest.mark.usefixtures("no_cluster")
@pytest.mark.parametrize(
    ("script", "patience_s", "reason"),
    [
        ("exit 1", 60.0, "its raylet has ended: see /"),
        ("sleep 60", 4.0, "longer than .*: this machine is too busy"),
    ],
)
def test_a_node_that_never_starts_is_given_up(tmp_path, monkeypatch, script, patience_s, reason):
    monkeypatch.setattr(services, "RAYLET_EXECUTABLE", instead_of_raylet(tmp_path, script))
    monkeypatch.setattr(module, "LONGEST_START_S", patience_s)
    with pytest.raises(NodeStartError, match=reason), local_node(**OPTIONS, say=lambda line: None):
        pass


def test_no_short_folder_is_a_line_with_the_remedy(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_SHORT_FOLDERS", (str(tmp_path / "none"),))
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path / ("t" * 60)))
    with (
        pytest.raises(NodeStartError, match=r"too long a path .* set RAY_TMPDIR to a folder with a path of at most 39"),
        local_node(**OPTIONS, say=lambda line: None),
    ):
        pass
