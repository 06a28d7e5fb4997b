"""Kills, stops and breaks what a run stands on, again and again, then holds its outputs against an undisturbed run's.

    python -m tests.campaigns.faults [--rows 200] [--faults 20] [--gang 2] [--s3 moto|URL] [--seed 0] [--kinds KIND ...]

A cluster of three nodes on this machine makes rows with the tiny model. By turns, at random, SIGKILL goes to a worker,
a rank of a gang, the dispatcher, a whole node or the driver, which is then started again with the same command, and
SIGSTOP to a worker, the dispatcher or the raylet of a node, which then hang; with --s3 the outputs go to object storage
that drops connections, answers late with errors and loses answers. In the end every good row has to be committed
exactly once with the frames of the undisturbed run, and every bad row named once. Exits with 1 where that isn't so.
"""

import argparse
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from airshower.cluster.session import set_ray_environment
from airshower.cluster.store import Store, open_store
from airshower.configs.records import Commit
from airshower.pipelines.ledger.cleaning import orphans
from airshower.pipelines.ledger.ledger import Ledger
from airshower.pipelines.media import write_video
from airshower.pipelines.own_files import MANIFEST_NAME
from tests.cluster.faulty_proxy import DROPPED, Fault, FaultyProxy, faulty_proxy
from tests.cluster.s3_server import ENVIRONMENT, moto_server
from tests.processes import commands_below, kill, stop

if TYPE_CHECKING:
    from ray._private.node import Node

FRAMES, HEIGHT, WIDTH, FPS = 5, 144, 256, 10
NODES = 3
_NODE_CPUS = 2
_BUCKET = "campaign"
_PATIENCE_S = 300  # without any commit
_STORAGE_FAULTS = 0.2  # chance of one at every look
_KINDS = ("worker", "dispatcher", "node", "driver", "rank", "hung worker", "hung dispatcher", "hung node")
_HANG_TIMEOUT_S = 10
_FAST_HEALTH_CHECKS = {
    "health_check_initial_delay_ms": 500,
    "health_check_period_ms": 500,
    "health_check_failure_threshold": 4,
    "health_check_timeout_ms": 1000,
}


@dataclass(frozen=True, kw_only=True)
class Campaign:
    """What is run and how often it is disturbed."""

    rows: int = 200
    bad_rows: int = 4
    faults: int = 20
    gang: int = 2
    replicas: int = 2
    s3: str | None = None  # moto, or the URL of a server
    seed: int = 0
    kinds: tuple[str, ...] = _KINDS  # of faults


@dataclass(kw_only=True)
class Figures:
    """What happened."""

    kills: Counter[str] = field(default_factory=Counter)
    storage_faults: int = 0
    drivers: int = 0
    undisturbed_s: float = 0.0
    disturbed_s: float = 0.0
    committed: int = 0
    failures_named: int = 0
    cut_short: int = 0  # attempts that left files behind
    problems: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        kills = ", ".join(f"{count} x {kind}" for kind, count in sorted(self.kills.items()))
        lines = [
            f"killed: {kills}; {self.storage_faults} faults of storage; {self.drivers} drivers",
            f"undisturbed {self.undisturbed_s:.0f} s, disturbed {self.disturbed_s:.0f} s",
            f"{self.committed} rows committed once each, {self.failures_named} bad rows named once each",
            f"{self.cut_short} attempts were cut short while they wrote; `airshower runs clean` removes what they left",
        ]
        return "\n".join([*lines, *(f"PROBLEM {problem}" for problem in self.problems)])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200)
    parser.add_argument("--faults", type=int, default=20)
    parser.add_argument("--gang", type=int, default=2)
    parser.add_argument("--s3", help="moto, or the URL of a server, which takes any credentials")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="+", choices=_KINDS, default=_KINDS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = run(Campaign(**vars(options)), Path(folder))
    print(figures)
    return 1 if figures.problems else 0


def run(campaign: Campaign, folder: Path) -> Figures:
    """One undisturbed run, one disturbed one, and what differs."""
    figures = Figures()
    manifest = write_rows(campaign, folder)
    with storage(campaign, folder) as (output, proxy), cluster() as nodes:
        command = command_of(campaign, manifest, nodes.address)
        begun_s = time.monotonic()
        drive([*command, "--output", str(folder / "undisturbed")], figures)
        figures.undisturbed_s = time.monotonic() - begun_s
        begun_s = time.monotonic()
        Chaos(campaign, nodes, proxy, figures).disturb([*command, "--output", output], Ledger(open_store(output)))
        figures.disturbed_s = time.monotonic() - begun_s
        if proxy is not None:
            proxy.faults.clear()
        compare(campaign, str(folder / "undisturbed"), output, figures)
    return figures


def write_rows(campaign: Campaign, folder: Path) -> Path:
    """A manifest of good rows with inputs of their own kind, and some bad ones in between."""
    generator = np.random.default_rng(campaign.seed)
    for number in range(4):
        ramp = np.linspace(0, 255, WIDTH)[None, :, None] + np.zeros((HEIGHT, 1, 3))
        frames = [(ramp * generator.uniform(0.3, 1, 3) + 20 * step) % 256 for step in range(FRAMES)]
        write_video(folder / f"input{number}.mp4", np.stack(frames).astype(np.uint8), FPS)
    whole = (folder / "input0.mp4").read_bytes()
    (folder / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    rows = [
        {"name": f"good{index}", "video_path": f"input{index % 4}.mp4", "seed": index} for index in range(campaign.rows)
    ]
    for index in range(campaign.bad_rows):
        bad = {"name": f"bad{index}", "video_path": "cut.mp4" if index % 2 else "nowhere.mp4", "seed": index}
        rows.insert(generator.integers(len(rows) + 1), bad)
    manifest = folder / "rows.jsonl"
    common = {"prompt": "a street in the rain", "edge": {}, "num_steps": 2}
    manifest.write_text("".join(json.dumps({**common, **row}) + "\n" for row in rows))
    return manifest


def command_of(campaign: Campaign, manifest: Path, address: str) -> list[str]:
    layout = ["--gang", str(campaign.gang)] if campaign.gang > 1 else []
    options = ["--address", address, "--device", "cpu", "--replicas", str(campaign.replicas)]
    options += ["--hang-timeout", str(_HANG_TIMEOUT_S)]
    return [sys.executable, "-m", "airshower", "generate", str(manifest), *options, *layout]


def drive(command: list[str], figures: Figures) -> None:
    """A whole run; ends with 1, for some rows are bad."""
    figures.drivers += 1
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 1:
        raise RuntimeError(f"the run ended with {done.returncode}: {done.stderr[-2000:]}")


class Chaos:
    """Disturbs one run until it is done."""

    def __init__(self, campaign: Campaign, nodes: "Nodes", proxy: FaultyProxy | None, figures: Figures) -> None:
        self._campaign, self._nodes, self._proxy, self._figures = campaign, nodes, proxy, figures
        self._random = random.Random(campaign.seed)
        kinds = [kind for kind in campaign.kinds if kind != "rank" or campaign.gang > 1]
        self._kinds: list[str] = []  # each once before any comes again
        while len(self._kinds) < campaign.faults:
            self._random.shuffle(kinds)
            self._kinds += kinds
        self._driver: subprocess.Popen[str] | None = None
        self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115 -- open as long as drivers write to it

    def disturb(self, command: list[str], ledger: Ledger) -> None:
        """Starts the command, again where it was killed, and disturbs it as rows are committed."""
        every = self._campaign.rows / (self._campaign.faults + 1)
        faults, moved_s, committed = 0, time.monotonic(), 0
        self._start(command)
        while self._driver is not None:
            time.sleep(0.2)
            self._break_storage()
            found = len(self._patiently(ledger.committed))
            moved_s, committed = (time.monotonic(), found) if found > committed else (moved_s, committed)
            if time.monotonic() - moved_s > _PATIENCE_S:
                self._driver.kill()
                raise RuntimeError(f"nothing was committed for {_PATIENCE_S} s, with {committed} rows done")
            if faults < self._campaign.faults and committed >= every * (faults + 1):
                faults += self._kill(self._kinds[faults])
            code = self._driver.poll()
            if code == -signal.SIGKILL:
                self._start(command)
            elif code is not None:
                if code != 1:
                    raise RuntimeError(f"the run ended with {code}: {self._log()}")
                self._driver = None

    def _patiently(self, ask: Callable[[], set[str]]) -> set[str]:
        """The answer of storage that may be broken on purpose."""
        while True:
            try:
                return ask()
            except OSError:
                time.sleep(0.2)

    def _start(self, command: list[str]) -> None:
        self._figures.drivers += 1
        self._driver = subprocess.Popen(command, stdout=self._said, stderr=self._said, text=True)

    def _log(self) -> str:
        self._said.seek(0)
        return self._said.read()[-2000:]

    def _kill(self, kind: str) -> bool:
        """Whether there was one."""
        _, hung, what = kind.rpartition("hung ")
        if what == "node":
            self._nodes.replace_one(self._random, hung=bool(hung))
        elif what == "driver":
            os.kill(self._driver.pid, signal.SIGKILL)
        else:
            found = [process for process, command in commands_below() if self._is(what, command)]
            if not found or not (stop if hung else kill)(self._random.choice(found)):
                return False
        self._figures.kills[kind] += 1
        return True

    @staticmethod
    def _is(kind: str, command: str) -> bool:
        if kind == "rank":
            return "airshower.actors.gang_member" in command
        if kind == "dispatcher":
            return command.startswith("ray::Dispatcher")
        return command.startswith(("ray::MapWorker", "ray::MapBatches", "ray::Read_Parcels"))

    def _break_storage(self) -> None:
        if self._proxy is None or self._proxy.faults or self._random.random() > _STORAGE_FAULTS:
            return
        method = self._random.choice(["GET", "PUT", "PUT", "POST"])
        kinds = [
            Fault(method, 503, "SlowDown"),
            Fault(method, 500, "InternalError"),
            Fault(method, DROPPED),
            Fault(method, DROPPED, passed_on=True),
        ]
        self._proxy.faults.append(self._random.choice(kinds))
        self._figures.storage_faults += 1


class Nodes:
    """Three machines, as far as Ray can tell."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        head = {"num_cpus": _NODE_CPUS, "include_dashboard": False, "object_store_memory": 150 * 2**20}
        self._cluster = Cluster(
            initialize_head=True, head_node_args={**head, "_system_config": _FAST_HEALTH_CHECKS}, shutdown_at_exit=False
        )
        self.address: str = self._cluster.address
        self._others = [self._add() for _ in range(NODES - 1)]
        self._hung: list[Node] = []

    def _add(self) -> "Node":
        return self._cluster.add_node(num_cpus=_NODE_CPUS, object_store_memory=150 * 2**20)

    def joined(self) -> list[tuple[str, int]]:
        """Ids of all nodes but the head, and the processes of their raylets."""
        return [(node.node_id, node.all_processes["raylet"][0].process.pid) for node in self._others]

    def replace_one(self, chance: random.Random, *, hung: bool) -> None:
        """Kills a node as a whole, or stops its raylet; another one comes in its place."""
        victim = chance.randrange(len(self._others))
        if hung:
            os.kill(self._others[victim].all_processes["raylet"][0].process.pid, signal.SIGSTOP)
            self._hung.append(self._others[victim])
        else:
            self._cluster.remove_node(self._others[victim], allow_graceful=False)
        self._others[victim] = self._add()

    def stop(self) -> None:
        for node in self._hung:
            self._cluster.remove_node(node, allow_graceful=False)
        self._cluster.shutdown()


@contextmanager
def cluster() -> Iterator[Nodes]:
    set_ray_environment(verbose=False)
    nodes = Nodes()
    try:
        yield nodes
    finally:
        nodes.stop()


@contextmanager
def storage(campaign: Campaign, folder: Path) -> Iterator[tuple[str, FaultyProxy | None]]:
    """Where the disturbed run writes to; processes started meanwhile find the server through their environment."""
    if campaign.s3 is None:
        yield str(folder / "disturbed"), None
        return
    import boto3

    server = moto_server() if campaign.s3 == "moto" else nullcontext(campaign.s3)
    with server as endpoint, faulty_proxy(endpoint) as proxy, pytest.MonkeyPatch.context() as patch:
        for name, value in {**ENVIRONMENT, "AWS_ENDPOINT_URL": proxy.url}.items():
            patch.setenv(name, value)
        boto3.client("s3").create_bucket(Bucket=_BUCKET)
        yield f"s3://{_BUCKET}/{uuid.uuid4().hex}", proxy


def compare(campaign: Campaign, undisturbed: str, disturbed: str, figures: Figures) -> None:
    """Fills in what was made and what is wrong with it."""
    problems = figures.problems
    wanted, made = committed_frames(undisturbed, problems), committed_frames(disturbed, problems)
    twice = [name for name, hashes in made.items() if len(hashes) > 1]
    problems += [f"{name}: committed {len(made[name])} times" for name in twice]
    problems += [f"{name}: not committed" for name in sorted(wanted.keys() - made.keys())]
    problems += [f"{name}: other frames" for name in sorted(wanted.keys() & made.keys()) if wanted[name] != made[name]]
    figures.committed = len(made) - len(twice)
    if len(wanted) != campaign.rows:
        problems.append(f"{len(wanted)} of {campaign.rows} rows in the undisturbed run")
    table = pq.read_table(pa.BufferReader(open_store(disturbed).read(MANIFEST_NAME)))
    named = Counter(row["name"] for row in table.to_pylist() if row["status"] == "failed")
    expected = {f"bad{index}": 1 for index in range(campaign.bad_rows)}
    if named != expected:
        problems.append(f"failed rows {dict(named)} instead of {expected}")
    figures.failures_named = sum(count == 1 for count in named.values())
    figures.cut_short = len(orphans(Ledger(open_store(disturbed))))


def committed_frames(output: str, problems: list[str]) -> dict[str, list[str]]:
    """By name, the hashes of the frames of all its commits."""
    store = open_store(output)
    ledger = Ledger(store)
    frames: dict[str, list[str]] = {}
    for commit in ledger.commits(ledger.committed()):
        problems += [f"{commit.name}: {name} is not as committed" for name in changed_files(store, commit)]
        record = json.loads(store.read(f"{commit.folder}/{commit.outputs['record']}"))
        frames.setdefault(commit.name, []).append(record["frames_sha256"])
    return frames


def changed_files(store: Store, commit: Commit) -> list[str]:
    """Files of a commit that are not what it says."""
    return [
        name
        for name, file in commit.files.items()
        if hashlib.sha256(store.read(f"{commit.folder}/{name}")).hexdigest() != file.sha256
    ]


if __name__ == "__main__":
    sys.exit(main())
