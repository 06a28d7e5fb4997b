"""The Serve application: one HTTP ingress that owns the videos, and an autoscaled pool of served replicas behind it.

Assumes that Ray runs and that the work directory is seen by every node. One ingress replica only, because it is the one
writer of the job table; replicas scale with the videos that wait.
"""

import logging
import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path

from fastapi import FastAPI
from ray import serve
from ray.serve.config import AutoscalingConfig, HTTPOptions, ProxyLocation
from ray.serve.schema import ReplicaState

from airshower.configs.gang_layout import ALONE, GangLayout
from airshower.configs.model_source import ModelSource
from airshower.platform.access import Access
from airshower.platform.job_runner import JobRunner
from airshower.platform.jobs import JobTable
from airshower.platform.video_api import VideoApi

APP = "airshower"
INGRESS = "api"
GENERATOR = "generator"

_DRAIN_POLL_S = 0.2  # how soon a replica that is to stop notices that its last request has ended


class ServiceError(RuntimeError):
    """The service can't start; one line says why."""


@dataclass(frozen=True, kw_only=True)
class ServiceSettings:
    """What `airshower serve` runs."""

    work_dir: str  # job records, uploads and results
    source: ModelSource
    device: str = "cpu"
    min_replicas: int = 1
    max_replicas: int = 1
    replica_cpus: float = 1.0
    replica_gpus: float = 0.0
    gang: GangLayout = ALONE  # of each replica, on one node
    max_queued: int = 100  # videos queued or running; more are answered with 429
    upload_limit_bytes: int = 2 << 30
    stall_timeout_s: float = 1800.0  # a generation without progress for so long makes its replica count as broken
    access: Access = field(default_factory=Access)

    def __post_init__(self) -> None:
        if not 1 <= self.min_replicas <= self.max_replicas:
            given = f"min-replicas {self.min_replicas}, max-replicas {self.max_replicas}"
            raise ValueError(f"{given}: use 1 <= min-replicas <= max-replicas")
        if self.gang.nodes > 1:
            raise ValueError(
                f"gang {self.gang.ranks}: a service's gangs are on one node each, and none is that large: use --gang "
                f"{self.gang.node_ranks} or less"
            )


@contextmanager
def running_service(settings: ServiceSettings, host: str, port: int, *, verbose: bool = False) -> Iterator[None]:
    """Serves inside the block, ready when it begins; Serve is gone when it ends. Raises ServiceError.

    Assumes that Ray is connected and that Serve does not run yet.
    """
    check_free(host, port)
    logging.getLogger("ray.serve").setLevel(logging.INFO if verbose else logging.CRITICAL)
    try:
        _deploy(settings, host, port)
        yield
    finally:
        # Ray reports the planned end of Serve's controller as a failed task.
        with nullcontext() if verbose else redirect_stdout(None):
            serve.shutdown()


def _deploy(settings: ServiceSettings, host: str, port: int) -> None:
    """Returns when the first replicas are ready; raises ServiceError when they can't be."""
    serve.start(proxy_location=ProxyLocation.HeadOnly, http_options=HTTPOptions(host=host, port=port))
    try:
        serve.run(service(settings), name=APP)
    except RuntimeError as error:
        raise ServiceError(f"{settings.source.preset.name} can't be served: {_reason() or error}") from error


def check_free(host: str, port: int) -> None:
    """Raises ServiceError when the port can't be listened on: Serve itself would only log it."""
    try:
        socket.create_server((host, port)).close()
    except OSError as error:
        raise ServiceError(
            f"{host}:{port} can't be listened on: {os.strerror(error.errno or 0)}: use another --port"
        ) from error


def _reason() -> str:
    """The last line of what the replicas said when they failed to start."""
    application = serve.status().applications.get(APP)
    messages = [state.message for state in application.deployments.values()] if application else []
    lines = "\n".join(messages).strip().splitlines()
    return re.sub(r"^[\w.]+: ", "", lines[-1].strip()) if lines else ""  # without the exception's type


def service(settings: ServiceSettings) -> serve.Application:
    """The application to pass to `serve.run(..., name=APP)`; raises ValueError for an unknown model."""
    from airshower.actors.served_replica import ServedReplica  # not above: the ingress does without torch
    from airshower.pipelines.annotate import annotate_row

    scaling = AutoscalingConfig(
        min_replicas=settings.min_replicas, max_replicas=settings.max_replicas, target_ongoing_requests=1
    )
    generator = serve.deployment(
        name=GENERATOR,
        autoscaling_config=scaling,
        max_ongoing_requests=1,  # what waits, waits where another replica can take it
        graceful_shutdown_timeout_s=settings.stall_timeout_s,  # a replica scaled away finishes its video
        graceful_shutdown_wait_loop_s=_DRAIN_POLL_S,
        health_check_period_s=2,  # also how soon a dead replica is replaced
        ray_actor_options={"num_cpus": settings.replica_cpus, "num_gpus": settings.replica_gpus},
    )(ServedReplica)
    model = generator.bind(
        settings.source,
        annotate_row,
        settings.device,
        settings.gang,
        settings.stall_timeout_s,
    )

    def build() -> FastAPI:
        return _api(settings)

    ingress = serve.deployment(
        name=INGRESS,
        num_replicas=1,
        max_ongoing_requests=1000,  # requests are short or downloads: videos wait in the runner's queue, not here
        graceful_shutdown_wait_loop_s=_DRAIN_POLL_S,
        ray_actor_options={"num_cpus": 0},
    )(serve.ingress(build)())
    return ingress.bind(model)


def _api(settings: ServiceSettings) -> FastAPI:
    """Built inside the ingress replica, whose event loop runs the videos."""
    jobs = JobTable(Path(settings.work_dir))
    runner = JobRunner(
        jobs,
        serve.get_deployment_handle(GENERATOR, app_name=APP),
        # Enough waiting for a replica to scale up by, few enough to bound what is prepared ahead.
        in_flight=settings.max_replicas + 2,
        max_queued=settings.max_queued,
    )
    return VideoApi(
        jobs,
        runner,
        preset=settings.source.preset.with_annotators(settings.source.annotators),
        access=settings.access,
        upload_limit_bytes=settings.upload_limit_bytes,
        ready_replicas=ready_replicas,
    ).app()


def ready_replicas() -> int:
    """Replicas that have loaded their model and pass their health check."""
    application = serve.status().applications[APP]
    return application.deployments[GENERATOR].replica_states.get(ReplicaState.RUNNING, 0)
