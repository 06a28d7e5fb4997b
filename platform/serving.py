"""The service from start to Ctrl-C: work folder, HTTP server, Ray, replicas, in this order, and back.

It listens from the first moment to the last, so that whoever asks hears that it starts or stops. It owns the Serve
instance of the cluster that it runs on. Videos that are unfinished go on when it starts again on the same folder.
"""

import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from airshower.cluster.inventory import Inventory
from airshower.cluster.leaving import interrupted_once
from airshower.cluster.session import ray_session, what_starts
from airshower.configs.gang_layout import GangLayout
from airshower.configs.model_source import ModelSource
from airshower.configs.offload import check_offload
from airshower.pipelines.pools import plan_pools
from airshower.pipelines.sandbox.confinement import lacking
from airshower.pipelines.sandbox.rows import SandboxedReading
from airshower.platform.access import Access
from airshower.platform.http_server import HttpServer, http_server
from airshower.platform.job_runner import JobRunner
from airshower.platform.jobs import JobTable
from airshower.platform.service import GeneratorSettings, ready_replicas, running_generator
from airshower.platform.video_api import VideoApi
from airshower.platform.work_folder import work_folder


@dataclass(frozen=True, kw_only=True)
class ServiceSettings:
    """What `airshower serve` runs."""

    source: ModelSource
    work_dir: Path  # job records, uploads and results
    host: str
    port: int
    device: str  # auto | cpu | cuda
    min_replicas: int
    max_replicas: int | None  # None: one per GPU, or per CPU where there is no GPU
    gang: GangLayout
    reading: SandboxedReading
    access: Access
    upload_limit_bytes: int
    max_queued: int  # videos queued or running; more are answered with 429
    address: str | None = None  # of a Ray cluster; None: RAY_ADDRESS or a local one
    verbose: bool = False


def serve_until_interrupted(settings: ServiceSettings) -> None:
    """Serves until SIGINT or SIGTERM and raises KeyboardInterrupt then, when everything has ended.

    Raises WorkFolderError, HttpServerError, ClusterError or ServiceError where it can't start.
    """
    # Here, since shells have jobs ignore SIGINT.
    with interrupted_once(signal.SIGINT, signal.SIGTERM), work_folder(settings.work_dir.resolve()) as folder:
        jobs = JobTable(folder)
        preset = settings.source.preset.with_annotators(settings.source.annotators)
        limit_bytes = settings.upload_limit_bytes
        api = VideoApi(jobs, preset=preset, access=settings.access, upload_limit_bytes=limit_bytes)
        with http_server(api.app(), settings.host, settings.port) as server:
            _say(settings)
            with ray_session(address=settings.address, verbose=settings.verbose, datasets=False) as cluster:
                _serve(settings, jobs, api, server, cluster)


def _serve(settings: ServiceSettings, jobs: JobTable, api: VideoApi, server: HttpServer, cluster: Inventory) -> None:
    generator_settings = _generator_settings(settings, cluster)
    with running_generator(generator_settings, verbose=settings.verbose) as generator:
        runner = JobRunner(
            jobs,
            generator,
            settings.reading,
            # Enough waiting for a replica to scale up by, few enough to bound what is prepared ahead.
            in_flight=generator_settings.max_replicas + 2,
            max_queued=settings.max_queued,
        )
        try:
            server.call(api.open(runner, ready_replicas))
            address = f"http://{settings.host}:{settings.port}"
            name, results = settings.source.preset.name, settings.work_dir
            print(f"{name} is ready at {address} (interface: /docs, results: {results})", flush=True)
            Event().wait()
        finally:
            server.call(api.close())


def _generator_settings(settings: ServiceSettings, cluster: Inventory) -> GeneratorSettings:
    pools = plan_pools(
        cluster,
        device=settings.device,
        replicas=settings.max_replicas,
        rows=settings.max_queued,
        gang=settings.gang,
    )
    check_offload(settings.source.offload, pools.device, settings.source.preset)
    return GeneratorSettings(
        source=settings.source,
        reading=settings.reading,
        device=pools.device,
        min_replicas=settings.min_replicas,
        max_replicas=pools.replicas,
        replica_cpus=pools.replica_cpus,
        replica_gpus=pools.replica_gpus,
        gang=pools.gang,
    )


def _say(settings: ServiceSettings) -> None:
    if (words := what_starts(settings.address)) is not None:
        print(f"airshower: {words}, then {settings.source.preset.name}", file=sys.stderr, flush=True)
    for what in lacking():
        print(f"airshower: this kernel can't bar {what} from the process that reads uploads", file=sys.stderr)
