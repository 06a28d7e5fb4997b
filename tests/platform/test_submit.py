"""`airshower submit`: what it refuses before anything is uploaded, and jobs on a real cluster.

The cluster is started as users do, with a token, ports and folders of its own, and cannot import this package.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from airshower.cluster.jobs import Job
from airshower.cluster.store import open_store
from airshower.pipelines.ledger.ledger import Ledger
from airshower.pipelines.ledger.run_records import RunRecords

ROOT = Path(__file__).parents[2]
TOKEN = "of-this-test-0123456789abcdef"
ROW = "configs/examples/street_edge.json"
WITHOUT_THE_PACKAGE = """
import sys
sys.meta_path[:] = [finder for finder in sys.meta_path if "airshower" not in getattr(finder, "__module__", "")]
"""


@dataclass(frozen=True)
class Head:
    """A running head node: its job server and the environment of its clients."""

    address: str
    driver_address: str
    sessions: Path
    client: dict[str, str]

    def submit(self, *arguments: str, token: str = TOKEN) -> tuple[int, str, str]:
        return self.call("submit", "--address", self.address, *arguments, token=token)

    def call(self, *arguments: str, token: str = TOKEN, home: Path | None = None) -> tuple[int, str, str]:
        """Any command; an empty token is none."""
        command = [sys.executable, "-m", "airshower", *arguments]
        environment = self.client | {"RAY_AUTH_TOKEN": token} | ({"HOME": str(home)} if home is not None else {})
        ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=200)
        return ended.returncode, ended.stdout, ended.stderr


def free_ports(count: int) -> list[int]:
    held = [socket.socket() for _ in range(count)]
    for each in held:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in held]
    for each in held:
        each.close()
    return ports


@pytest.fixture(scope="module")
def head() -> Iterator[Head]:
    folder = Path(tempfile.mkdtemp(prefix="head", dir="/tmp"))  # paths of sockets are limited to 107 characters
    (folder / "sitecustomize.py").write_text(WITHOUT_THE_PACKAGE)
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "PYTHONPATH"))}
    client = clean | {"RAY_AUTH_TOKEN": TOKEN, "PYTHONPATH": str(ROOT)}
    server = clean | {
        "PYTHONPATH": str(folder),
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": TOKEN,
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    hidden = subprocess.run([sys.executable, "-c", "import airshower"], cwd=folder, env=server, capture_output=True)
    assert b"No module named 'airshower'" in hidden.stderr
    ports = dict(
        zip(
            ("port", "dashboard-port", "dashboard-agent-listen-port", "ray-client-server-port"),
            free_ports(4),
            strict=True,
        )
    )
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--num-cpus=2"]
    command += [f"--temp-dir={folder}/ray", "--object-store-memory=150000000", "--node-ip-address=127.0.0.1"]
    command += [f"--{name}={port}" for name, port in ports.items()]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=server, stdout=log, stderr=log, start_new_session=True)
    try:
        wait_for_port(ports["dashboard-port"], process, folder / "log")
        http, driver = (f"127.0.0.1:{ports[name]}" for name in ("dashboard-port", "port"))
        yield Head(f"http://{http}", driver, folder / "ray", client)
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
        shutil.rmtree(folder, ignore_errors=True)


def wait_for_port(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    give_up = time.monotonic() + 90
    while time.monotonic() < give_up and process.poll() is None:
        with socket.socket() as trial:
            if trial.connect_ex(("127.0.0.1", port)) == 0 and "will now block forever" in log.read_text():
                return
        time.sleep(0.2)
    raise AssertionError(log.read_text())


@pytest.mark.cluster
def test_a_job_runs_once_whatever_its_cluster_has_installed(head, tmp_path):
    call = ("--id", "once", "--shared-output", "--", "generate", ROW, "--num-steps", "1", "--max-frames", "1")
    call += ("--output", str(tmp_path / "run"))
    code, log, said = head.submit(*call)
    assert code == 0, log + said
    assert "1 done, 0 failed" in log
    assert f"once: handed in to {head.address}" in said

    code, again, said = head.submit(*call)
    assert code == 0
    assert again == log
    assert said.splitlines()[0] == "airshower: once: handed in before, so nothing is started; its state is SUCCEEDED"
    ledger = Ledger(open_store(str(tmp_path / "run"), probe=False))
    assert (len(RunRecords(ledger).all(pytest.fail)), len(ledger.committed())) == (1, 1)

    code, _, said = head.submit(*call, "--seed", "8")
    assert code == 2
    assert re.fullmatch(r"airshower: once is the id of another command, `python -m .*`: choose another --id\n", said)

    (uploaded,) = (head.sessions / "session_latest").glob("runtime_resources/working_dir_files/*/")
    assert sorted(path.name for path in (uploaded / "airshower").iterdir() if path.name != "__pycache__") == [
        *("__init__.py", "__main__.py", "py.typed"),
    ]
    assert (uploaded / "models/shipped/tiny-transfer/transformer").is_dir()
    assert (uploaded / ROW).is_file()
    assert not (uploaded / "tests").exists()


@pytest.mark.cluster
def test_a_job_that_fails_ends_the_command_with_its_code(head, tmp_path):
    missing = str(tmp_path / "rows.json")  # a path on storage that this machine needs not see
    code, log, said = head.submit("generate", missing, "--output", "s3://drives/run")
    assert code == 2
    assert f"airshower: {missing} does not exist" in log
    assert re.search(
        r"airshower-[0-9a-f]{12} failed: .*exit code 2; to go on .* --id airshower-[0-9a-f]{12}-2\n$", said
    )


@pytest.mark.cluster
def test_who_lacks_the_token_is_told_so(head):
    code, _, said = head.submit("generate", ROW, "--output", "s3://drives/run", token="wrong-0123456789abcdef")
    assert code == 2
    assert re.fullmatch(r"airshower: job server of .*: it refuses the token: put the cluster's into .*\n", said)


@pytest.mark.cluster
def test_drivers_of_their_own_give_the_token_as_jobs_do(head, tmp_path):
    (tmp_path / "home" / ".ray").mkdir(parents=True)
    there = ("--address", head.driver_address)
    row = ("generate", ROW, "--num-steps", "1", "--max-frames", "1", "--output", str(tmp_path / "run"), *there)
    for command, token, reason in (
        (row, "", "it asks for a token"),
        (("plan", ROW, *there), "wrong-0123456789abcdef", "it refuses the token of RAY_AUTH_TOKEN"),
    ):
        code, _, said = head.call(*command, token=token, home=tmp_path / "home")
        remedy = r"put the cluster's into ~/\.ray/auth_token or RAY_AUTH_TOKEN"
        assert code == 2
        assert re.search(rf"^airshower: Ray cluster at [\d.:]+: {reason}: {remedy}\n\Z", said, re.MULTILINE), said
        assert said.count("airshower:") == 1
    (tmp_path / "home" / ".ray" / "auth_token").write_text(TOKEN)
    code, summary, said = head.call(*row, token="", home=tmp_path / "home")
    assert code == 0, said
    assert summary.startswith("1 done, 0 failed")


@pytest.mark.cluster
def test_rays_own_command_runs_the_checkout(head):
    path = json.dumps({"env_vars": {"PATH": "bin:${PATH}"}})
    command = [sys.executable, "-m", "ray.scripts.scripts", "job", "submit", "--address", head.address]
    command += ["--working-dir", ".", "--runtime-env-json", path, "--", "airshower", "--version"]
    environment = head.client | {"RAY_AUTH_MODE": "token"}
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=100)
    assert ended.returncode == 0, ended.stderr
    assert re.search(r"^airshower \d+\.\d+\.\d+$", ended.stdout, re.MULTILINE)


class CutOnce:
    """Passes connections on to a port, and cuts the first one that carries some text, right behind it."""

    def __init__(self, port: int, text: bytes) -> None:
        self._port, self._text = port, text
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.cuts = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            near, _ = self._listener.accept()
            far = socket.create_connection(("127.0.0.1", self._port))
            threading.Thread(target=self._pass_on, args=(near, far), daemon=True).start()
            threading.Thread(target=self._pass_on, args=(far, near), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):  # of a side that has gone
            while data := source.recv(65536):
                sink.sendall(data)
                if self._text in data and not self.cuts:
                    self.cuts += 1
                    break
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


FOLLOWED = """
import sys
from airshower.cluster.jobs import JobServer

server = JobServer(sys.argv[1])
lines = "for i in 1 2 3 4 5; do echo line $i; sleep 1; done; exit 3"
server.submit("lines", lines, runtime_env={}, metadata={})
job = server.follow("lines", lambda text: print(text, end=""))
print(job.state, job.exit_code)
"""


@pytest.mark.cluster
def test_a_cut_connection_costs_no_line_and_doubles_none(head):
    proxy = CutOnce(int(head.address.rpartition(":")[2]), b"line 2")
    command = [sys.executable, "-c", FOLLOWED, f"http://127.0.0.1:{proxy.port}"]
    ended = subprocess.run(command, cwd=ROOT, env=head.client, capture_output=True, text=True, timeout=100)
    assert proxy.cuts == 1
    *printed, end = ended.stdout.splitlines()
    assert [line for line in printed if line.startswith("line")] == [f"line {number}" for number in range(1, 6)]
    assert end == "FAILED 3"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["generate", ROW], "a job needs a place that outlives it: add --output s3://BUCKET/RUN"),
        (["generate", ROW, "--output", "outputs/run"], "--output outputs/run would lie on .* add --shared-output"),
        (["generate", ROW, "--output", "/data/run"], "--output /data/run would lie on the disks of single nodes"),
        (["generate", "nowhere.json", "--output", "s3://a/b"], r"nowhere\.json does not exist: name a file"),
        (["generate", "../rows", "--output", "s3://a/b"], r"\.\./rows is outside the working directory"),
        (["generate", ROW, "--output", "s3://a/b", "--address", "auto"], "leave --address out of its command"),
        (["generate", ROW, "--output", "s3://a/b", "--sed", "3"], "No such option: --sed"),
        (["serve"], "a job can't be 'serve': use one of evaluate, generate, plan, report, train"),
    ],
)
def test_what_cannot_work_there_is_refused_here(call, monkeypatch, arguments, message):
    monkeypatch.chdir(ROOT)
    code, _, errors = call("submit", "--address", "http://127.0.0.1:9", "--", *arguments)
    assert code == 2
    assert re.fullmatch(rf"airshower: .*{message}.*\n", errors), errors


@pytest.mark.usefixtures("no_cluster")  # a connection that is there would be taken
def test_a_client_address_is_refused_for_rows(call, monkeypatch, tmp_path):
    monkeypatch.chdir(ROOT)
    code, _, errors = call("generate", ROW, "-o", str(tmp_path), "--address", "ray://127.0.0.1:9")
    assert code == 2
    assert errors.splitlines()[-1].startswith("airshower: Ray cluster at ray://127.0.0.1:9: rows can't be made through")


def test_a_cluster_that_is_not_there_is_one_line(call, monkeypatch):
    monkeypatch.chdir(ROOT)
    (port,) = free_ports(1)
    code, _, errors = call("submit", "--address", f"http://127.0.0.1:{port}", "generate", ROW, "-o", "s3://a/b")
    assert code == 2
    assert re.fullmatch(rf"airshower: job server of http://127\.0\.0\.1:{port}: nobody answers \(.*\)\n", errors)


SAYS_ITS_MODE = """
import ray
from ray._raylet import AuthenticationMode, get_authentication_mode
from airshower.cluster.jobs import JobServer
from airshower.cluster.session import ClusterError

try:
    JobServer("http://127.0.0.1:9")
except ClusterError:
    print(get_authentication_mode() == AuthenticationMode.TOKEN)
"""


def test_a_token_counts_in_a_process_that_has_imported_ray(monkeypatch):
    """Else Ray would start clusters there that it can't speak to."""
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    monkeypatch.setenv("RAY_AUTH_TOKEN", TOKEN)
    ended = subprocess.run([sys.executable, "-c", SAYS_ITS_MODE], cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert ended.stdout == "True\n", ended.stderr


@pytest.mark.parametrize(("state", "given", "code"), [("SUCCEEDED", 0, 0), ("FAILED", 2, 2), ("FAILED", -9, 137)])
def test_exit_codes_are_those_of_a_shell(state, given, code):
    assert Job(id="a", entrypoint="b", state=state, message="", driver_exit_code=given).exit_code == code
    assert Job(id="a", entrypoint="b", state="STOPPED", message="", driver_exit_code=None).exit_code == 1
