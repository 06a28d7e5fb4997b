"""The model behind the HTTP interface: an autoscaled pool of served replicas, as one Ray Serve application.

Assumes that Ray runs and that the work directory is seen by every node. Replicas scale with the videos that wait. The
HTTP interface (`airshower.platform.video_api`) is not Serve's, but this process's own.
"""

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from ray import serve
from ray.exceptions import RayError
from ray.serve.config import AutoscalingConfig, ProxyLocation
from ray.serve.exceptions import RayServeException
from ray.serve.handle import DeploymentHandle
from ray.serve.schema import ReplicaState

from airshower.configs.gang_layout import ALONE, GangLayout
from airshower.configs.messages import Row
from airshower.configs.model_source import ModelSource
from airshower.pipelines.annotate import annotate_row
from airshower.pipelines.sandbox.rows import SandboxedReading

if TYPE_CHECKING:
    from airshower.actors.annotator import Annotator

APP = "airshower"
GENERATOR = "generator"

_DRAIN_POLL_S = 0.2  # how soon a replica that is to stop notices that its last request has ended


class ServiceError(RuntimeError):
    """The service can't start; one line says why."""


@dataclass(frozen=True, kw_only=True)
class GeneratorSettings:
    """The replicas that the service runs."""

    source: ModelSource
    reading: SandboxedReading  # of the inputs that annotators see
    device: str = "cpu"
    min_replicas: int = 1
    max_replicas: int = 1
    replica_cpus: float = 1.0
    replica_gpus: float = 0.0
    gang: GangLayout = ALONE  # of each replica, on one node
    stall_timeout_s: float = 1800.0  # a generation without progress for so long makes its replica count as broken

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
def running_generator(settings: GeneratorSettings, *, verbose: bool = False) -> Iterator[DeploymentHandle]:
    """The handle of the replicas, the first of which are ready when the block begins; they are gone when it ends.

    Assumes that Ray is connected and that Serve does not run yet. Raises ServiceError.
    """
    logging.getLogger("ray.serve").setLevel(logging.INFO if verbose else logging.CRITICAL)
    try:
        yield _deployed(settings)
    finally:
        # Ray reports the planned end of Serve's controller as a failed task.
        with nullcontext() if verbose else redirect_stdout(None):
            serve.shutdown()


def ready_replicas() -> int:
    """Replicas that have loaded their model and pass their health check; 0 where Serve doesn't answer."""
    try:
        application = serve.status().applications[APP]
    except (RayError, RayServeException, KeyError):
        return 0
    return application.deployments[GENERATOR].replica_states.get(ReplicaState.RUNNING, 0)


def _deployed(settings: GeneratorSettings) -> DeploymentHandle:
    serve.start(proxy_location=ProxyLocation.Disabled)
    try:
        return serve.run(_application(settings), name=APP, route_prefix=None)
    except RuntimeError as error:
        raise ServiceError(f"{settings.source.preset.name} can't be served: {_reason() or error}") from error


def _reason() -> str:
    """The last line of what the replicas said when they failed to start."""
    application = serve.status().applications.get(APP)
    messages = [state.message for state in application.deployments.values()] if application else []
    lines = "\n".join(messages).strip().splitlines()
    return re.sub(r"^[\w.]+: ", "", lines[-1].strip()) if lines else ""  # without the exception's type


def _application(settings: GeneratorSettings) -> serve.Application:
    from airshower.actors.served_replica import ServedReplica  # not above: commands that don't serve do without torch

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
    return generator.bind(
        settings.source,
        partial(_annotated, settings.reading),
        settings.device,
        settings.gang,
        settings.stall_timeout_s,
    )


def _annotated(reading: SandboxedReading, row: Row, annotator: "Annotator", stopped: Callable[[], bool]) -> Row:
    return annotate_row(row, annotator, partial(reading.input_frames, stopped=stopped))
