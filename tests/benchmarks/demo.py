"""Runs the README's main job on a folder of examples and prints its time and its peak memory.

python tests/benchmarks/demo.py EXAMPLES [options of airshower generate]
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # a script, run from anywhere
from process_memory import ProcessTreeMeter


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("examples", help="folder of specs")
    options, passed_on = parser.parse_known_args()

    begun_s = time.monotonic()
    with tempfile.TemporaryDirectory() as output:
        command = [sys.executable, "-m", "airshower", "generate", options.examples, "--output", output, *passed_on]
        process = subprocess.Popen(command)
        with ProcessTreeMeter(process.pid) as meter:
            status = process.wait()
        videos = len(list(Path(output).glob("*.json")))
    print(f"demo: {videos} clips in {time.monotonic() - begun_s:.1f} s; {meter}")
    sys.exit(status)


if __name__ == "__main__":
    main()
