"""Hostile files through the batch: as rows of one `airshower generate`, with Ray, a model and the ledger."""

import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from tests.campaigns.hostile_outcomes import HostileFile, Outcome
from tests.campaigns.watched_processes import watched_below
from tests.pipelines.decoding.mutated import row_of

_PATIENCE_S = 5400


def through_batch(files: Iterable[HostileFile], leader: Path, folder: Path) -> Iterator[Outcome]:
    """What becomes of each as a row's file; `leader` is the input of rows where it is another."""
    files = list(files)
    inputs, output = folder / "inputs", folder / "run"
    inputs.mkdir()
    for file in files:
        (inputs / file.name).write_bytes(file.content)
    rows = folder / "rows.jsonl"
    rows.write_text("\n".join(json.dumps(_row(file, inputs / file.name, leader)) for file in files))
    command = [sys.executable, "-m", "airshower", "generate", str(rows), "--output", str(output), "--device", "cpu"]
    with watched_below("ray::") as peaks:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE_S)
    print(ended.stdout.partition("\n")[0])
    print(f"the largest of Ray's processes took {max(peaks.values(), default=0) / 2**20:.0f} MiB in all")
    if ended.returncode != 1:  # rows failed, and nothing else did
        raise AssertionError(f"the run ended with {ended.returncode}: {ended.stderr[-2000:]}")
    if tried_again := [span for span in _spans(output) if span.get("airshower.attempt", "1") != "1"]:
        raise AssertionError(f"{len(tried_again)} times, a process was lost with a row: {tried_again[0]}")
    entries = {entry["name"]: entry for entry in pq.read_table(output / "manifest.parquet").to_pylist()}
    if len(entries) != len(files):
        raise AssertionError(f"{len(files)} rows became {len(entries)} lines of the manifest")
    for file in files:
        yield _outcome(file, entries[_name(file)])


def _row(file: HostileFile, path: Path, leader: Path) -> dict[str, Any]:
    return {"name": _name(file), "num_steps": 1, **row_of(file.field, path, leader, file.frames)}


def _name(file: HostileFile) -> str:
    return file.name.replace(".", "_")


def _outcome(file: HostileFile, entry: dict[str, Any]) -> Outcome:
    seconds = entry["seconds_prepare"] or 0.0
    if entry["status"] == "done":
        return Outcome(file=file, end="read", seconds=seconds)
    by_reading = entry["error_stage"] in ("read", "prepare") and entry["error_type"] != "WorkerLostError"
    message = entry["error_message"]
    return Outcome(file=file, end="refused" if by_reading else "crashed", message=message, seconds=seconds)


def _spans(output: Path) -> Iterator[dict[str, str]]:
    """Attributes of all that was done to rows."""
    for path in (output / "telemetry").rglob("*.ndjson"):
        for line in path.read_text().splitlines():
            for resource in json.loads(line)["resourceSpans"]:
                for scope in resource["scopeSpans"]:
                    for span in scope["spans"]:
                        yield {one["key"]: str(*one["value"].values()) for one in span["attributes"]}
