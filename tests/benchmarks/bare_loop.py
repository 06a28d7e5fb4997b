"""How much of a bare loop's throughput the pipeline reaches on the same cores, with a model that runs on CPUs.

    python tests/benchmarks/bare_loop.py [--rows 24] [--replicas 2] [--frames 33] [--steps 12]

The bare loop is what a script would do: as many processes as replicas, each with its model loaded, and for one row
after the other it reads and prepares, embeds the prompt, generates, encodes and writes. The pipeline does that and
commits. A third figure is that of a loop that only generates, with all inputs in memory. In each a replica counts from
the end of its first clip to that of its last. They take turns, twice.
"""

import argparse
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # a script, run from anywhere
from counted_replicas import counted_replicas
from spilled import spilled_bytes
from stream_rows import make_rows

from airshower.cluster.session import ray_session
from airshower.configs.messages import Row
from airshower.configs.model_source import ModelSource
from airshower.configs.presets import preset
from airshower.pipelines.generate import GenerateSettings, generate

ROUNDS = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=24)
    parser.add_argument("--replicas", type=int, default=2)
    parser.add_argument("--frames", type=int, default=33, help="of a clip; those of the shipped examples")
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--model", default="tiny-transfer")
    options = parser.parse_args()
    source = ModelSource(preset=preset(options.model))
    shares = []
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as folder:
            rows = make_rows(Path(folder), options.rows, options.steps, options.model, options.frames)
            generating = bare_rows_per_s(rows, source, options.replicas, jobs=generating_jobs)
            bare = bare_rows_per_s(rows, source, options.replicas, jobs=whole_jobs)
            piped, spilled = piped_rows_per_s(rows, source, options.replicas, f"{folder}/run")
        shares.append(piped / bare)
        print(
            f"bare loop {bare:.3f} rows/s, pipeline {piped:.3f}: {piped / bare:.1%}; {spilled} bytes spilled; "
            f"only generating {generating:.3f} rows/s",
            flush=True,
        )
    print(f"mean {sum(shares) / ROUNDS:.1%}")


Jobs = Callable[[list[Row], ModelSource], list[Callable[[], object]]]


def bare_rows_per_s(rows: list[Row], source: ModelSource, processes: int, jobs: Jobs) -> float:
    """Of all processes together."""
    context = multiprocessing.get_context("spawn")
    loaded = context.Barrier(processes)
    rates = context.Queue()
    workers = [
        context.Process(target=bare_loop, args=(rows[number::processes], source, jobs, loaded, rates))
        for number in range(processes)
    ]
    for worker in workers:
        worker.start()
    total = sum(rates.get() for _ in workers)
    for worker in workers:
        worker.join()
    return total


def bare_loop(rows: list[Row], source: ModelSource, jobs: Jobs, loaded, rates) -> None:
    first, *others = jobs(rows, source)
    first()
    loaded.wait()
    begun_s = time.monotonic()
    for job in others:
        job()
    rates.put(len(others) / (time.monotonic() - begun_s))


def whole_jobs(rows: list[Row], source: ModelSource) -> list[Callable[[], object]]:
    """Each makes a row from its input to its files."""
    from airshower.actors.replica import Replica
    from airshower.actors.row_texts import row_texts
    from airshower.actors.text_encoder import TextEncoder
    from airshower.pipelines.prepare_row import prepare_row
    from airshower.pipelines.write import write_row

    replica, encoder = Replica(source), TextEncoder(source, threads=1)

    def make(row: Row, folder: str) -> None:
        prepared = prepare_row(row.spec)
        generated = replica.generate(row.spec, prepared, *row_texts(row.spec, row.prompt, encoder.encode))
        write_row(replace(row, prepared=prepared, generated=generated), folder)

    return [partial(make, row, str(Path(row.spec.video_path).parent)) for row in rows]


def generating_jobs(rows: list[Row], source: ModelSource) -> list[Callable[[], object]]:
    """Each generates a row whose inputs are in memory."""
    from airshower.actors.replica import Replica
    from airshower.actors.row_texts import row_texts
    from airshower.actors.text_encoder import TextEncoder
    from airshower.cluster.packing import with_held_frames
    from airshower.pipelines.prepare_row import prepare_row

    replica, encoder = Replica(source), TextEncoder(source, threads=1)

    def job(row: Row) -> Callable[[], object]:
        prepared = with_held_frames(prepare_row(row.spec))
        return partial(replica.generate, row.spec, prepared, *row_texts(row.spec, row.prompt, encoder.encode))

    return [job(row) for row in rows]


def piped_rows_per_s(rows: list[Row], source: ModelSource, replicas: int, output: str) -> tuple[float, int]:
    """Of all replicas together, and what the object store wrote to disk."""
    with ray_session(address="local"):
        summary = generate(rows, output, GenerateSettings(source=source, replicas=replicas, device="cpu"))
        spilled = spilled_bytes()
    if summary.failed:
        sys.exit(f"{summary.failed} rows failed")
    return sum(one.clips_per_h for one in counted_replicas(output)) / 3600, spilled


if __name__ == "__main__":
    main()
