"""`airshower serve`: the HTTP service's command line; `airshower.platform.serving` is what runs."""

from pathlib import Path
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
_GIB = 2**30
_FRAME_PX = 2**25  # 8192 x 4096
_CLIPS_IN_MEMORY = 6  # of one row at a time: its frames, those of a control, and what packing takes
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
        typer.Option(
            metavar="PREFIX",
            help="Start of URLs that specs may name, of a host that is trusted; repeatable",
            rich_help_panel=_ACCESS,
        ),
    ] = None,
    max_queued: Annotated[
        int, typer.Option(min=1, metavar="N", help="Unfinished videos; more get 429", rich_help_panel=_LIMITS)
    ] = 100,
    max_upload_mib: Annotated[
        int, typer.Option(min=1, metavar="MIB", help="Size of one upload; more gets 413", rich_help_panel=_LIMITS)
    ] = 2048,
    max_frames: Annotated[
        int,
        typer.Option(min=1, metavar="N", help="Frames read of one file; more fail the video", rich_help_panel=_LIMITS),
    ] = 2000,
    max_clip_gib: Annotated[
        float,
        typer.Option(
            min=0.01,
            metavar="GIB",
            help="Frames of one file, at the size they are read at; more fail the video. Reading a video's files may "
            "take 6 times as much memory",
            rich_help_panel=_LIMITS,
        ),
    ] = 1.0,
    max_read_s: Annotated[
        int,
        typer.Option(
            min=1, metavar="S", help="Time to read a video's files in; more fails it", rich_help_panel=_LIMITS
        ),
    ] = 600,
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

    from airshower.pipelines.decoding.limits import MediaLimits
    from airshower.pipelines.sandbox.limits import SandboxLimits
    from airshower.pipelines.sandbox.rows import SandboxedReading
    from airshower.platform.access import Access
    from airshower.platform.serving import ServiceSettings, serve_until_interrupted

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
    clip_bytes = int(max_clip_gib * _GIB)
    reading = SandboxedReading(
        media=MediaLimits(frame_px=_FRAME_PX, clip_bytes=clip_bytes, frames=max_frames),
        sandbox=SandboxLimits(memory_bytes=_CLIPS_IN_MEMORY * clip_bytes, timeout_s=max_read_s),
        fetched_bytes=max_upload_mib << 20,
    )
    settings = ServiceSettings(
        source=source,
        work_dir=work_dir,
        host=host,
        port=port,
        device=device,
        min_replicas=min_replicas,
        max_replicas=max_replicas,
        gang=layout,
        reading=reading,
        access=Access(folders=[str(path.resolve()) for path in allow_path or []], url_prefixes=allow_url_prefix or []),
        upload_limit_bytes=max_upload_mib << 20,
        max_queued=max_queued,
        address=address,
        verbose=verbose,
    )
    try:
        serve_until_interrupted(settings)
    except KeyboardInterrupt:
        print("stopped: videos that are not finished go on when the service starts again on this work directory")
