"""The run's manifest: one Parquet row per clip, whether it worked or not.

The file is rewritten whole and atomically, so a reader always finds a complete table, also while the run goes on.
It is made for reading runs of up to some 100 000 clips; it is not a commit log and nothing resumes from it.
"""

import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from airshower.configs.messages import Row, RowError
from airshower.pipelines.events import STAGES
from airshower.pipelines.write import OutputError, final_file

MANIFEST_NAME = "manifest.parquet"

SCHEMA = pa.schema(
    [
        ("index", pa.int64()),
        ("name", pa.string()),
        ("status", pa.string()),  # done | failed
        ("source", pa.string()),
        ("prompt", pa.string()),
        ("video", pa.string()),  # path in the run folder; of an image where the clip is one frame
        ("record", pa.string()),
        ("frames", pa.int64()),
        ("fps", pa.float64()),
        ("height", pa.int64()),
        ("width", pa.int64()),
        ("chunks", pa.int64()),
        ("error_stage", pa.string()),
        ("error_type", pa.string()),
        ("error_message", pa.string()),
        ("seconds_total", pa.float64()),
        *((f"seconds_{stage}", pa.float64()) for stage in STAGES),
    ]
)


@dataclass(frozen=True, kw_only=True)
class ManifestEntry:
    """What is left of a row when it is finished: small, without frames."""

    index: int
    name: str
    source: str
    prompt: str
    error: RowError | None = None
    video: str | None = None
    record: str | None = None
    frames: int | None = None
    fps: float | None = None
    height: int | None = None
    width: int | None = None
    chunks: int | None = None
    seconds: dict[str, float] = field(default_factory=dict)  # by stage


def entry_of(row: Row) -> ManifestEntry:
    """The entry of a finished row: written, or with an error."""
    entry = ManifestEntry(
        index=row.index, name=row.name, source=row.source, prompt=row.prompt, error=row.error, seconds=row.seconds
    )
    if row.error is not None or row.generated is None or row.prepared is None:
        return entry
    clip = row.generated.frames
    made = {"frames": row.prepared.frames, "height": clip.height, "width": clip.width, "chunks": row.generated.chunks}
    paths = {"video": row.outputs["video"], "record": row.outputs["record"]}
    return ManifestEntry(**{**vars(entry), **made, **paths, "fps": row.prepared.fps})


class Manifest:
    """Collects entries and keeps the file in `folder` up to date."""

    def __init__(self, folder: str, *, flush_interval_s: float = 5.0) -> None:
        self.path = str(Path(folder) / MANIFEST_NAME)
        self._entries: dict[int, ManifestEntry] = {}
        self._flush_interval_s = flush_interval_s
        self._flushed_s = time.monotonic()

    def add(self, entry: ManifestEntry) -> None:
        """Adds one finished row, and rewrites the file when that is due."""
        self._entries[entry.index] = entry
        if time.monotonic() - self._flushed_s >= self._flush_interval_s:
            self._flushed_s = time.monotonic()
            with suppress(OutputError):  # a full disk may have room again; the write at the end tells
                self.write()

    def __contains__(self, index: object) -> bool:
        return index in self._entries

    @property
    def failures(self) -> tuple[ManifestEntry, ...]:
        """The failed rows, by index."""
        return tuple(entry for _, entry in sorted(self._entries.items()) if entry.error is not None)

    def __len__(self) -> int:
        return len(self._entries)

    def write(self) -> None:
        """Replaces the file by a table of all entries, sorted by index; raises OutputError."""
        columns = [_columns(entry) for _, entry in sorted(self._entries.items())]
        with final_file(Path(self.path)) as part:
            pq.write_table(pa.Table.from_pylist(columns, schema=SCHEMA), part)


def _columns(entry: ManifestEntry) -> dict[str, object]:
    values = asdict(entry)
    error, seconds = values.pop("error") or {}, values.pop("seconds")
    return {
        **values,
        "status": "failed" if error else "done",
        **{f"error_{key}": error.get(key) for key in ("stage", "type", "message")},
        "seconds_total": sum(seconds.values()),
        **{f"seconds_{stage}": seconds.get(stage) for stage in STAGES},
    }
