"""`airshower serve`: the HTTP service, from start to Ctrl-C.

It owns the Serve instance of the cluster it runs on and takes it down when it ends. Videos that are unfinished then go
on when the service is started again on the same work directory.
"""

import signal
import sys
from pathlib import Path
from threading import Event
from typing import Annotated, Literal

import typer

from airshower.configs.gang_layout import gang_of
from airshower.configs.model_source import ModelSource
from airshower.configs.offload import check_offload, parse_offload
from airshower.configs.presets import PRESETS, preset
from airshower.platform.embedding_cache import HELP as EMBEDDING_CACHE_HELP
from airshower.platform.embedding_cache import embedding_cache_of
from airshower.platform.gang_flags import GANG_GUIDANCE_HELP, SPREAD_WEIGHTS_HELP
from airshower.platform.required_parts import (
    ANNOTATORS_HELP,
    LOAD_EMA_HELP,
    OFFLOAD_HELP,
    WEIGHTS_HELP,
    require_annotators,
    require_parts,
)

_LIMITS = "Limits"
_ACCESS = "What clients may read besides their uploads"


def serve(
    model: Annotated[str, typer.Option(metavar="NAME", help=f"Model preset: {', '.join(PRESETS)}")] = "tiny-transfer",
    weights: Annotated[str | None, typer.Option(metavar="DIR|URL", help=WEIGHTS_HELP, show_default=False)] = None,
    embedding_cache: Annotated[
        str | None, typer.Option(metavar="DIR|URL", help=EMBEDDING_CACHE_HELP, show_default=False)
    ] = None,
    ema: Annotated[
        bool,
        typer.Option("--ema", help=LOAD_EMA_HELP),
    ] = False,
    annotators: Annotated[
        str | None,
        typer.Option(
            metavar="DIR|URL",
            help=ANNOTATORS_HELP,
        ),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for every network")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on")] = 8000,
    min_replicas: Annotated[int, typer.Option(min=1, metavar="N", help="Loaded models kept ready")] = 1,
    max_replicas: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Loaded models at most; default: one per GPU, or per CPU without any"),
    ] = None,
    device: Annotated[
        Literal["auto", "cpu", "cuda"],
        typer.Option(metavar="NAME", help="auto, cpu or cuda; auto takes GPUs if there are any"),
    ] = "auto",
    offload: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PART",
            help=OFFLOAD_HELP,
            show_default=False,
        ),
    ] = None,
    gang: Annotated[
        int,
        typer.Option(min=1, metavar="K", help="GPUs of one node that make each video together, for videos sooner"),
    ] = 1,
    gang_guidance: Annotated[bool, typer.Option("--gang-guidance", help=GANG_GUIDANCE_HELP)] = False,
    spread_weights: Annotated[bool, typer.Option("--spread-weights", help=SPREAD_WEIGHTS_HELP)] = False,
    work_dir: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder of job records, uploads and videos; seen by every node")
    ] = Path("service"),
    allow_path: Annotated[
        list[Path] | None,
        typer.Option(metavar="DIR", help="Folder whose files specs may name; repeatable", rich_help_panel=_ACCESS),
    ] = None,
    allow_url_prefix: Annotated[
        list[str] | None,
        typer.Option(metavar="PREFIX", help="Start of URLs that specs may name; repeatable", rich_help_panel=_ACCESS),
    ] = None,
    max_queued: Annotated[
        int, typer.Option(min=1, metavar="N", help="Unfinished videos; more get 429", rich_help_panel=_LIMITS)
    ] = 100,
    max_upload_mib: Annotated[
        int, typer.Option(min=1, metavar="MIB", help="Size of one upload; more gets 413", rich_help_panel=_LIMITS)
    ] = 2048,
    address: Annotated[
        str | None, typer.Option(metavar="ADDR", help="Ray cluster; default: RAY_ADDRESS, or one on this machine")
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", help="Let Ray and Serve log, and show tracebacks")] = False,
) -> None:
    """Serve a model over HTTP: post a row, follow its progress, download the video.

    Runs until Ctrl-C (or SIGTERM) and then exits with 0. The interface is described at /docs.
    """
    chosen = preset(model)
    offloaded = parse_offload(offload or ())
    check_offload(offloaded, device, chosen)
    layout = gang_of(gang, guidance=gang_guidance, spread_weights=spread_weights)
    layout.check_offload(offloaded)

    from airshower.cluster.leaving import interrupted_once
    from airshower.cluster.session import ray_session, what_starts
    from airshower.pipelines.pools import plan_pools
    from airshower.platform.access import Access
    from airshower.platform.service import ServiceSettings, running_service

    source = ModelSource(
        preset=chosen,
        weights=weights,
        load_ema=ema,
        annotators=annotators,
        embedding_cache=embedding_cache_of(embedding_cache, chosen),
        offload=offloaded,
    )
    require_parts(source, address=address)
    require_annotators(annotators)
    access = Access(folders=[str(path.resolve()) for path in allow_path or []], url_prefixes=allow_url_prefix or [])
    if (words := what_starts(address)) is not None:
        print(f"airshower: {words}, then {model}", file=sys.stderr, flush=True)
    try:
        with (
            ray_session(address=address, verbose=verbose, datasets=False) as cluster,
            interrupted_once(signal.SIGINT, signal.SIGTERM),  # Ray handles them, and shells ignore INT after `&`
        ):
            pools = plan_pools(cluster, device=device, replicas=max_replicas, rows=max_queued, gang=layout)
            check_offload(offloaded, pools.device, chosen)
            settings = ServiceSettings(
                source=source,
                device=pools.device,
                work_dir=str(work_dir.resolve()),
                min_replicas=min_replicas,
                max_replicas=pools.replicas,
                replica_cpus=pools.replica_cpus,
                replica_gpus=pools.replica_gpus,
                gang=pools.gang,
                max_queued=max_queued,
                upload_limit_bytes=max_upload_mib << 20,
                access=access,
            )
            with running_service(settings, host, port, verbose=verbose):
                print(f"{model} is ready at http://{host}:{port} (interface: /docs, results: {work_dir})", flush=True)
                _wait_for_interrupt()
    except KeyboardInterrupt:
        print("stopped: videos that are not finished go on when the service starts again on this work directory")


def _wait_for_interrupt() -> None:
    """Blocks until SIGINT or SIGTERM, then raises KeyboardInterrupt; later ones are ignored."""
    try:
        Event().wait()
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):  # a second one would leave half of the processes behind
            signal.signal(number, signal.SIG_IGN)
