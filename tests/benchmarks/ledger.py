"""What a driver does with very many rows beside having them made: reading, keys, plan, commits, listing, resuming.

python tests/benchmarks/ledger.py [--rows 100000] [--folder DIR]

From a JSONL file of rows that share one input, as those of a manifest mostly do, on a local disk. No clip is made:
commits are written as workers write them. Memory is what the process takes at each point beside what it takes at first.
"""

import argparse
import json
import math
import resource
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np

from airshower.actors.model_costs import ModelCosts
from airshower.cluster.inventory import Inventory, Node
from airshower.cluster.store import open_store
from airshower.configs.messages import Row
from airshower.configs.model_source import ModelSource
from airshower.configs.presets import tiny_transfer
from airshower.configs.records import Commit, OutputFile
from airshower.pipelines.folder_manifest import Manifest
from airshower.pipelines.ledger.damage import damaged_by_size
from airshower.pipelines.ledger.keyed_rows import with_keys
from airshower.pipelines.ledger.ledger import Ledger
from airshower.pipelines.ledger.missing import remaining
from airshower.pipelines.media import write_video
from airshower.pipelines.planning.kinds import kinds_of
from airshower.pipelines.planning.run_plan import plan_run
from airshower.pipelines.planning.service_times import ServiceTimes
from airshower.pipelines.rows import read_rows

WRITERS = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--folder", type=Path, help="on the disk to measure; default: a temporary one")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        measure(Path(folder), options.rows)


def measure(folder: Path, count: int) -> None:
    write_video(folder / "in.mp4", np.zeros((5, 16, 16, 3), np.uint8), 10)
    lines = ({"prompt": "rain", "video_path": "in.mp4", "edge": {}, "seed": index} for index in range(count))
    manifest = folder / "rows.jsonl"
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
    source = ModelSource(preset=tiny_transfer())
    costs = ModelCosts(source.preset)  # loads torch
    clock = Clock(count)
    rows = read_rows([str(manifest)], overrides={}, preset=None)
    clock.tell("rows read and checked")
    rows = with_keys(rows, source, salt="")
    clock.tell("keys")
    ledger = Ledger(open_store(folder / "run"))
    ledger.require()
    left = remaining(rows, ledger, retry_failed=False, tell=print)
    clock.tell("looked up in an empty ledger")
    kinds = kinds_of(left.missing, source.preset)
    node = Node(name="here", cpus=2, memory_gib=8)
    planned = plan_run(left.missing, kinds, Inventory(nodes=(node,)), ServiceTimes(costs))
    assert len(planned.rows) == count
    clock.tell("planned")
    with ThreadPoolExecutor(WRITERS) as pool:
        rest = iter(rows)
        while batch := list(islice(rest, 1000)):
            list(pool.map(lambda row: make(ledger, row), batch))
    clock.tell("commits and files of a byte written")
    committed = ledger.committed()
    assert len(committed) == count
    clock.tell("commits listed")
    assert not damaged_by_size(ledger, committed)
    clock.tell("their files compared, by their records")
    for said in ("made rows resumed from their records", "made rows resumed from the last manifest"):
        table = Manifest(ledger, "benchmark", flush_interval_s=math.inf)
        for entry in remaining(rows, ledger, retry_failed=False, tell=print).made_entries:
            table.add(entry)
        assert len(table) == count
        clock.tell(said)
        table.settle({}, {}, print)
        clock.tell("ledger compared, manifest written")
        assert not damaged_by_size(ledger, committed)
        clock.tell("files compared, by the manifest")


class Clock:
    """Prints what has passed since the last time, and the memory in use."""

    def __init__(self, rows: int) -> None:
        self._rows, self._first_bytes, self._last_s = rows, self._bytes(), time.perf_counter()

    def tell(self, what: str) -> None:
        seconds = time.perf_counter() - self._last_s
        per_row = (self._bytes() - self._first_bytes) / self._rows
        print(f"{what}: {seconds:.1f} s, {self._rows / seconds:.0f} rows/s; {per_row:.0f} bytes a row", flush=True)
        self._last_s = time.perf_counter()

    @staticmethod
    def _bytes() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def make(ledger: Ledger, row: Row) -> None:
    """A row's commit with its files, a byte each."""
    commit = ledger.commit(commit_of(row))
    folder = ledger.store.local_path(commit.folder)
    folder.mkdir(parents=True)
    for name in commit.files:
        (folder / name).write_bytes(b"x")


def commit_of(row: Row) -> Commit:
    file = OutputFile(size_bytes=1, sha256="0" * 64)
    names = (f"{row.name}.mp4", f"{row.name}.json", f"{row.name}_control_edge.mp4", f"{row.name}_input.mp4")
    return Commit(
        key=row.key,
        name=row.name,
        run="benchmark",
        nonce=row.key[:32],
        folder=f"data/{row.name}-{row.key[:32]}",
        files=dict.fromkeys(names, file),
        outputs=dict(zip(("video", "record", "control_edge", "input"), names, strict=True)),
        frames=93,
        fps=16,
        height=704,
        width=1280,
        chunks=1,
        seconds={"prepare": 1.5, "text": 0.1, "generate": 290.0, "denoise_s": 280.0},
        node="here",
    )


if __name__ == "__main__":
    main()
