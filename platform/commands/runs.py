"""`airshower runs`: what run folders hold, what failed in them, and how to go on."""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from airshower.cluster.own_package import environment, module_command

if TYPE_CHECKING:
    from airshower.pipelines.folder_state import FolderState
    from airshower.pipelines.ledger.ledger import Ledger

runs_app = typer.Typer(help="Run folders: what is made, what failed, and how to go on.", no_args_is_help=True)

_Run = Annotated[str, typer.Argument(metavar="RUN", help="A run folder, by path or URL", show_default=False)]
_SHOWN_FAILURES = 20


@runs_app.command("list")
def list_runs(
    root: Annotated[str, typer.Argument(metavar="DIR|URL", help="Folder that holds run folders")] = ".",
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, an object per run folder")] = False,
) -> None:
    """The run folders in a folder, with how many rows were wanted, and are made, failed and missing."""
    from airshower.cluster import storage
    from airshower.pipelines.folder_state import state_of
    from airshower.pipelines.ledger.run_records import RunRecords

    found = []
    for folder in [root, *storage.list_folders(root)]:
        ledger = _existing(folder)
        if ledger is not None:
            name = "." if folder == root else folder.rstrip("/").rpartition("/")[2]
            runs = RunRecords(ledger).all(_warn)
            counts = _counts(state_of(ledger, _warn))
            found.append({"run": name, **counts, "runs": len(runs), "begun": runs[-1].begun if runs else None})
    if as_json:
        print(json.dumps(found, indent=2))
        return
    if not found:
        raise ValueError(f"{root}: no run folder here: name a folder that --output folders lie in")
    heads = ("last begun (UTC)" if name == "begun" else name for name in found[0])
    table = Table(*heads, title=root, title_justify="left")
    for line in found:
        table.add_row(*("" if value is None else str(value) for value in line.values()))
    Console().print(table)


@runs_app.command()
def show(
    run: _Run,
    *,
    failed: Annotated[bool, typer.Option("--failed", help="Every failed row, not the causes alone")] = False,
    verify: Annotated[
        bool,
        typer.Option("--verify", help="Read every committed file and compare its SHA-256; exits with 1 if one differs"),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON")] = False,
) -> None:
    """What a run folder holds: rows made, failed and missing, failures by cause, the commands that made them."""
    from airshower.pipelines.folder_state import state_of
    from airshower.pipelines.ledger.run_records import RunRecords
    from airshower.platform.report.causes import causes

    damage: list[str] = []
    ledger = required_ledger(run, damage.append)
    state, runs = state_of(ledger, damage.append), RunRecords(ledger).all(damage.append)
    if verify:
        damage += _damage_of(ledger)
    found = causes(state.failed)
    if as_json:
        said = {"run": run, **_counts(state), "runs": [record.model_dump(mode="json") for record in runs]}
        said |= {"failures": list(map(asdict, state.failed))} if failed else {"causes": list(map(asdict, found))}
        print(json.dumps(said | {"damage": damage}, indent=2))
    else:
        print(f"{run}: {', '.join(f'{count} {what}' for what, count in _counts(state).items())}")
        for record in runs:
            print(f"  {record.begun}  {record.rows} rows  airshower {record.version}  {shlex.join(record.command)}")
        if failed:
            for row in state.failed:
                print(f"  failed {row.name} in {row.stage} ({row.source}): {row.message}")
        else:
            for cause in found[:_SHOWN_FAILURES]:
                print(f"  {cause.rows} failed in {cause.stage} ({cause.type}): {cause.message}")
        for line in damage:
            print(f"  {line}")
        if verify and not damage:
            print(f"  all files of {state.made} clips are as committed")
    if verify and damage:
        raise typer.Exit(1)


@runs_app.command()
def trace(
    run: _Run, name: Annotated[str, typer.Argument(metavar="ROW", help="A row's name", show_default=False)]
) -> None:
    """What was done to one row, where and for how long, in every run that worked on it."""
    from airshower.cluster.span_files import read_spans
    from airshower.platform.report.trace import trace_lines

    spans = [span for _, span in read_spans(required_ledger(run).store) if span.attributes.get("row") == name]
    if not spans:
        raise ValueError(f"{run}: no trace of a row named {name}: it may have gone to a collector, or never begun")
    print("\n".join(trace_lines(spans)))


@runs_app.command()
def retry(run: _Run) -> None:
    """Run the folder's last command again, for the rows that failed and those that are missing.

    It goes into RUN, wherever that was when the command was given.
    """
    from airshower.cluster import storage
    from airshower.pipelines.ledger.run_records import RunRecords

    runs = RunRecords(required_ledger(run)).all(_warn)
    commands = [record for record in runs if record.command]
    if not commands:
        raise ValueError(f"{run}: no command is recorded here, it was run from Python: generate with --retry-failed")
    last = commands[-1]
    if "-" in last.command:
        raise ValueError(f"{run}: its rows came from standard input and aren't kept: generate them with --retry-failed")
    arguments = [part for part in last.command[1:] if part != "--fresh"]
    if "--retry-failed" not in arguments:
        arguments.append("--retry-failed")
    arguments += ["--output", storage.absolute(run)]  # the last one counts
    if not os.path.isdir(last.working_directory):
        raise ValueError(f"{run}: its command was given in {last.working_directory}, which isn't on this machine")
    print(f"cd {last.working_directory}; airshower {shlex.join(arguments)}", file=sys.stderr, flush=True)
    command = module_command("airshower", *arguments)
    ended = subprocess.run(command, cwd=last.working_directory, env=environment(), check=False)
    raise typer.Exit(ended.returncode)


@runs_app.command()
def clean(
    run: _Run,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be removed")] = False,
) -> None:
    """Remove what nobody needs: files of attempts that were cut short, and kept chunks of clips that are made.

    No run may be at work in the folder. Chunks of clips that are not made stay, so that the next run goes on from them.
    """
    from airshower.pipelines.ledger.cleaning import needless_chunks, orphans

    ledger = required_ledger(run)
    found, needless = orphans(ledger), needless_chunks(ledger)
    for folder in (*found, *needless):
        if not dry_run:
            ledger.store.delete_folder(folder)
        print(f"{'would remove' if dry_run else 'removed'} {ledger.store.url(folder)}")
    print(f"{len(found)} folders of attempts without a commit, {len(needless)} of chunks of clips that are made")


def _existing(run: str) -> "Ledger | None":
    from airshower.cluster.store import open_store
    from airshower.pipelines.ledger.ledger import Ledger

    ledger = Ledger(open_store(run, probe=False))
    return ledger if ledger.exists else None


def required_ledger(run: str, tell: Callable[[str], None] | None = None) -> "Ledger":
    """The ledger of a run folder; raises ValueError where there is none, and tells what it has mended."""
    ledger = _existing(run)
    if ledger is None:
        raise ValueError(f"{run}: no ledger here, so it is no run folder: name the --output of a run")
    ledger.require(tell or _warn)
    return ledger


def _counts(state: "FolderState") -> dict[str, int]:
    return {"wanted": state.wanted, "made": state.made, "failed": len(state.failed), "missing": state.missing}


def _damage_of(ledger: "Ledger") -> list[str]:
    """All that is wrong with the clips of a folder and with its manifest, a line each."""
    from airshower.pipelines.ledger.damage import damaged_by_content
    from airshower.pipelines.manifest import find_manifest
    from airshower.pipelines.own_files import MANIFEST_NAME

    clips = damaged_by_content(ledger, ledger.committed()).values()
    lines = [f"{what}: generate with --verify makes this clip again" for what in clips]
    state = find_manifest(ledger.store).state
    if state in ("none", "damaged"):
        where = ledger.store.url(MANIFEST_NAME)
        lines.append(f"{where} is {'missing' if state == 'none' else 'damaged'}: the next run writes it again")
    return lines


def _warn(line: str) -> None:
    print(f"airshower: {line}", file=sys.stderr)
