"""What a run costs beside the model: rows a second, end to end, with a model that takes no time.

    python tests/benchmarks/control_plane.py [--rows 10000] [--folder DIR]

From a manifest on disk to committed clips (pictures of 16x16 pixels, with their records) on a local disk: reading and
checking rows, keys, the ledger, Ray Data with its four stages, files, commits, the run's manifest. Then the same
command again, which finds everything made, and the list of runs.
"""

import argparse
import json
import os
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from process_memory import ProcessTreeMeter

from airshower.cluster.packing import hold_frames, pack_frames
from airshower.cluster.store import open_store
from airshower.configs.gang_layout import GangLayout
from airshower.configs.messages import GeneratedClip, PreparedClip, TextEmbedding
from airshower.configs.model_source import ModelSource
from airshower.configs.presets import tiny_transfer
from airshower.pipelines.events import Event, RowDone, RowFailed
from airshower.pipelines.generate import GenerateSettings, generate
from airshower.pipelines.graph import GraphParts
from airshower.pipelines.ledger.ledger import Ledger
from airshower.pipelines.media import write_video
from airshower.pipelines.rows import read_rows

SIDE = 16
FRAMES = np.zeros((1, SIDE, SIDE, 3), np.uint8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--folder", type=Path, help="on the disk to measure; default: a temporary one")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        measure(Path(folder), options.rows)


def measure(folder: Path, count: int) -> None:
    write_video(folder / "in.mp4", np.zeros((5, SIDE, SIDE, 3), np.uint8), 10)
    manifest = folder / "rows.jsonl"
    with manifest.open("w") as file:
        for index in range(count):
            file.write(json.dumps({"prompt": "rain", "video_path": "in.mp4", "edge": {}, "seed": index}) + "\n")
    settings = GenerateSettings(source=ModelSource(preset=tiny_transfer()), replicas=1)
    with ProcessTreeMeter(os.getpid()) as memory:
        for again in ("", " again"):
            ends = Ends()
            with timed(f"{count} rows{again}, from their file to the manifest", count):
                rows = read_rows([str(manifest)], overrides={}, preset=None)
                summary = generate(rows, str(folder / "run"), settings, ends, parts=null_parts)
            assert (summary.done + summary.kept, summary.failed) == (count, 0)
            if ends.count > 1:
                pace = (ends.count - 1) / (ends.last_s - ends.first_s)
                print(f"  between the first clip and the last: {pace:.0f} rows/s")
            del rows
    with timed("list of what is committed", count):
        assert len(Ledger(open_store(folder / "run")).committed()) == count
    print(f"{memory}; of the driver {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")


def null_parts(device: str, gang: GangLayout) -> GraphParts:
    """Stages that take no time; they see rows as real ones do."""
    del device, gang
    return GraphParts(
        prepare=null_prepare, load_annotator=not_needed, load_text_encoder=NullEncoder, load_replica=NullReplica
    )


def null_prepare(_spec: object) -> PreparedClip:
    size = {"height": SIDE, "width": SIDE, "input_height": SIDE, "input_width": SIDE}
    return PreparedClip(fps=10, frames=1, **size, controls={"edge": pack_frames(FRAMES)}, masks={})


def not_needed() -> None:
    raise RuntimeError("no row needs annotators")


class NullEncoder:
    def __init__(self, warn: Callable[[str], None]) -> None:
        del warn

    def encode(self, *_: object) -> TextEmbedding:
        return TextEmbedding(data=b"", shape=(0, 0))


class NullReplica:
    def generate(self, *_: object, **__: object) -> GeneratedClip:
        return GeneratedClip(frames=hold_frames(FRAMES), model={"name": "none"}, chunks=1, seconds={})


class Ends:
    """When rows ended."""

    def __init__(self) -> None:
        self.count = 0
        self.first_s = self.last_s = 0.0

    def __call__(self, event: Event) -> None:
        if isinstance(event, RowDone | RowFailed):
            self.count += 1
            self.last_s = time.monotonic()
            self.first_s = self.first_s or self.last_s


@contextmanager
def timed(what: str, count: int) -> Iterator[None]:
    begun_s = time.monotonic()
    yield
    seconds = time.monotonic() - begun_s
    print(f"{what}: {seconds:.1f} s, {count / seconds:.0f} rows/s", flush=True)


if __name__ == "__main__":
    main()
