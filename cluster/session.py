"""Connecting to Ray: a local cluster for this command, or one that already runs.

Assumes that `airshower` is importable on every node (installed, or shipped by `ray job submit --working-dir`).
Deliberately does not start multi-node clusters and does not choose pool sizes; it only says what the cluster has.
Ray reads much of its environment when it is imported, so here it is imported only after that is set; a program that
imports Ray elsewhere calls `set_ray_environment` before.
"""

import logging
import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, cast

from airshower.cluster.inventory import Inventory, cluster_inventory
from airshower.cluster.leaving import sigterm_handler_kept
from airshower.cluster.lost_nodes import taking_leave
from airshower.cluster.own_package import search_path
from airshower.cluster.service_errors import in_one_line
from airshower.cluster.tokens import TokenError, use_token_where_asked

if TYPE_CHECKING:
    from ray.actor import ActorHandle
    from ray.job_config import JobConfig

_LOCAL, _CLIENT = "local", "ray://"

# A local object store larger than this only lets more clips wait in memory; Ray's default is 30 % of the machine.
_MAX_LOCAL_OBJECT_STORE_BYTES = 2 * 2**30
_OBJECT_STORE_FRACTION = 0.3
_CONNECT_TIMEOUT_S = 10.0

_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_AUTO_CONNECT": "0",  # a call after the session's end must fail, not start another cluster unseen
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # Ray's announced default; silences its notice
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",  # under `uv run`, Ray would upload the working directory for every worker
}
_QUIET_ENVIRONMENT = {
    # Printed whatever log_to_driver says. A worker that dies is replaced, and a row that kills its workers says so.
    "RAY_DEDUP_LOGS_SKIP_REGEX": r"A worker died or was killed|Task .* failed\. There are",
}


class ClusterError(RuntimeError):
    """No Ray cluster: the message says which address and what to do."""


@contextmanager
def ray_session(
    *,
    address: str | None = None,
    verbose: bool = False,
    stall_timeout_s: float = 6 * 3600,
    local_cpus: int | None = None,
    datasets: bool = True,
    say: Callable[[str], None] | None = None,
) -> Iterator[Inventory]:
    """A Ray connection, and what is there; it ends with the block, unless the caller was connected already.

    `address` None means RAY_ADDRESS (set inside `ray job submit`) or else a local cluster, with `local_cpus` CPUs
    (None: all), of whose start `say` (None: stderr) hears when it takes long. A dataset in which nothing moves for
    `stall_timeout_s` fails; `datasets` says whether there will be any. A handler of SIGTERM that is there stays.
    Raises ClusterError.
    """
    set_ray_environment(verbose=verbose)
    import ray

    chosen = _chosen(address)
    if ray.is_initialized():
        there: AbstractContextManager[None] = nullcontext()
    elif datasets and chosen.startswith(_CLIENT):
        raise ClusterError(
            f"Ray cluster at {chosen}: rows can't be made through a {_CLIENT} address: name HOST:6379 on a machine of "
            "the cluster, or hand the command in with airshower submit"
        )
    else:
        there = _cluster(chosen, verbose, local_cpus, say or _say_on_stderr)
    with there:
        _configure_data(verbose, stall_timeout_s)
        yield cluster_inventory()


def what_starts(address: str | None) -> str | None:
    """What `ray_session` will take some seconds for, in words; None where the caller is connected already."""
    ray = sys.modules.get("ray")  # who hasn't imported it isn't connected
    if ray is not None and ray.is_initialized():
        return None
    chosen = _chosen(address)
    return "starting Ray" if chosen == _LOCAL else f"connecting to Ray at {chosen}"


def _chosen(address: str | None) -> str:
    return address or os.environ.get("RAY_ADDRESS") or _LOCAL


def set_ray_environment(*, verbose: bool) -> None:
    """Sets those of Ray's environment variables that the user has not set."""
    for name, value in (_ENVIRONMENT if verbose else _ENVIRONMENT | _QUIET_ENVIRONMENT).items():
        os.environ.setdefault(name, value)


@contextmanager
def _cluster(address: str, verbose: bool, cpus: int | None, say: Callable[[str], None]) -> Iterator[None]:
    """A connection to a cluster that is there, or to one that ends with the block."""
    with ExitStack() as ending:
        try:
            if address == _LOCAL:
                ending.enter_context(_local_cluster(verbose, cpus, say))
            else:
                ending.enter_context(_cluster_there(address, verbose))
        except TokenError as error:
            raise ClusterError(f"Ray cluster at {address}: {error}") from error
        except Exception as error:  # Ray raises its own errors, those of the system, and bare exceptions
            said = in_one_line(error)
            if address == _LOCAL:
                raise ClusterError(f"Ray can't be started here: {said}") from error
            raise ClusterError(
                f"no Ray cluster at address {address!r}: {said}: start one or leave the address out"
            ) from error
        if not verbose:
            _use_up_restart_notice()
        yield


@contextmanager
def _local_cluster(verbose: bool, cpus: int | None, say: Callable[[str], None]) -> Iterator[None]:
    from airshower.cluster.local_node import local_node  # imports Ray

    logging.getLogger("ray").setLevel(_ray_level(verbose))
    with (
        local_node(cpus=cpus, object_store_bytes=_local_object_store_bytes(), log=verbose, say=say) as address,
        _connection(address, verbose),
    ):
        yield


@contextmanager
def _cluster_there(address: str, verbose: bool) -> Iterator[None]:
    from ray._private.services import canonicalize_bootstrap_address

    found = (canonicalize_bootstrap_address(address) if address == "auto" else None) or address
    check_reachable(found)
    if (server := _host_and_port(found)) is not None:
        use_token_where_asked(server)
    with _connection(found, verbose):
        yield


@contextmanager
def _connection(address: str, verbose: bool) -> Iterator[None]:
    import ray

    connect = partial(ray.init, address=address, log_to_driver=verbose, logging_level=_ray_level(verbose))
    with sigterm_handler_kept():
        if address.startswith(_CLIENT):  # whose folder nobody looks into
            connect()
        else:
            connect(job_config=_job_config())
    with taking_leave(ray.shutdown):
        yield


def _job_config() -> "JobConfig":
    """Lets workers find this package, and keeps them from this process's working directory, which Ray would add."""
    from ray.job_config import JobConfig

    return JobConfig(_client_job=True, _py_driver_sys_path=search_path())


def _ray_level(verbose: bool) -> int:
    return logging.INFO if verbose else logging.CRITICAL


def _say_on_stderr(line: str) -> None:
    print(f"airshower: {line}", file=sys.stderr, flush=True)


def check_reachable(address: str) -> None:
    """Raises ConnectionError when nobody listens at host:port; Ray would try for a minute, then end the process."""
    server = _host_and_port(address)
    if server is None:
        return  # "auto" and the like, which Ray refuses by itself
    host, _, port = server.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=_CONNECT_TIMEOUT_S).close()
    except OSError as error:
        raise ConnectionError(f"nobody answers ({error.strerror or error})") from error


def _host_and_port(address: str) -> str | None:
    """Of an address with or without a scheme; None where it names no port."""
    server = address.rpartition("://")[2].partition("/")[0]
    return server if server.rpartition(":")[2].isdigit() else None


def _use_up_restart_notice() -> None:
    """Makes Ray say out of sight what it says once per driver, in C++ and so past every log setting.

    It warns of restartable actors with arguments in the object store. Every actor pool of Ray Data is one, and keeps
    its arguments alive itself.
    """
    import ray

    with _native_stderr_muted():
        actor = ray.remote(num_cpus=0, max_restarts=1)(_Nothing).remote(ray.put(None))
    ray.kill(cast("ActorHandle[_Nothing]", actor))


class _Nothing:
    def __init__(self, nothing: None) -> None: ...


@contextmanager
def _native_stderr_muted() -> Iterator[None]:
    sys.stderr.flush()
    kept = os.dup(2)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _local_object_store_bytes() -> int:
    memory_bytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min(_MAX_LOCAL_OBJECT_STORE_BYTES, int(memory_bytes * _OBJECT_STORE_FRACTION))


def _configure_data(verbose: bool, stall_timeout_s: float) -> None:
    """Settings of every dataset this driver runs."""
    from ray.data import DataContext

    context = DataContext.get_current()
    context.enable_progress_bars = verbose
    context.print_on_execution_start = verbose
    context.execution_options.preserve_order = False  # a slow clip must not hold back finished ones
    context.execution_no_progress_timeout_s = stall_timeout_s
    context.max_consecutive_actor_init_deaths = 5
    context.memory_usage_poll_interval_s = None  # reading page tables every second: 5 % of a core for each process
    # What a user needs to know of a failure is in the exception; Ray's log prints stack traces of its own threads.
    logging.getLogger("ray.data").setLevel(logging.INFO if verbose else logging.CRITICAL)
