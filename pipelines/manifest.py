"""The run's manifest: one Parquet row per clip, whether it worked or not.

The file is rewritten whole and atomically, so a reader always finds a complete table, also while the run goes on; of a
long run that is done rarely. It is made for reading: what is made and what is not, the ledger says. A rerun finds here
what it would otherwise read from as many records as there are clips.
"""

import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from airshower.cluster.store import Store
from airshower.configs.messages import Row, RowError
from airshower.configs.spans import Span
from airshower.pipelines.events import STAGES
from airshower.pipelines.spool import Spool

MANIFEST_NAME = "manifest.parquet"
_BATCH = 5_000  # rows that are in memory at a time
_FLUSH_SHARE = 0.05  # of the time, at most, goes into writing the manifest

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
        ("outputs", pa.string()),  # all files of the clip: JSON, paths in the run folder by kind
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
    return replace(
        entry,
        outputs=row.outputs,
        frames=row.prepared.frames,
        fps=row.prepared.fps,
        height=row.prepared.height,
        width=row.prepared.width,
        chunks=row.generated.chunks,
    )


class Manifest:
    """Collects entries and keeps the file in the run folder up to date."""

    def __init__(self, store: Store, *, flush_interval_s: float = 5.0) -> None:
        self.path = store.url(MANIFEST_NAME)
        self._store = store
        self._entries: Spool[ManifestEntry] = Spool()
        self._places: dict[int, int] = {}  # of the last entry of each row, by its index
        self._failed: set[int] = set()
        self._flush_interval_s = flush_interval_s
        self._flush_s = time.monotonic() + flush_interval_s

    def add(self, entry: ManifestEntry) -> None:
        """Adds one finished row, and rewrites the file when that is due."""
        self._places[entry.index] = len(self._entries)
        self._entries.append(entry)
        (self._failed.add if entry.error is not None else self._failed.discard)(entry.index)
        begun_s = time.monotonic()
        if begun_s >= self._flush_s:
            with suppress(OSError):  # a full disk may have room again; the write at the end tells
                self.write()
            now_s = time.monotonic()
            self._flush_s = now_s + self._flush_interval_s + (now_s - begun_s) / _FLUSH_SHARE

    def __contains__(self, index: object) -> bool:
        return index in self._places

    @property
    def failed(self) -> int:
        """How many rows failed."""
        return len(self._failed)

    def failures(self) -> Iterator[ManifestEntry]:
        """The failed rows, by index."""
        return (self._entries[self._places[index]] for index in sorted(self._failed))

    def __len__(self) -> int:
        return len(self._places)

    def write(self) -> None:
        """Replaces the file by a table of all entries, sorted by index; raises OSError."""
        entries = (self._entries[self._places[index]] for index in sorted(self._places))
        with tempfile.TemporaryDirectory(prefix="airshower-") as folder:
            file = Path(folder) / MANIFEST_NAME
            with pq.ParquetWriter(file, SCHEMA) as writer:
                while batch := list(islice(entries, _BATCH)):
                    writer.write_table(pa.Table.from_pylist([_columns(entry) for entry in batch], schema=SCHEMA))
            self._store.put(MANIFEST_NAME, file)


def known_clips(store: Store) -> Iterator[tuple[str, ManifestEntry]]:
    """Keys and entries of the clips in the manifest that a run folder has; none where it can't be read."""
    try:
        table = pq.ParquetFile(pa.BufferReader(store.read(MANIFEST_NAME)))
        batches = table.iter_batches(_BATCH) if table.schema_arrow.equals(SCHEMA) else ()
    except (OSError, pa.ArrowException):
        return
    for batch in batches:
        for line in batch.to_pylist():
            if line["status"] == "done" and line["key"]:
                yield line["key"], _entry(line)


def _entry(line: dict[str, Any]) -> ManifestEntry:
    kept = ("index", "name", "key", "source", "prompt", "frames", "fps", "height", "width", "chunks")
    seconds = {stage: line[f"seconds_{stage}"] for stage in STAGES if line[f"seconds_{stage}"] is not None}
    return ManifestEntry(**{name: line[name] for name in kept}, outputs=json.loads(line["outputs"]), seconds=seconds)


def _columns(entry: ManifestEntry) -> dict[str, object]:
    values = asdict(entry)
    error, seconds, outputs = values.pop("error") or {}, values.pop("seconds"), values.pop("outputs")
    return {
        **values,
        "key": entry.key or None,
        "video": outputs.get("video"),
        "record": outputs.get("record"),
        "outputs": json.dumps(outputs),
        "status": "failed" if error else "done",
        **{f"error_{key}": error.get(key) for key in ("stage", "type", "message")},
        "seconds_total": sum(seconds.values()),
        **{f"seconds_{stage}": seconds.get(stage) for stage in STAGES},
    }
