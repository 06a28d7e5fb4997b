"""The run's manifest: one Parquet row per clip, whether it worked or not.

The file is rewritten whole and atomically, so a reader always finds a complete table, also while the run goes on.
It is made for reading, for runs of up to some 100 000 clips; what is made and what is not, the ledger says.
"""

import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace

import pyarrow as pa
import pyarrow.parquet as pq

from airshower.cluster.store import Store
from airshower.configs.messages import Row, RowError
from airshower.configs.spans import Span
from airshower.pipelines.events import STAGES

MANIFEST_NAME = "manifest.parquet"

SCHEMA = pa.schema(
    [
        ("index", pa.int64()),
        ("name", pa.string()),
        ("status", pa.string()),  # done | failed
        ("key", pa.string()),  # in the ledger; none for a row that could not be read
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
    key: str
    source: str
    prompt: str
    error: RowError | None = None
    outputs: dict[str, str] = field(default_factory=dict)  # kind: path in the run folder
    frames: int | None = None
    fps: float | None = None
    height: int | None = None
    width: int | None = None
    chunks: int | None = None
    seconds: dict[str, float] = field(default_factory=dict)  # by stage
    traceparent: str = ""
    spans: tuple[Span, ...] = ()  # on their way to the driver, which doesn't keep them

    @property
    def video(self) -> str | None:
        """The clip's path in the run folder."""
        return self.outputs.get("video")


def entry_of(row: Row) -> ManifestEntry:
    """The entry of a finished row: written, or with an error."""
    entry = ManifestEntry(
        index=row.index,
        name=row.name,
        key=row.key,
        source=row.source,
        prompt=row.prompt,
        error=row.error,
        seconds=row.seconds,
        traceparent=row.traceparent,
        spans=row.spans,
    )
    if row.error is not None or row.generated is None or row.prepared is None:
        return entry
    clip = row.generated.frames
    return replace(
        entry,
        outputs=row.outputs,
        frames=row.prepared.frames,
        fps=row.prepared.fps,
        height=clip.height,
        width=clip.width,
        chunks=row.generated.chunks,
    )


class Manifest:
    """Collects entries and keeps the file in the run folder up to date."""

    def __init__(self, store: Store, *, flush_interval_s: float = 5.0) -> None:
        self.path = store.url(MANIFEST_NAME)
        self._store = store
        self._entries: dict[int, ManifestEntry] = {}
        self._flush_interval_s = flush_interval_s
        self._flushed_s = time.monotonic()

    def add(self, entry: ManifestEntry) -> None:
        """Adds one finished row, and rewrites the file when that is due."""
        self._entries[entry.index] = entry
        if time.monotonic() - self._flushed_s >= self._flush_interval_s:
            self._flushed_s = time.monotonic()
            with suppress(OSError):  # a full disk may have room again; the write at the end tells
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
        """Replaces the file by a table of all entries, sorted by index; raises OSError."""
        columns = [_columns(entry) for _, entry in sorted(self._entries.items())]
        table = pa.BufferOutputStream()
        pq.write_table(pa.Table.from_pylist(columns, schema=SCHEMA), table)
        self._store.write(MANIFEST_NAME, table.getvalue().to_pybytes())


def _columns(entry: ManifestEntry) -> dict[str, object]:
    values = asdict(entry)
    error, seconds, outputs = values.pop("error") or {}, values.pop("seconds"), values.pop("outputs")
    return {
        **values,
        "key": entry.key or None,
        "video": outputs.get("video"),
        "record": outputs.get("record"),
        "status": "failed" if error else "done",
        **{f"error_{key}": error.get(key) for key in ("stage", "type", "message")},
        "seconds_total": sum(seconds.values()),
        **{f"seconds_{stage}": seconds.get(stage) for stage in STAGES},
    }
