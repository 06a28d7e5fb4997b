"""Streams many short clips through the batch pipeline and prints rows per second and peak memory.

    python tests/benchmarks/stream_rows.py [--rows 500] [--kill-a-worker]

With --kill-a-worker a replica's process is killed with SIGKILL after a third of the rows; the script then fails unless
every row is in the manifest exactly once and done.
"""

import argparse
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).parent))  # a script, run from anywhere
from process_memory import ProcessTreeMeter, command_line, process_tree
from spilled import spilled_bytes

from airshower.cluster.session import ray_session
from airshower.configs.messages import Row
from airshower.configs.model_source import ModelSource
from airshower.configs.presets import preset
from airshower.configs.spec import ClipSpec, EdgeSpec
from airshower.pipelines.events import Event, RowDone, RowFailed
from airshower.pipelines.generate import GenerateSettings, generate
from airshower.pipelines.media import write_video

FRAMES, HEIGHT, WIDTH, FPS = 5, 144, 256, 10
VIDEOS = 10  # different inputs; rows share them
REPLICA_PROCESS = "ray::MapWorker(MapBatches(MakeStage))"


class Watcher:
    """Counts finished rows, and kills one replica on the way when it is asked to."""

    def __init__(self, kill_after: int | None) -> None:
        self.finished = 0
        self.killed_pid: int | None = None
        self.first_s = self.last_s = 0.0
        self._kill_after = kill_after

    def __call__(self, event: Event) -> None:
        if isinstance(event, RowFailed):
            print(f"failed: {event.name}: {event.stage}: {event.message}")
        if not isinstance(event, RowDone | RowFailed):
            return
        self.finished += 1
        self.last_s = time.monotonic()
        self.first_s = self.first_s or self.last_s
        if self._kill_after is not None and self.killed_pid is None and self.finished >= self._kill_after:
            self._kill_a_replica()

    def _kill_a_replica(self) -> None:
        for pid in process_tree(os.getpid()):
            if command_line(pid).startswith(REPLICA_PROCESS):
                os.kill(pid, signal.SIGKILL)
                self.killed_pid = pid
                print(f"killed replica process {pid} after {self.finished} rows")
                return


def make_rows(folder: Path, count: int, steps: int, model: str, frames: int = FRAMES) -> list[Row]:
    """Rows over a few moving-gradient videos, each with its own seed."""
    for number in range(VIDEOS):
        y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
        shades = [np.stack([x + 8 * t, y + 20 * number, x + y], axis=-1) % 256 for t in range(frames)]
        write_video(folder / f"input_{number}.mp4", np.stack(shades).astype(np.uint8), FPS)
    rows = []
    for index in range(count):
        spec = ClipSpec(
            name=f"row_{index:05d}",
            prompt=f"a street, scene {index % VIDEOS}",
            video_path=str(folder / f"input_{index % VIDEOS}.mp4"),
            seed=index,
            num_steps=steps,
            edge=EdgeSpec(),
        ).resolved(preset(model))
        rows.append(Row(index=index, name=spec.name, source="benchmark", spec=spec, prompt=spec.prompt or ""))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=500)
    parser.add_argument("--steps", type=int, default=4, help="sampler steps per clip")
    parser.add_argument("--replicas", type=int, help="default: one per GPU or CPU")
    parser.add_argument("--model", default="tiny-transfer")
    parser.add_argument("--weights", help="model folder; default: the shipped one")
    parser.add_argument("--kill-a-worker", action="store_true")
    options = parser.parse_args()

    watcher = Watcher(options.rows // 3 if options.kill_a_worker else None)
    settings = GenerateSettings(
        source=ModelSource(preset=preset(options.model), weights=options.weights), replicas=options.replicas
    )
    with tempfile.TemporaryDirectory() as folder, ProcessTreeMeter(os.getpid()) as meter:
        rows = make_rows(Path(folder), options.rows, options.steps, options.model)
        with ray_session():
            summary = generate(rows, f"{folder}/run", settings, watcher)
            spilled = spilled_bytes()
        manifest = pq.read_table(summary.manifest)
        written = len(list(Path(summary.output).glob("row_*[0-9].mp4")))

    rate = (watcher.finished - 1) / max(watcher.last_s - watcher.first_s, 1e-9)
    print(f"{summary.done} rows done, {summary.failed} failed in {summary.wall_s:.1f} s; {rate:.2f} rows/s")
    print(f"{meter}; {spilled} bytes spilled from Ray's object store")
    if spilled:
        sys.exit("rows didn't fit the object store")
    if options.kill_a_worker and watcher.killed_pid is None:
        sys.exit("no replica process was found to kill: the run ended too early")
    if manifest["index"].to_pylist() != list(range(options.rows)) or summary.failed or written != options.rows:
        sys.exit(f"rows were lost: {manifest.num_rows} in the manifest, {written} videos, {options.rows} asked for")


if __name__ == "__main__":
    main()
