"""`airshower runs`: what run folders hold, what failed in them, and how to go on."""

import os
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from airshower.cluster.own_package import environment, module_command

if TYPE_CHECKING:
    from airshower.configs.records import Commit
    from airshower.pipelines.ledger.ledger import Ledger

runs_app = typer.Typer(help="Run folders: what is made, what failed, and how to go on.", no_args_is_help=True)

_Run = Annotated[str, typer.Argument(metavar="RUN", help="A run folder, by path or URL", show_default=False)]
_SHOWN_FAILURES = 20


@runs_app.command("list")
def list_runs(
    root: Annotated[str, typer.Argument(metavar="DIR|URL", help="Folder that holds run folders")] = ".",
) -> None:
    """The run folders in a folder, with how many rows are made and failed."""
    from airshower.cluster import storage

    table = Table("run", "made", "failed", "runs", "last begun (UTC)", title=root, title_justify="left")
    for folder in [root, *storage.list_folders(root)]:
        ledger = _existing(folder)
        if ledger is not None:
            made, failed, runs = ledger.committed(), ledger.failed(), ledger.runs()
            begun = runs[-1].begun if runs else ""
            name = "." if folder == root else folder.rstrip("/").rpartition("/")[2]
            table.add_row(name, f"{len(made)}", f"{len(failed.keys() - made)}", f"{len(runs)}", begun)
    if not table.row_count:
        raise ValueError(f"{root}: no run folder here: name a folder that --output folders lie in")
    Console().print(table)


@runs_app.command()
def show(
    run: _Run,
    *,
    failed: Annotated[bool, typer.Option("--failed", help="Every failed row, not the causes alone")] = False,
    verify: Annotated[bool, typer.Option("--verify", help="Read every committed file and compare its SHA-256")] = False,
) -> None:
    """What a run folder holds: rows made, failures by cause, the commands that made them."""
    from airshower.platform.report.causes import causes, failed_row

    ledger = required_ledger(run)
    made, attempts = ledger.committed(), ledger.failed()
    still_failed = {key: number for key, number in attempts.items() if key not in made}
    print(f"{run}: {len(made)} rows made, {len(still_failed)} failed")
    for record in ledger.runs():
        print(f"  {record.begun}  {record.rows} rows  airshower {record.version}  {shlex.join(record.command)}")
    failures = list(ledger.failures(still_failed))
    if failed:
        for failure in failures:
            print(f"  failed {failure.name} in {failure.stage}, attempt {failure.attempt}: {failure.message}")
    else:
        for cause in causes(map(failed_row, failures))[:_SHOWN_FAILURES]:
            print(f"  {cause.rows} failed in {cause.stage} ({cause.type}): {cause.message}")
    if verify:
        _verify(ledger, made)


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
    """Run the folder's last command again, for the rows that failed and those that are missing."""
    runs = required_ledger(run).runs()
    commands = [record for record in runs if record.command]
    if not commands:
        raise ValueError(f"{run}: no command is recorded here, it was run from Python: generate with --retry-failed")
    last = commands[-1]
    arguments = [part for part in last.command[1:] if part != "--fresh"]
    if "--retry-failed" not in arguments:
        arguments.append("--retry-failed")
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


def required_ledger(run: str) -> "Ledger":
    """The ledger of a run folder; raises ValueError where there is none."""
    ledger = _existing(run)
    if ledger is None:
        raise ValueError(f"{run}: no ledger here, so it is no run folder: name the --output of a run")
    ledger.require()
    return ledger


def _verify(ledger: "Ledger", keys: set[str]) -> None:
    """Exits with 1 where a file is missing or isn't what was committed."""
    wrong = [line for commit in ledger.commits(keys) for line in _differences(ledger, commit)]
    print("\n".join(wrong) or f"  all files of {len(keys)} rows are as committed")
    if wrong:
        raise typer.Exit(1)


def _differences(ledger: "Ledger", commit: "Commit") -> list[str]:
    import hashlib

    lines = []
    for name, wanted in commit.files.items():
        path = f"{commit.folder}/{name}"
        try:
            found = hashlib.sha256(ledger.store.read(path)).hexdigest()
        except FileNotFoundError:
            found = "missing"
        if found != wanted.sha256:
            state = "is missing" if found == "missing" else "has other content than was committed"
            lines.append(f"  {commit.name}: {ledger.store.url(path)} {state}")
    return lines
