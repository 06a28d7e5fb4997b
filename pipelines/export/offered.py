"""What a run has to offer: the clips that are committed and still count, under the names that they have by now.

Which they are is decided in `airshower.pipelines.folder_rows`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

import pyarrow.compute as pc

from airshower.configs.export_records import ExportSettings
from airshower.configs.records import Commit
from airshower.pipelines.folder_rows import DAMAGED, folder_lines
from airshower.pipelines.ledger.ledger import Ledger
from airshower.pipelines.ledger.reading import Tell
from airshower.pipelines.own_files import listed

VIDEO, VIEW, CONTROL, MASK, INPUT, CAMERAS, RECORD = "video", "view_", "control_", "mask_", "input", "cameras", "record"


@dataclass(frozen=True, kw_only=True)
class Offered:
    """A clip that can be exported. Small: a run may have millions."""

    key: str
    edition: int
    name: str
    frames: int
    size_bytes: int  # of what is exported of it
    kinds: tuple[str, ...]  # of the files that are exported beside its videos and record
    pictures: tuple[str, ...]  # kinds and endings of its videos, and of those beside


def offered(ledger: Ledger, settings: ExportSettings, tell: Tell) -> dict[str, Offered]:
    """The clips that count, by key and sorted by it; what can't be read is told and left out."""
    committed, names = ledger.committed(), dict(_counting(ledger, tell))
    clips = {}
    for commit in ledger.commits({key: committed[key] for key in sorted(names) if key in committed}, tell):
        files = exported_files(commit, settings)
        clips[commit.key] = Offered(
            key=commit.key,
            edition=commit.edition,
            name=names[commit.key],
            frames=commit.frames,
            size_bytes=sum(commit.files[path].size_bytes for path in set(files.values())),
            kinds=tuple(sorted(kind for kind in files if _is_beside(kind))),
            pictures=tuple(
                sorted(f"{kind}{PurePosixPath(path).suffix}" for kind, path in files.items() if _is_picture(kind))
            ),
        )
    return clips


def _is_picture(kind: str) -> bool:
    return kind not in (RECORD, CAMERAS)


def _is_beside(kind: str) -> bool:
    return kind not in (RECORD, VIDEO) and not kind.startswith(VIEW)


def _counting(ledger: Ledger, tell: Tell) -> Iterator[tuple[str, str]]:
    """Keys and names of the clips that a folder has; those that a run has found damaged are told."""
    damaged: list[str] = []
    for lines in folder_lines(ledger, tell):
        made = lines.filter(pc.equal(lines["status"], "done"))
        yield from zip(made["key"].to_pylist(), made["name"].to_pylist(), strict=True)
        damaged += lines.filter(pc.equal(lines["error_type"], DAMAGED))["name"].to_pylist()
    if damaged:
        tell(f"{ledger.store.location}: left out, since damaged: {listed(damaged)}: run their command again")


def exported_files(commit: Commit, settings: ExportSettings, kinds: tuple[str, ...] | None = None) -> dict[str, str]:
    """The files of a commit that an export needs, by kind: of each camera where there is a choice, not all in one.

    `kinds` limits those beside the videos.
    """
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
        if wanted and (kinds is None or kind in kinds or not _is_beside(kind)):
            files[kind] = path
    return files
