"""Clips an hour of one replica and of several, each on a GPU or a gang of its own, and how busy their GPUs are.

    python tests/benchmarks/replicas.py [--replicas 1 2] [--clips 8] [--steps 4] [--resolution 720] [--weights DIR]
    python tests/benchmarks/replicas.py --tiny   # the shipped model on CPUs: does it run at all

The network is transfer2.5-2b at full size with random weights; rows compute their edges and have prompts of their own.
A replica counts from the end of its first clip to that of its last, so loading and the last clip's mp4 are left out.
"in parts" is the share of that time in which it encoded, denoised or decoded, by the run's traces; "kernels" that in
which its GPU executed something, by the driver's own sampling while all replicas counted.
"""

import argparse
import json
import math
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean

sys.path.insert(0, str(Path(__file__).parent))  # a script, run from anywhere
from counted_replicas import WORK, counted_replicas
from moving_pattern import write_pattern
from random_weights import write_random_weights

MODEL, TINY_MODEL = "transfer2.5-2b", "tiny-transfer"
FRAMES = 93
SAMPLE_MS = 200
SAMPLE_COMMAND = "nvidia-smi --query-gpu=index,utilization.gpu --format=csv,noheader,nounits"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replicas", type=int, nargs="+", default=[1, 2], help="of one run after the other")
    parser.add_argument("--gang", type=int, default=1, help="GPUs of each replica")
    parser.add_argument("--clips", type=int, default=8, help="that count, for each replica; one more comes before")
    parser.add_argument("--frames", type=int, default=FRAMES)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--resolution", default="720")
    parser.add_argument("--weights", type=Path, help="folder for the random weights; default: a temporary one")
    parser.add_argument("--tiny", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        weights = options.weights or folder / "weights"
        if not options.tiny:
            write_random_weights(weights, MODEL, ["edge"])
        alone = 0.0
        for replicas in options.replicas:
            _write_rows(folder, options, replicas)
            run = folder / f"run_{replicas}"
            with GpuSampler() as sampler:
                _generate(folder / "rows.jsonl", run, weights, options, replicas)
            rate = _print(run, replicas, sampler, options, alone)
            alone = alone or rate / replicas


@dataclass
class GpuSampler:
    """Reads the utilisation of every GPU a few times a second, where there is one."""

    samples: list[tuple[float, int, int]] = field(default_factory=list)  # Unix seconds, GPU, percent
    _process: subprocess.Popen[str] | None = None

    def __enter__(self) -> "GpuSampler":
        if shutil.which("nvidia-smi"):
            command = [*SAMPLE_COMMAND.split(), f"--loop-ms={SAMPLE_MS}"]
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            threading.Thread(target=self._read, args=(self._process.stdout,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.terminate()

    def busiest(self, gpus: int, begun_s: float, ended_s: float) -> float:
        """The mean share of the GPUs that did most in that time; not a number where there is none."""
        percents = defaultdict(list)
        for time_s, gpu, percent in self.samples:
            if begun_s <= time_s <= ended_s:
                percents[gpu].append(percent)
        means = sorted((mean(some) / 100 for some in percents.values()), reverse=True)
        return mean(means[:gpus]) if means else math.nan

    def _read(self, lines: Iterable[str]) -> None:
        for line in lines:
            gpu, percent = line.split(",")
            self.samples.append((time.time(), int(gpu), int(percent)))


def _write_rows(folder: Path, options: argparse.Namespace, replicas: int) -> None:
    write_pattern(folder / "pattern.mp4", options.resolution, options.frames)
    rows = [
        {
            "name": f"clip_{number:02d}",
            "prompt": f"A street, take {number}.",
            "video_path": "pattern.mp4",
            "edge": {},
            "seed": number,
            "num_steps": options.steps,
        }
        for number in range(replicas * (options.clips + 1))
    ]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def _generate(rows: Path, run: Path, weights: Path, options: argparse.Namespace, replicas: int) -> None:
    flags = ["--resolution", options.resolution, "--model", MODEL, "--weights", str(weights)]
    if options.tiny:
        flags = ["--model", TINY_MODEL, "--device", "cpu"]
    if options.gang > 1:
        flags += ["--gang", str(options.gang)]
    command = [sys.executable, "-m", "airshower", "generate", str(rows), "--output", str(run), *flags]
    subprocess.run([*command, "--replicas", str(replicas)], check=True)


def _print(run: Path, replicas: int, sampler: GpuSampler, options: argparse.Namespace, alone_per_h: float) -> float:
    """The clips an hour of all replicas."""
    counted = counted_replicas(str(run))
    if len(counted) != replicas:
        sys.exit(f"{len(counted)} of {replicas} replicas made two clips or more")
    together_s = max(one.begun_s for one in counted), min(one.ended_s for one in counted)
    per_h = sum(one.clips_per_h for one in counted)
    seconds = sum(one.seconds for one in counted)
    shares = {part: sum(one.parts_s[part] for one in counted) / seconds for part in WORK}
    print(
        f"{replicas} x {options.gang}: {sum(one.clips for one in counted)} clips in "
        f"{together_s[1] - together_s[0]:.0f} s; {per_h:.1f} clips/h"
        + (f", {per_h / alone_per_h:.3f} x one replica" if alone_per_h else "")
        + f"; GPUs busy in parts {sum(shares.values()):.1%} ("
        + ", ".join(f"{part} {share:.1%}" for part, share in shares.items() if share)
        + ")"
        + (f", kernels {sampler.busiest(replicas * options.gang, *together_s):.1%}" if sampler.samples else ""),
        flush=True,
    )
    return per_h


if __name__ == "__main__":
    main()
