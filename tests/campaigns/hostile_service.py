"""Hostile files through the service, by its HTTP interface as a client posts them."""

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests.campaigns.hostile_outcomes import HostileFile, Outcome
from tests.campaigns.watched_processes import watched_below

_AT_A_TIME = 4
_PATIENCE_S = 300
_PARTS = {
    "video_path": "video",
    "edge.control_path": "edge",
    "edge.mask_path": "mask_edge",
    "depth.control_path": "depth",
}


def through_service(files: Iterable[HostileFile], leader: Path, folder: Path) -> Iterator[Outcome]:
    """What becomes of each as an upload; `leader` is the video of rows where it is another part."""
    with (
        _service(folder / "work") as address,
        watched_below("airshower.pipelines.sandbox.child") as peaks,
        httpx.Client(base_url=address) as http,
    ):
        client = _Client(http, leader.read_bytes())
        replicas = _replicas()
        with ThreadPoolExecutor(_AT_A_TIME) as pool:
            yield from pool.map(client.outcome, files)
        print(f"the largest process that read files took {max(peaks.values(), default=0) / 2**20:.0f} MiB in all")
        if http.get("/healthz").status_code != 200 or _replicas() != replicas:
            raise AssertionError("the service lost its replica")
        left = list((folder / "work" / "videos").iterdir())
        if left:
            raise AssertionError(f"deleted videos left {left}")


class _Client:
    """Posts files and waits for their videos."""

    def __init__(self, http: httpx.Client, leader: bytes) -> None:
        self._http, self._leader = http, leader

    def outcome(self, file: HostileFile) -> Outcome:
        begun_s = time.perf_counter()
        part = _PARTS[file.field]
        spec: dict[str, Any] = {
            "prompt": "rain",
            "num_steps": 1,
            "max_frames": file.frames,
            part.removeprefix("mask_"): {},
        }
        if part == "video":
            spec = {**spec, "edge": {}}
            del spec["video"]
        parts = {"video": self._leader, part: file.content}
        answer = self._http.post("/v1/videos", data={"spec": json.dumps(spec)}, files=parts, timeout=_PATIENCE_S)
        if answer.status_code == 422:  # an empty file, say
            took_s = time.perf_counter() - begun_s
            return Outcome(file=file, end="refused", message=answer.json()["error"], seconds=took_s, name=f"{part}.mp4")
        video = answer.raise_for_status().json()
        while video["status"] not in ("done", "failed") and time.perf_counter() < begun_s + _PATIENCE_S:
            time.sleep(0.2)
            video = self._http.get(video["links"]["self"]).raise_for_status().json()
        self._http.delete(video["links"]["self"], timeout=60).raise_for_status()
        error = video["error"] or {"stage": "", "message": ""}
        ends = {"done": "read", "failed": "refused" if error["stage"] == "prepare" else "crashed"}
        return Outcome(
            file=file,
            end=ends.get(video["status"], "hung"),  # type: ignore[arg-type]
            message=error["message"],
            seconds=video["seconds"].get("prepare", time.perf_counter() - begun_s),
            name=f"{part}.mp4",
        )


@contextmanager
def _service(work: Path) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "airshower", "serve", "--work-dir", str(work), "--port", str(port)]
    command += ["--device", "cpu", "--max-replicas", "1"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert "is ready" in process.stdout.readline()
        yield f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(_PATIENCE_S)


def _replicas() -> set[int]:
    children = psutil.Process().children(recursive=True)
    return {process.pid for process in children if "ServeReplica" in " ".join(process.cmdline())}
