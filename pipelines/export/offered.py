"""What a run has to offer: the clips that are committed and still count, under the names that they have by now.

A clip no longer counts once `--fresh` began again, or when a later run made another one under its name, as it does of
rows that were changed.
"""

import io
from dataclasses import dataclass

import pyarrow.parquet as pq

from airshower.configs.export_records import ExportSettings
from airshower.configs.records import Commit
from airshower.pipelines.ledger.ledger import Ledger
from airshower.pipelines.manifest import MANIFEST_NAME

VIDEO, VIEW, CONTROL, MASK, INPUT, CAMERAS, RECORD = "video", "view_", "control_", "mask_", "input", "cameras", "record"


@dataclass(frozen=True, kw_only=True)
class Offered:
    """A clip that can be exported. Small: a run may have millions."""

    key: str
    name: str
    size_bytes: int  # of what is exported of it
    rank: tuple[bool, int]  # of several with one name the highest counts


def offered(ledger: Ledger, settings: ExportSettings) -> dict[str, Offered]:
    """The clips that count, by key and sorted by it."""
    runs = {run.run: (number, run.epoch) for number, run in enumerate(ledger.runs())}
    epoch, names = ledger.epoch(), _names(ledger)
    by_name: dict[str, Offered] = {}
    for commit in ledger.commits(sorted(ledger.committed())):
        number, made_in = runs.get(commit.run, (-1, 0))
        if made_in != epoch:
            continue
        clip = Offered(
            key=commit.key,
            name=names.get(commit.key, commit.name),
            size_bytes=sum(commit.files[path].size_bytes for path in set(exported_files(commit, settings).values())),
            rank=(commit.key in names, number),
        )
        if clip.name not in by_name or clip.rank > by_name[clip.name].rank:
            by_name[clip.name] = clip
    return {clip.key: clip for clip in sorted(by_name.values(), key=lambda clip: clip.key)}


def exported_files(commit: Commit, settings: ExportSettings) -> dict[str, str]:
    """The files of a commit that an export needs, by kind: of each camera where there is a choice, not all in one."""
    outputs = commit.outputs
    views = {kind: path for kind, path in outputs.items() if kind.startswith(VIEW)}
    files = views or {VIDEO: outputs[VIDEO]}
    for kind, path in outputs.items():
        in_parts = any(other.startswith(f"{kind}_") for other in outputs)
        wanted = (
            kind == RECORD
            or (kind.startswith((CONTROL, MASK)) and settings.controls and not in_parts)
            or (kind == INPUT and settings.inputs)
            or (kind == CAMERAS and settings.cameras)
        )
        if wanted:
            files[kind] = path
    return files


def _names(ledger: Ledger) -> dict[str, str]:
    """The names of rows by key, as the last run called them."""
    try:
        manifest = ledger.store.read(MANIFEST_NAME)
    except FileNotFoundError:
        return {}
    table = pq.read_table(io.BytesIO(manifest), columns=["key", "name"])
    return {row["key"]: row["name"] for row in table.to_pylist() if row["key"] is not None}
