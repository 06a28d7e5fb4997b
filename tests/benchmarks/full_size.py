"""One clip at full size with random weights, from a spec to an mp4: seconds per stage and per pass, peak memory.

python tests/benchmarks/full_size.py [--controls edge] [--frames 93] [--steps 35] [--resolution 720] [--weights DIR]
python tests/benchmarks/full_size.py --views 7 --frames 29 --steps 2 --resolution 720p

A pass is one evaluation of the network; a step has two, with and without prompt. The first clip warms up with two steps
(its times are printed too), the second counts.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from airshower.configs.cameras import RIG
from airshower.configs.multiview_spec import HDMAP
from airshower.configs.spec import CONTROLS

sys.path.insert(0, str(Path(__file__).parent))  # a script, run from anywhere
from moving_pattern import write_pattern
from random_weights import write_random_weights

PASSES_PER_STEP = 2
WARM_UP_STEPS = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--controls", nargs="+", choices=CONTROLS, default=["edge"])
    parser.add_argument("--views", type=int, default=0, help="cameras with HD maps, instead of controls")
    parser.add_argument("--frames", type=int, default=93, help="of each camera")
    parser.add_argument("--steps", type=int, default=35)
    parser.add_argument("--resolution", default="720")
    parser.add_argument("--weights", type=Path, help="folder for the random weights; default: a temporary one")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        weights = options.weights or folder / "weights"
        model = "transfer2.5-2b-multiview" if options.views else "transfer2.5-2b"
        several = CONTROLS if len(options.controls) > 1 else options.controls
        write_random_weights(weights, model, [HDMAP] if options.views else several)
        _write_rows(folder, options)
        flags = ["--resolution", options.resolution, "--replicas", "1"]
        command = [sys.executable, "-m", "airshower", "generate", str(folder / "rows.jsonl"), *flags]
        command += ["--model", model, "--weights", str(weights), "--output", str(folder / "run")]
        subprocess.run(command, check=True)
        for name in ("warm-up", "measured"):
            _print(name, json.loads((folder / "run" / f"{name}.json").read_text()))


def _write_rows(folder: Path, options: argparse.Namespace) -> None:
    """Two rows with a moving pattern, every control from a file so that nothing but the networks is slow."""
    write_pattern(folder / "pattern.mp4", options.resolution, options.frames)
    inputs = RIG[: options.views] or options.controls
    row: dict[str, object] = {"prompt": "A street.", **{name: {"control_path": "pattern.mp4"} for name in inputs}}
    if options.views:
        row |= {"num_conditional_frames": 0, "num_video_frames_per_view": options.frames}
    steps = {"warm-up": min(WARM_UP_STEPS, options.steps), "measured": options.steps}
    rows = [{"name": name, "num_steps": count, **row} for name, count in steps.items()]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def _print(name: str, record: dict) -> None:
    seconds, steps = record["seconds"], record["spec"]["num_steps"]
    passes = record["chunks"] * steps * PASSES_PER_STEP
    stages = "  ".join(f"{stage} {value:.2f} s" for stage, value in seconds.items())
    cameras = f"{len(record['cameras'])} cameras, " if record["cameras"] else ""
    print(
        f"{name}: {record['width']}x{record['height']}, {cameras}{record['frames']} frames, "
        f"steps {steps}: {seconds['denoise_s'] / passes:.3f} s per pass ({passes} passes); {stages}; "
        f"peak {record['peak_gpu_gib']} GiB on the GPU"
    )


if __name__ == "__main__":
    main()
