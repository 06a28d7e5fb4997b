"""Runs as people start and end them: from any folder, with any TMPDIR, and by signals to the whole process group.

Each is the real command in a process of its own. The package is found as an editable installation is: by a finder that
Python asks last, after every folder of its search path.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from airshower.cluster.store import open_store
from airshower.pipelines.ledger.ledger import Ledger

pytestmark = pytest.mark.cluster

ROOT = Path(__file__).parents[2]
EDITABLE = f"""
import sys
from importlib.machinery import PathFinder
from importlib.util import spec_from_file_location


class Editable:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == "airshower":
            return spec_from_file_location(name, {str(ROOT / "airshower" / "__init__.py")!r})


sys.meta_path.insert(sys.meta_path.index(PathFinder) + 1, Editable)
"""
MAIN = "from airshower.platform.cli import main; main()"  # as the console script has it
ROW = ("--num-steps", "1", "--max-frames", "1")


@pytest.fixture
def start(tmp_path_factory) -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """Starts the command in a folder, in a process group of its own."""
    editable, started = tmp_path_factory.mktemp("editable"), []
    (editable / "sitecustomize.py").write_text(EDITABLE)

    def run(*arguments: str, folder: Path, **variables: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", MAIN, *arguments],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(editable)} | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()  # what is below it ends with it


def test_a_folder_of_misleading_names_and_a_long_tmpdir(tmp_path, start):
    parent, temporary = tmp_path / "parent", tmp_path / ("t" * 60)
    for folder in (parent / "platform", parent / "models", parent / "configs", temporary):
        folder.mkdir(parents=True)
    (parent / "airshower").symlink_to(ROOT)  # a checkout, called like the package
    for name in ("json.py", "torch.py", "ray.py", "models/__init__.py", "pipelines.py"):
        (parent / name).write_text("raise ImportError('of the working directory')")
    specs = "airshower/configs/examples/street_edge.json"
    process = start("generate", specs, "--output", "run", *ROW, folder=parent, TMPDIR=str(temporary))
    summary, said = process.communicate(timeout=200)
    assert process.returncode == 0, said
    assert summary.startswith("1 done, 0 failed")
    assert any(path.name.startswith("session_") for path in (temporary / "ray").iterdir())  # logs, and what is spilled


def test_sigterm_to_the_group_ends_a_run_in_good_order(tmp_path, start):
    video = ROOT / "configs/examples/street_90028/rgb.mp4"
    rows = [{"name": f"row{n}", "prompt": "rain", "video_path": str(video), "edge": {}, "seed": n} for n in range(400)]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    process = start("generate", "rows.jsonl", "--output", "run", *ROW, folder=tmp_path)
    store = open_store(tmp_path / "run")
    ledger, give_up_s = Ledger(store), time.monotonic() + 150
    while not ledger.exists or not ledger.committed():
        assert process.poll() is None
        assert time.monotonic() < give_up_s
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)  # as `timeout` does, to the process and then to all of them
    os.killpg(process.pid, signal.SIGTERM)
    summary, said = process.communicate(timeout=100)
    assert process.returncode == 75, said
    made = len(ledger.committed())
    assert 0 < made < 400
    assert summary.startswith(f"{made} done, 0 failed in ")
    assert f"{400 - made} left, for the run was asked to end: the same command makes them" in summary
    assert (tmp_path / "run" / "index.html").exists()
    assert pq.read_table(tmp_path / "run" / "manifest.parquet").num_rows == made
    assert not re.search(r"^\[\d{4}-|\(raylet\)|Traceback|Error", said, re.MULTILINE), said  # Ray's, of its own death
