"""`airshower export`: a run's clips as a dataset to train on."""

import sys
import time
from collections.abc import Callable
from typing import Annotated

import typer

from airshower.configs.export_records import DatasetFormat, ExportSettings
from airshower.platform.commands.runs import required_ledger

_LINE_INTERVAL_S = 10.0


def export(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run folder, by path or URL", show_default=False)],
    destination: Annotated[
        str, typer.Argument(metavar="DEST", help="Folder or URL of the dataset, new or exported before")
    ],
    *,
    dataset: Annotated[DatasetFormat, typer.Option("--format", metavar="NAME", help="webdataset, lerobot or parquet")],
    select: Annotated[str, typer.Option(metavar="PATTERN", help="Only clips of this name, such as 'night-*'")] = "*",
    shard_mib: Annotated[
        float, typer.Option(min=0, metavar="MIB", help="Size of a shard at most, unless one clip alone is larger")
    ] = 256,
    controls: Annotated[bool, typer.Option(help="Control and mask videos")] = True,
    inputs: Annotated[bool, typer.Option(help="Input videos")] = False,
    cameras: Annotated[bool, typer.Option(help="Camera parameters")] = True,
    embed: Annotated[
        bool | None,
        typer.Option(help="Parquet only: videos in the table, or as files that it names; default: in it"),
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", help="Show tracebacks")] = False,
) -> None:
    """Write a run's committed clips as a dataset; called again, add those that it doesn't hold yet.

    A shard is there as a whole or not at all, and the same clips give the same bytes.
    """
    if embed is not None and dataset != "parquet":
        raise typer.BadParameter(f"--{'' if embed else 'no-'}embed: {dataset} has no choice of it: remove it")

    from airshower.cluster.store import open_store
    from airshower.pipelines.export.export import export as export_run

    settings = ExportSettings(
        dataset=dataset,
        shard_mib=shard_mib,
        controls=controls,
        inputs=inputs,
        cameras=cameras,
        embed=embed is not False,
    )
    ledger = required_ledger(run)
    there = open_store(destination)
    done = export_run(ledger, there, settings, select=select, on_clips=_now_and_then(), tell=_say)
    kept = f", {done.kept} were there" if done.kept else ""
    print(f"{destination}: {_counted(done.added, 'clip')} added{kept}; {_counted(done.shards, 'shard')} in all")


def _now_and_then() -> Callable[[int, int], None]:
    """Says on stderr how far it is, every few seconds at most."""
    told_s = time.monotonic()

    def tell(clips: int, of_clips: int) -> None:
        nonlocal told_s
        if time.monotonic() - told_s >= _LINE_INTERVAL_S:
            told_s = time.monotonic()
            print(f"{clips} of {of_clips} clips", file=sys.stderr, flush=True)

    return tell


def _say(line: str) -> None:
    print(f"airshower: {line}", file=sys.stderr, flush=True)


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"
