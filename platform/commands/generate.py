"""`airshower generate`: rows in, clips out, with progress while it goes and a summary at the end.

Progress goes to stderr, the summary to stdout. Assumes nothing of the rows: what they get wrong is in the summary and
in the manifest. The work itself is `airshower.pipelines.generate`.
"""

import os
import sys
import traceback
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from airshower.configs.gang_layout import gang_of
from airshower.configs.model_source import ModelSource
from airshower.configs.offload import parse_offload
from airshower.configs.presets import PRESETS, preset
from airshower.platform.clip_flags import overrides_from, with_clip_flags
from airshower.platform.embedding_cache import HELP as EMBEDDING_CACHE_HELP
from airshower.platform.embedding_cache import embedding_cache_of
from airshower.platform.gang_flags import GANG_GUIDANCE_HELP, SPREAD_WEIGHTS_HELP
from airshower.platform.progress import RunProgress, clock_words, failure_line, show_progress
from airshower.platform.required_parts import (
    ANNOTATORS_HELP,
    LOAD_EMA_HELP,
    OFFLOAD_HELP,
    WEIGHTS_HELP,
    require_annotators,
    require_parts,
)
from airshower.platform.row_flags import Limit, Specs

if TYPE_CHECKING:
    from airshower.pipelines.run import RunSummary

_PANEL = "Run"
_SHOWN_FAILURES = 10
_MOST_REPORTED = 20_000  # rows of a folder that is reported on without being asked
_ASKED_TO_END = 75  # "try again later", as sysexits.h has it: the same command goes on


@with_clip_flags
def generate(
    specs: Specs = None,
    *,
    limit: Limit = None,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR|URL",
            help="Run folder, created if missing; default: the rows' output_dir",
            show_default=False,
            rich_help_panel=_PANEL,
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help=f"Model preset: {', '.join(PRESETS)}; default: the tiny one for the rows' kind, one camera or several",
            show_default=False,
            rich_help_panel=_PANEL,
        ),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(metavar="DIR|URL", help=WEIGHTS_HELP, show_default=False, rich_help_panel=_PANEL),
    ] = None,
    embedding_cache: Annotated[
        str | None,
        typer.Option(metavar="DIR|URL", help=EMBEDDING_CACHE_HELP, show_default=False, rich_help_panel=_PANEL),
    ] = None,
    ema: Annotated[
        bool,
        typer.Option(
            "--ema",
            help=LOAD_EMA_HELP,
            rich_help_panel=_PANEL,
        ),
    ] = False,
    annotators: Annotated[
        str | None,
        typer.Option(
            metavar="DIR|URL",
            help=ANNOTATORS_HELP,
            rich_help_panel=_PANEL,
        ),
    ] = None,
    replicas: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Loaded models that work side by side; default: one per GPU, or per CPU where there is no GPU",
            rich_help_panel=_PANEL,
        ),
    ] = None,
    device: Annotated[
        Literal["auto", "cpu", "cuda"],
        typer.Option(
            metavar="NAME", help="auto, cpu or cuda; auto takes GPUs if there are any", rich_help_panel=_PANEL
        ),
    ] = "auto",
    offload: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PART",
            help=OFFLOAD_HELP,
            show_default=False,
            rich_help_panel=_PANEL,
        ),
    ] = None,
    gang: Annotated[
        int,
        typer.Option(
            min=1,
            metavar="K",
            help="GPUs that make each clip together, of one node or several: for clips sooner, not more of them",
            rich_help_panel=_PANEL,
        ),
    ] = 1,
    gang_guidance: Annotated[
        bool,
        typer.Option(
            "--gang-guidance",
            help=GANG_GUIDANCE_HELP,
            rich_help_panel=_PANEL,
        ),
    ] = False,
    spread_weights: Annotated[
        bool,
        typer.Option(
            "--spread-weights",
            help=SPREAD_WEIGHTS_HELP,
            rich_help_panel=_PANEL,
        ),
    ] = False,
    address: Annotated[
        str | None,
        typer.Option(
            metavar="ADDR",
            help="Ray cluster to use, such as auto or HOST:6379; default: RAY_ADDRESS, or one on this machine",
            rich_help_panel=_PANEL,
        ),
    ] = None,
    retry_failed: Annotated[
        bool,
        typer.Option("--retry-failed", help="Rows that failed in earlier runs, too", rich_help_panel=_PANEL),
    ] = False,
    fresh: Annotated[
        bool,
        typer.Option("--fresh", help="All rows again; earlier clips stay, but no longer count", rich_help_panel=_PANEL),
    ] = False,
    verify: Annotated[
        bool,
        typer.Option(
            "--verify",
            help="Read the clips that are made, and make those again whose files were changed; default: by their sizes",
            rich_help_panel=_PANEL,
        ),
    ] = False,
    hang_timeout: Annotated[
        float,
        typer.Option(
            min=1.0,
            metavar="S",
            help="Seconds after which a process of the run that says nothing, and does nothing, is ended",
            rich_help_panel=_PANEL,
        ),
    ] = 180.0,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Let Ray log, and show tracebacks", rich_help_panel=_PANEL)
    ] = False,
    **clip: Any,  # noqa: ANN401 - one value per clip flag
) -> None:
    """Generate a clip for every row that the run folder doesn't have yet.

    The run folder gets NAME.mp4 (NAME.jpg for a clip of one frame), its input and controls and NAME.json per row, and
    manifest.parquet and index.html (the gallery) of all rows in it. Files that no run wrote are never replaced: where
    one has such a name, nothing is made. Exits with 0 only if every row became a clip, with 1 if rows failed, with 2 if
    the call was wrong, with 75 if SIGTERM asked it to end: rows under way are finished then, long ones to the end of a
    chunk, and the same command goes on there.
    """
    overrides = overrides_from(clip)
    named = None if model is None else preset(model)
    offloaded = parse_offload(offload or ())

    from airshower.cluster.lost_nodes import OwnNodeLostError
    from airshower.pipelines.follow import RunError
    from airshower.pipelines.generate import GenerateSettings
    from airshower.pipelines.generate import generate as run
    from airshower.pipelines.rows import model_of, output_folder, read_rows

    progress = RunProgress()
    with show_progress(progress, sys.stderr):
        require_annotators(annotators)
        rows = read_rows(specs or (), overrides=overrides, preset=named, annotators=annotators, limit=limit)
        chosen = named or model_of(rows)
        folder = output_folder(rows, output)
        source = ModelSource(
            preset=chosen,
            weights=weights,
            load_ema=ema,
            annotators=annotators,
            embedding_cache=embedding_cache_of(embedding_cache, chosen),
            offload=offloaded,
        )
        if any(row.error is None for row in rows):
            require_parts(source, address=address)
    settings = GenerateSettings(
        source=source,
        replicas=replicas,
        device=device,
        gang=gang_of(gang, guidance=gang_guidance, spread_weights=spread_weights),
        address=address,
        verbose=verbose,
        retry_failed=retry_failed,
        fresh=fresh,
        verify=verify,
        hang_timeout_s=hang_timeout,
        command=("airshower", *sys.argv[1:]),
    )
    try:
        with show_progress(progress, sys.stderr) as on_event:
            summary = run(rows, folder, settings, on_event)
    except KeyboardInterrupt:
        page = _write_pages(folder) or folder
        print(f"airshower: stopped after {progress.done} of {progress.rows} clips: see {page}", file=sys.stderr)
        raise typer.Exit(130) from None
    except (RunError, OwnNodeLostError) as error:
        if verbose:
            traceback.print_exc()
        print(f"airshower: {error} (what was done: {_write_pages(folder) or folder})", file=sys.stderr, flush=True)
        if isinstance(error, OwnNodeLostError):
            os._exit(1)  # Python would wait for Ray's goodbye, which waits for the node
        raise typer.Exit(1) from error
    print(summary_text(summary, _write_pages(folder)))
    if summary.left:
        raise typer.Exit(_ASKED_TO_END)
    if summary.failed:
        raise typer.Exit(1)


def _write_pages(folder: str) -> str | None:
    """Writes the folder's report and its gallery, and returns where that is; no run fails for want of a page."""
    from airshower.cluster.store import open_store
    from airshower.pipelines.manifest import find_manifest
    from airshower.platform.gallery.page import write_gallery
    from airshower.platform.report.page import write_report
    from airshower.platform.report.read import read_report

    try:
        table = find_manifest(open_store(folder, probe=False)).table
        rows = 0 if table is None else table.metadata.num_rows
        if rows > _MOST_REPORTED:  # it reads a record for each of them
            print(f"airshower: {rows} rows: `airshower report {folder}` writes the report", file=sys.stderr)
        else:
            write_report(folder, read_report(folder))
    except (OSError, ValueError) as error:
        print(f"airshower: no report: {error}", file=sys.stderr)
    try:
        return write_gallery(folder)
    except (OSError, ValueError) as error:
        print(f"airshower: no gallery: {error}", file=sys.stderr)
        return None


def summary_text(summary: "RunSummary", gallery: str | None) -> str:
    """What is said at the end of a run: counts, speed, failures and where to look."""
    per_min = 60 * summary.done / summary.wall_s if summary.wall_s > 0 else 0.0
    kept = f"{summary.kept} made before, " if summary.kept else ""
    lines = [
        f"{kept}{summary.done} done, {summary.failed} failed in {clock_words(summary.wall_s)} ({per_min:.1f} clips/min)"
    ]
    lines += [f"  failed {failure_line(failure)}" for failure in summary.failures[:_SHOWN_FAILURES]]
    more = len(summary.failures) - _SHOWN_FAILURES
    if more > 0:
        lines.append(f"  and {more} more in {os.path.basename(summary.manifest)}")
    if summary.left:
        lines.append(f"  {summary.left} left, for the run was asked to end: the same command makes them")
    if summary.not_retried:
        lines.append(f"  {summary.not_retried} of them failed in earlier runs: --retry-failed tries them again")
    lines += [] if gallery is None else [f"gallery   {gallery}"]
    return "\n".join([*lines, f"manifest  {summary.manifest}"])
