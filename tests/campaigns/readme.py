"""Pastes every shell block of README.md into a fresh clone, one after the other, as a newcomer would.

    python -m tests.campaigns.readme [--seconds 60]

The clone is made with git, so what isn't committed doesn't count. `airshower` is this environment's, with the clone's
code: that `make` makes an environment of its own is for continuous integration to show. A server is started in the
background for the block after it; commands that take hours are let run for `--seconds` and then interrupted, and must
end as Ctrl-C ends them. What needs a network, a GPU or a bucket is listed with its reason. Exits with 1 if a block
failed.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import httpx

from tests.documented_commands import ROOT, Block, blocks

ELSEWHERE = {  # by the words that a block holds
    "checkpoint download transfer2.5-2b": "fetches published weights of 20 GB",
    "make demo": "makes an environment of its own: .ci/run does it",
}
HOURS = ("airshower train ", "airshower evaluate ")
SERVER = "airshower serve "
_INTERRUPTED = 130
_PATIENCE_S = 1800


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60, help="that commands of hours may run")
    seconds = parser.parse_args().seconds
    failed = 0
    with tempfile.TemporaryDirectory(prefix="airshower-readme-") as folder:
        clone = Path(folder) / "airshower"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        environment = _environment(clone, Path(folder))
        servers: list[subprocess.Popen[bytes]] = []
        try:
            for block in blocks():
                failed += not _paste(block, clone, environment, seconds, servers)
        finally:
            for server in servers:
                _end(server)
    print(f"{failed} blocks failed" if failed else "every block that can run here does as README.md says")
    return int(failed > 0)


def _environment(clone: Path, folder: Path) -> dict[str, str]:
    """With an `airshower` that is this interpreter's and the clone's code."""
    programs = folder / "bin"
    programs.mkdir()
    launcher = programs / "airshower"
    launcher.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m airshower "$@"\n')
    launcher.chmod(0o755)
    path = f"{programs}:{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "PYTHONPATH": str(clone), "XDG_CACHE_HOME": str(folder / "cache")}


def _paste(
    block: Block, clone: Path, environment: dict[str, str], seconds: float, servers: list[subprocess.Popen[bytes]]
) -> bool:
    """Whether a block does as it says."""
    place = f"README.md:{block.line}"
    if reason := next((reason for words, reason in ELSEWHERE.items() if words in block.text), None):
        print(f"skip   {place}: {reason}")
        return True
    if block.text.startswith(SERVER):
        servers.append(_shell(block.text, clone, environment))
        return _reported(place, _answers(servers[-1]), 0.0)
    if any(words in block.text for words in HOURS):
        return all(_reported(place, *_begun(line, clone, environment, seconds)) for line in block.text.splitlines())
    begun_s = time.monotonic()
    process = _shell(f"set -e\n{block.text}", clone, environment)
    try:
        good = process.wait(_PATIENCE_S) == 0
    except subprocess.TimeoutExpired:
        good = False
        _end(process)
    return _reported(place, good, time.monotonic() - begun_s)


def _begun(line: str, clone: Path, environment: dict[str, str], seconds: float) -> tuple[bool, float]:
    """Whether a command of hours is at work after so many seconds, and ends when it is interrupted."""
    if not line.startswith(HOURS):
        return True, 0.0  # a comment, or what goes on from the result
    process = _shell(f"exec {line}", clone, environment)
    try:
        return process.wait(seconds) == 0, seconds
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
    try:
        return process.wait(120) == _INTERRUPTED, seconds
    except subprocess.TimeoutExpired:
        _end(process)
        return False, seconds


def _shell(text: str, clone: Path, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    print(f"\n{text.rstrip()}", flush=True)
    # Not in this process's group: an interrupt is to reach the one command.
    return subprocess.Popen(["bash", "-c", text], cwd=clone, env=environment, start_new_session=True)


def _answers(server: subprocess.Popen[bytes]) -> bool:
    until_s = time.monotonic() + 300
    while time.monotonic() < until_s and server.poll() is None:
        with suppress(httpx.TransportError):
            if httpx.get("http://localhost:8000/healthz").status_code == 200:
                return True
        time.sleep(1)
    return False


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _reported(place: str, good: bool, seconds: float) -> bool:
    print(f"{'ok    ' if good else 'FAILED'} {place} {seconds:.0f} s", flush=True)
    return good


if __name__ == "__main__":
    shutil.which("git") or sys.exit("git is needed to make a fresh clone")
    sys.exit(main())
