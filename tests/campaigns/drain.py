"""A node that makes long clips is drained, as for a spot notice: its clips go on elsewhere from their kept chunks.

    python -m tests.campaigns.drain [--rows 3] [--chunks 24] [--deadline-s 120]

A cluster of three nodes on this machine makes clips of several chunks with the tiny model. Once a replica on one of the
joined nodes has kept a chunk, `ray drain-node` announces that its node leaves. In the end every clip has to be
committed once with the frames of an undisturbed run, and at least one has to be resumed by another process. Exits with
1 where that isn't so.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from airshower.cluster.store import open_store
from airshower.configs.records import Commit
from airshower.pipelines.ledger.ledger import CHUNKS, Ledger
from airshower.pipelines.media import write_video
from tests.campaigns.faults import Nodes, cluster, committed_frames
from tests.processes import commands_below

_REPLICAS = 3  # of which the head has CPUs for two
_CHUNK_FRAMES = 5
_PATIENCE_S = 1800


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=3)
    parser.add_argument("--chunks", type=int, default=24)
    parser.add_argument("--deadline-s", type=int, default=120)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place, cluster() as nodes:
        folder = Path(place)
        write_rows(folder, options.rows, options.chunks)
        subprocess.run(command_of(folder, "undisturbed", nodes), check=True, capture_output=True)
        problems = drained(folder, nodes, options.deadline_s)
        commits = commits_of(folder / "disturbed")
        wanted = committed_frames(str(folder / "undisturbed"), problems)
        if committed_frames(str(folder / "disturbed"), problems) != wanted or len(wanted) != options.rows:
            problems.append("other frames than in the undisturbed run")
        resumed = {commit.name: commit.resumed_chunks for commit in commits if commit.resumed_chunks}
        if not resumed:
            problems.append("no clip was resumed")
        if list(open_store(folder / "disturbed").names(CHUNKS)):
            problems.append("chunks are left")
    print(f"{len(commits)} of {options.rows} rows committed; chunks that were not made again: {resumed}")
    print("\n".join(f"PROBLEM {problem}" for problem in problems))
    return 1 if problems else 0


def write_rows(folder: Path, rows: int, chunks: int) -> None:
    """A manifest, and a video as long as its clips."""
    frames = 1 + chunks * (_CHUNK_FRAMES - 1)
    ramp = np.linspace(0, 255, 256)[None, :, None] + np.zeros((144, 1, 3))
    video = np.stack([(ramp + 20 * step) % 256 for step in range(frames)]).astype(np.uint8)
    write_video(folder / "input.mp4", video, 10)
    common = {"prompt": "a street in the rain", "edge": {}, "num_steps": 8, "video_path": "input.mp4"}
    common |= {"num_video_frames_per_chunk": _CHUNK_FRAMES, "max_frames": frames}
    lines = [json.dumps({**common, "name": f"long{index}", "seed": index}) for index in range(rows)]
    (folder / "rows.jsonl").write_text("\n".join(lines))


def command_of(folder: Path, output: str, nodes: Nodes) -> list[str]:
    options = ["--address", nodes.address, "--device", "cpu", "--replicas", str(_REPLICAS)]
    rows = [str(folder / "rows.jsonl"), "--output", str(folder / output)]
    return [sys.executable, "-m", "airshower", "generate", *rows, *options]


def drained(folder: Path, nodes: Nodes, deadline_s: int) -> list[str]:
    """Runs the rows and drains a node meanwhile; what went wrong."""
    with (folder / "log").open("w+") as log:
        driver = subprocess.Popen(command_of(folder, "disturbed", nodes), stdout=log, stderr=log)
        store, until_s = open_store(folder / "disturbed"), time.monotonic() + _PATIENCE_S
        node = None
        while node is None and driver.poll() is None and time.monotonic() < until_s:
            time.sleep(0.1)
            if len(list(store.names(CHUNKS))) >= _REPLICAS:
                node = next(busy(nodes), None)
        if node is None:
            driver.kill()
            return ["no joined node was at work on a long clip"]
        announce = ["ray", "drain-node", "--address", nodes.address, "--node-id", node]
        announce += ["--reason", "DRAIN_NODE_REASON_PREEMPTION", "--reason-message", "a spot notice"]
        subprocess.run([*announce, "--deadline-remaining-seconds", str(deadline_s)], check=True, capture_output=True)
        code = driver.wait(_PATIENCE_S)
        log.seek(0)
        return [] if code == 0 else [f"the run ended with {code}: {log.read()[-2000:]}"]


def busy(nodes: Nodes) -> Iterator[str]:
    """Ids of joined nodes on which there are replicas."""
    for node_id, raylet in nodes.joined():
        if any("MakeStage" in command for _, command in commands_below(raylet)):
            yield node_id


def commits_of(output: Path) -> list[Commit]:
    ledger = Ledger(open_store(output))
    return list(ledger.commits(ledger.committed()))


if __name__ == "__main__":
    sys.exit(main())
