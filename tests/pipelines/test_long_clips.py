"""A clip of three chunks whose process is killed in the second and whose run is asked to end there: nothing is lost.

The shipped model makes it; a stand-in around the replica says when it is where.
"""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import ray

from airshower.actors.replica import Replica
from airshower.actors.row_texts import row_texts
from airshower.actors.text_encoder import TextEncoder
from airshower.cluster.packing import unpack_frames
from airshower.cluster.store import open_store
from airshower.configs.gang_layout import GangLayout
from airshower.configs.messages import GeneratedClip
from airshower.configs.model_source import ModelSource
from airshower.configs.presets import tiny_transfer
from airshower.configs.row_formats import spec_of
from airshower.pipelines import graph
from airshower.pipelines.ledger.ledger import Ledger
from airshower.pipelines.media import write_video
from airshower.pipelines.prepare_row import prepare_row
from airshower.platform.cli import main

pytestmark = pytest.mark.cluster
ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers can't import test files

CHUNKS, STEPS = 3, 2
PATIENCE_S = 200
parts_of = graph.parts_of


def wait_for(there: Callable[[], object]) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not there():
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


class Disturbed:
    """A replica that leaves a line per step; in the second chunk its process dies, and the next one waits there."""

    def __init__(self, folder: Path, load: Callable[[], Replica]) -> None:
        self._folder, self._replica = folder, load()

    def generate(self, *given: object, on_progress: Callable[[float], None], **more: object) -> GeneratedClip:
        return self._replica.generate(*given, on_progress=partial(self._step, on_progress), **more)

    def _step(self, on_progress: Callable[[float], None], fraction: float) -> None:
        on_progress(fraction)
        with (self._folder / f"steps-{os.getpid()}").open("a") as file:
            file.write(f"{round(fraction * CHUNKS * STEPS)}\n")
        if fraction * CHUNKS <= 1:
            return
        if len(list(self._folder.glob("steps-*"))) == 1:
            wait_for(lambda: list(self._folder.glob("run/ledger/chunks/*/0")))
            os.kill(os.getpid(), signal.SIGKILL)
        (self._folder / "waiting").touch()
        wait_for((self._folder / "go_on").exists)


def disturbed_parts(folder: Path, source: ModelSource, device: str, gang: GangLayout) -> graph.GraphParts:
    parts = parts_of(source, device, gang)
    return replace(parts, load_replica=partial(Disturbed, folder, parts.load_replica))


DRIVER = """
import sys
from functools import partial
from pathlib import Path
sys.path.insert(0, {here!r})
import test_long_clips
from airshower.pipelines import graph
graph.parts_of = partial(test_long_clips.disturbed_parts, Path(sys.argv[1]))
test_long_clips.main(sys.argv[2:])
"""


def undisturbed(row: dict) -> str:
    """The hash of the row's frames."""
    source = ModelSource(preset=tiny_transfer())
    spec = spec_of(row).resolved(source.preset)
    texts = row_texts(spec, spec.prompt, TextEncoder(source, device="cpu", threads=1, warn=print).encode)
    clip = Replica(source).generate(spec, prepare_row(spec), *texts)
    assert clip.chunks == CHUNKS
    return hashlib.sha256(unpack_frames(clip.frames).tobytes()).hexdigest()


def test_a_long_clip_outlives_its_process_and_its_run(cluster, tmp_path):
    y, x = np.mgrid[0:144, 0:144]
    frames = np.stack([np.stack([x + 9 * t, y, x ^ y], axis=-1) % 256 for t in range(13)]).astype(np.uint8)
    write_video(tmp_path / "input.mp4", frames, 10)
    row = {"name": "long", "prompt": "rain", "video_path": str(tmp_path / "input.mp4"), "edge": {}}
    row |= {"num_steps": STEPS, "num_video_frames_per_chunk": 5}
    (tmp_path / "row.json").write_text(json.dumps(row))
    command = ["generate", str(tmp_path / "row.json"), "--output", str(tmp_path / "run"), "--replicas", "1"]

    script = DRIVER.format(here=str(Path(__file__).parent))
    address = ["--address", ray.get_runtime_context().gcs_address]
    driver = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path), *command, *address], stderr=subprocess.PIPE, text=True
    )
    try:
        wait_for((tmp_path / "waiting").exists)
        driver.send_signal(signal.SIGTERM)
        said = next(line for line in driver.stderr if "asked to end" in line)
        (tmp_path / "go_on").touch()
        assert driver.wait(PATIENCE_S) == 75, said + driver.stderr.read()
    finally:
        driver.kill()
    attempts = sorted((path.stat().st_mtime, path.read_text().split()) for path in tmp_path.glob("steps-*"))
    assert [steps for _, steps in attempts] == [["1", "2", "3"], ["2", "3", "4"]]  # the latter from the first chunk on

    with pytest.raises(SystemExit) as end:
        main(command)
    assert end.value.code == 0
    ledger = Ledger(open_store(tmp_path / "run"))
    (commit,) = ledger.commits(ledger.committed())
    assert (commit.chunks, commit.resumed_chunks) == (CHUNKS, 2)
    assert not list(ledger.store.names("ledger/chunks"))
    assert json.loads((tmp_path / "run" / "long.json").read_text())["frames_sha256"] == undisturbed(row)
