"""A Ray node of this command's own, on this machine: started, waited for, and ended with everything on it.

It is what `ray.init(address="local")` starts, with three differences. A machine that is so busy that Ray takes minutes
to start is waited for, where Ray gives up after 15 or 30 seconds, by the part. Its processes don't hear SIGTERM, which
batch systems send to all processes of a command: the driver hears it and ends the run, and they end with the driver.
And its sockets lie in a folder whose path is short enough for them, wherever temporary files are.

Assumes that no Ray node of this process is there. Connecting to it is left to `airshower.cluster.session`. Importing
this module imports Ray.
"""

import os
import random
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
from ray._common.utils import get_default_ray_temp_dir
from ray._private import ray_constants
from ray._private.authentication import authentication_token_setup
from ray._private.node import Node
from ray._private.parameter import RayParams
from ray._raylet import DASHBOARD_AGENT_LISTEN_PORT_NAME, persist_port  # type: ignore[attr-defined]
from ray.exceptions import RayError

from airshower.cluster.leaving import deaf_to_sigterm
from airshower.cluster.lost_nodes import taking_leave
from airshower.cluster.service_errors import in_one_line

SAID_AFTER_S = 20.0
LONGEST_START_S = 600.0
_LOOK_S = 0.2
_NOWHERE = b"127.0.0.1:9"  # the port on which nobody listens by convention
_STARTS = 2  # another process may take a port between our look and Ray's use of it
_PORTS = range(20_000, 32_000)  # between those of Ray's workers and those that systems hand out
_MOST_SOCKET_BYTES = 107  # of a path, which is Linux's limit
_LONGEST_SOCKET = "/session_2026-01-01_00-00-00_000000_4194304/sockets/plasma_store"
_SHORT_FOLDERS = ("/tmp", "/var/tmp", "/dev/shm")

# What Ray starts as the machine allows, and gives up on sooner than we do.
_PATIENCE: dict[str, Any] = {
    "agent_register_timeout_ms": int(1000 * LONGEST_START_S),
    "worker_register_timeout_seconds": int(LONGEST_START_S),
}
_GCS_PATIENCE = "RAY_gcs_server_port_wait_time_s"


class NodeStartError(RuntimeError):
    """Ray couldn't be started on this machine; the message says why, as far as that is known."""


@contextmanager
def local_node(*, cpus: int | None, object_store_bytes: int, log: bool, say: Callable[[str], None]) -> Iterator[str]:
    """The address of a new node, which ends with the block; `cpus` None are all, `log` lets workers' output through.

    `say` hears when the machine needs long. Raises NodeStartError.
    """
    authentication_token_setup.enable_token_auth_by_default()  # as Ray does for a node of its own
    authentication_token_setup.ensure_token_if_auth_enabled({}, create_token_if_missing=True)
    options = {"num_cpus": cpus, "object_store_memory": object_store_bytes, "include_log_monitor": log}
    with _sockets() as sockets:
        node = _started(options | sockets, say)
        with taking_leave(node.end):  # a lost one ends with this process
            yield node.address


def _started(options: dict[str, Any], say: Callable[[str], None]) -> "_LocalNode":
    give_up_s = time.monotonic() + LONGEST_START_S
    for left in reversed(range(_STARTS)):
        try:
            return _LocalNode(options, say, give_up_s)
        except NodeStartError:
            if not left or time.monotonic() > give_up_s:
                raise
    raise AssertionError("unreachable")


class _LocalNode(Node):
    """Ray's node, whose start is waited for."""

    def __init__(self, options: dict[str, Any], say: Callable[[str], None], give_up_s: float) -> None:
        self._say, self._begun_s, self._give_up_s = say, time.monotonic(), give_up_s
        metrics_agent, metrics_export, runtime_env_agent, dashboard_agent = _free_ports(4)
        parameters = RayParams(
            include_dashboard=False,
            no_monitor=True,  # it adds nodes, and there is one
            metrics_agent_port=metrics_agent,
            metrics_export_port=metrics_export,
            runtime_env_agent_port=runtime_env_agent,
            dashboard_agent_listen_port=dashboard_agent,
            _system_config=dict(_PATIENCE),
            **options,
        )
        try:
            with _environment(_GCS_PATIENCE, str(int(LONGEST_START_S))):
                super().__init__(parameters, head=True, shutdown_at_exit=False, spawn_reaper=True)
        except NodeStartError:
            self._kill()
            raise
        except BaseException as error:
            self._kill()
            if isinstance(error, Exception):
                raise NodeStartError(in_one_line(error)) from error
            raise

    def start_head_processes(self) -> None:
        with deaf_to_sigterm():
            super().start_head_processes()

    def start_api_server(self, **_: Any) -> None:  # noqa: ANN401 - Ray's arguments
        """Nobody looks at a dashboard that is there for one command, and its process starts slowly.

        Ray Train asks it whether its controller lives, and waits for its address when a training run ends: there is
        one, which refuses at once.
        """
        space = ray_constants.KV_NAMESPACE_DASHBOARD
        self.get_gcs_client().internal_kv_put(ray_constants.DASHBOARD_ADDRESS.encode(), _NOWHERE, True, space)

    def start_raylet(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - likewise
        """The raylet would wait 15 s for its agent to say this port, and then abort: it is said beforehand."""
        port = self._ray_params.dashboard_agent_listen_port
        persist_port(self.get_session_dir_path(), self.node_id, DASHBOARD_AGENT_LISTEN_PORT_NAME, port)
        super().start_raylet(*arguments, **options)

    def start_ray_processes(self) -> None:
        """Until the node is known to itself: Ray's own wait of 30 s, which comes next, then has nothing to wait for."""
        with deaf_to_sigterm():
            super().start_ray_processes()
        said = False
        while not self._is_known():
            now_s = time.monotonic()
            if ended := self._ended():
                raise NodeStartError(f"its {ended} has ended: see {self.get_logs_dir_path()}")
            if now_s > self._give_up_s:
                raise NodeStartError(
                    f"it needs longer than {LONGEST_START_S / 60:g} minutes: this machine is too busy, or what is "
                    f"wrong is in {self.get_logs_dir_path()}"
                )
            if not said and now_s - self._begun_s > SAID_AFTER_S:
                said = True
                self._say(
                    f"this machine is busy: Ray needs longer than {SAID_AFTER_S:g} s to start; waiting for it, "
                    f"{LONGEST_START_S / 60:g} minutes at most"
                )
            time.sleep(_LOOK_S)

    def _is_known(self) -> bool:
        """Unlike Ray's own question, it doesn't wait until it is."""
        try:
            known = self.get_gcs_client().get_all_node_info()
        except RayError:  # which may be as slow
            return False
        return any(node.hex() == self.node_id for node in known)

    def _ended(self) -> str | None:
        """Which process has, that nothing works without."""
        needed = (ray_constants.PROCESS_TYPE_GCS_SERVER, ray_constants.PROCESS_TYPE_RAYLET)
        return next((kind for kind, _ in self.dead_processes() if kind in needed), None)

    def end(self) -> None:
        """Kills everything on the node: its processes don't hear the SIGTERM that Ray would try first."""
        self.destroy_external_storage()
        self._kill()

    def _kill(self) -> None:
        below = self._below_raylet()
        self.kill_all_processes(check_alive=False, allow_graceful=False)
        for process in below:  # agents would look for the raylet for another minute
            with suppress(psutil.NoSuchProcess):
                process.kill()

    def _below_raylet(self) -> list[psutil.Process]:
        """The raylet's children, and theirs: agents and workers."""
        found: list[psutil.Process] = []
        for started in self.all_processes.get(ray_constants.PROCESS_TYPE_RAYLET, []):
            with suppress(psutil.NoSuchProcess):
                found += psutil.Process(started.process.pid).children(recursive=True)
        return found


def _free_ports(count: int) -> list[int]:
    """Ports that nobody listens on; they are not held."""
    found: list[int] = []
    for port in random.Random().sample(_PORTS, len(_PORTS)):
        with socket.socket() as trial, suppress(OSError):
            trial.bind(("", port))
            found.append(port)
        if len(found) == count:
            return found
    raise NodeStartError(f"of the ports {_PORTS.start} to {_PORTS.stop}, too few are free")


@contextmanager
def _sockets() -> Iterator[dict[str, str]]:
    """Where the node's sockets are to be, in Ray's words: a private folder, if Ray's own path is too long for them."""
    if len(os.fsencode(get_default_ray_temp_dir() + _LONGEST_SOCKET)) <= _MOST_SOCKET_BYTES:
        yield {}
        return
    private = Path(tempfile.mkdtemp(prefix="airshower-", dir=_short_folder()))
    folder = private / "ray"  # which Ray opens to everybody
    try:
        yield {"plasma_store_socket_name": str(folder / "plasma"), "raylet_socket_name": str(folder / "raylet")}
    finally:
        shutil.rmtree(private, ignore_errors=True)


def _short_folder() -> str:
    for folder in _SHORT_FOLDERS:
        if os.access(folder, os.W_OK | os.X_OK):
            return folder
    raise NodeStartError(
        f"{get_default_ray_temp_dir()} is too long a path for its sockets, and none of "
        f"{', '.join(_SHORT_FOLDERS)} may be written: set RAY_TMPDIR to a folder with a path of at most "
        f"{_MOST_SOCKET_BYTES - len(_LONGEST_SOCKET) - len('/ray')} characters"
    )


@contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    """A variable, unless it is set already, for as long as the block lasts."""
    if name in os.environ:
        yield
        return
    os.environ[name] = value
    try:
        yield
    finally:
        del os.environ[name]
