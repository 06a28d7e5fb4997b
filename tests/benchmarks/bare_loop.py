"""How much of a bare loop's throughput the pipeline reaches on the same cores, with a model that runs on CPUs.

    python tests/benchmarks/bare_loop.py [--rows 48] [--replicas 2] [--steps 8]

The bare loop does nothing but generate: as many processes as replicas, each with its model loaded and its inputs in
memory, one clip after the other. The pipeline reads, prepares, generates, encodes, commits. Both are measured from the
first clip that is done to the last, turn by turn, twice.
"""

import argparse
import multiprocessing
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # a script, run from anywhere
from spilled import spilled_bytes
from stream_rows import Watcher, make_rows

from airshower.cluster.session import ray_session
from airshower.configs.messages import Row
from airshower.configs.model_source import ModelSource
from airshower.configs.presets import preset
from airshower.pipelines.generate import GenerateSettings, generate

ROUNDS = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=48)
    parser.add_argument("--replicas", type=int, default=2)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--model", default="tiny-transfer")
    options = parser.parse_args()
    source = ModelSource(preset=preset(options.model))
    shares = []
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as folder:
            rows = make_rows(Path(folder), options.rows, options.steps, options.model)
            bare = bare_rows_per_s(rows, source, options.replicas)
            piped, spilled = piped_rows_per_s(rows, source, options.replicas, f"{folder}/run")
        shares.append(piped / bare)
        print(
            f"bare loop {bare:.3f} rows/s, pipeline {piped:.3f}: {piped / bare:.1%}; {spilled} bytes spilled",
            flush=True,
        )
    print(f"mean {sum(shares) / ROUNDS:.1%}")


def bare_rows_per_s(rows: list[Row], source: ModelSource, processes: int) -> float:
    """Of all processes together, without what comes before the first clip of each."""
    context = multiprocessing.get_context("spawn")
    loaded = context.Barrier(processes)
    seconds = context.Queue()
    workers = [
        context.Process(target=bare_loop, args=(rows[number::processes], source, loaded, seconds))
        for number in range(processes)
    ]
    for worker in workers:
        worker.start()
    slowest_s = max(seconds.get() for _ in workers)
    for worker in workers:
        worker.join()
    return (len(rows) - processes) / slowest_s


def bare_loop(rows: list[Row], source: ModelSource, loaded, seconds) -> None:
    from airshower.actors.replica import Replica
    from airshower.actors.row_texts import row_texts
    from airshower.actors.text_encoder import TextEncoder
    from airshower.cluster.packing import with_held_frames
    from airshower.pipelines.prepare_row import prepare_row

    replica, encoder = Replica(source), TextEncoder(source, threads=1)
    inputs = [
        (row.spec, with_held_frames(prepare_row(row.spec)), *row_texts(row.spec, row.prompt, encoder.encode))
        for row in rows
    ]
    replica.generate(*inputs[0])
    loaded.wait()
    begun_s = time.monotonic()
    for given in inputs[1:]:
        replica.generate(*given)
    seconds.put(time.monotonic() - begun_s)


def piped_rows_per_s(rows: list[Row], source: ModelSource, replicas: int, output: str) -> tuple[float, int]:
    """Between the first clip and the last, and what the object store wrote to disk."""
    watcher = Watcher(None)
    with ray_session(address="local"):
        summary = generate(rows, output, GenerateSettings(source=source, replicas=replicas, device="cpu"), watcher)
        spilled = spilled_bytes()
    if summary.failed:
        sys.exit(f"{summary.failed} rows failed")
    return (len(rows) - 1) / (watcher.last_s - watcher.first_s), spilled


if __name__ == "__main__":
    main()
