"""The ledger alone at many rows, on a local disk: commits per second, and what a rerun that finds them all costs.

python tests/benchmarks/ledger.py [--rows 100000] [--folder DIR]

Keys are computed from rows that share one input, as those of a manifest mostly do.
"""

import argparse
import resource
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from airshower.cluster.store import open_store
from airshower.configs.messages import Row
from airshower.configs.model_source import ModelSource
from airshower.configs.presets import tiny_transfer
from airshower.configs.records import Commit, OutputFile
from airshower.configs.row_formats import spec_of
from airshower.pipelines.ledger.keyed_rows import with_keys
from airshower.pipelines.ledger.ledger import Ledger
from airshower.pipelines.ledger.missing import remaining

WRITERS = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--folder", type=Path, help="on the disk to measure; default: a temporary one")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        measure(Path(folder), options.rows)


def measure(folder: Path, count: int) -> None:
    (folder / "in.mp4").write_bytes(b"input")
    with timed("make rows", count):
        rows = list(many_rows(folder / "in.mp4", count))
    with timed("keys", count):
        rows = with_keys(rows, ModelSource(preset=tiny_transfer()), salt="")
    ledger = Ledger(open_store(folder / "run"))
    ledger.require()
    with timed("commits", count), ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(lambda row: ledger.commit(commit_of(row)), rows))
    with timed("list", count):
        assert len(ledger.committed()) == count
    with timed("look up all rows of a rerun, and read their commits", count):
        left = remaining(rows, ledger, retry_failed=False)
    assert (len(left.made), left.missing) == (count, ())
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")


def many_rows(video: Path, count: int) -> Iterator[Row]:
    spec = spec_of({"name": "a", "prompt": "rain", "video_path": str(video), "edge": {}}).resolved(tiny_transfer())
    for index in range(count):
        seeded = spec.model_copy(update={"seed": index, "name": f"row{index}"})
        yield Row(index=index, name=f"row{index}", source="rows", spec=seeded, model="tiny-transfer", prompt="rain")


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


@contextmanager
def timed(what: str, rows: int) -> Iterator[None]:
    begun_s = time.perf_counter()
    yield
    seconds = time.perf_counter() - begun_s
    print(f"{what}: {seconds:.1f} s for {rows} rows, {rows / seconds:.0f} per second", flush=True)


if __name__ == "__main__":
    main()
