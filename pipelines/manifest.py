"""The table of a run folder: one Parquet line per row that counts there, whether it is made or failed.

It is made for reading, by people and programs: what is made and what is not, the ledger says. A rerun finds here what
it would otherwise read from as many records as there are clips. Which lines there are is decided in
`airshower.pipelines.folder_rows`, and when they are written in `airshower.pipelines.folder_manifest`.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from airshower.cluster import storage
from airshower.cluster.store import Store
from airshower.configs.messages import Row, RowError, StoredClip
from airshower.configs.spans import Span
from airshower.pipelines.events import STAGES
from airshower.pipelines.own_files import MANIFEST_NAME

BATCH_LINES = 5_000  # that are in memory at a time
_MARK, _EPOCH = b"airshower", b"airshower.epoch"  # in the file's metadata: that it is ours, and of which fresh start

SCHEMA = pa.schema(
    [
        ("index", pa.int64()),  # rows of the last command first, in its order, then those of earlier ones
        ("name", pa.string()),
        ("status", pa.string()),  # done | failed
        ("key", pa.string()),  # in the ledger; none for a row that could not be read
        ("run", pa.string()),  # the last that was asked for the row
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
        ("edition", pa.int64()),  # of its commit
        ("listing", pa.string()),  # what a listing says of its files and of its commit: `StoredClip`
        ("record_bytes", pa.int64()),
        ("error_stage", pa.string()),
        ("error_type", pa.string()),
        ("error_message", pa.string()),
        ("seconds_total", pa.float64()),
        *((f"seconds_{stage}", pa.float64()) for stage in STAGES),
    ],
    metadata={_MARK: b"manifest"},
)


@dataclass(frozen=True, kw_only=True)
class ManifestEntry:
    """What is left of a row when it is finished: small, without frames."""

    index: int
    name: str
    key: str
    source: str
    prompt: str
    run: str = ""
    error: RowError | None = None
    outputs: dict[str, str] = field(default_factory=dict)  # kind: path in the run folder
    frames: int | None = None
    fps: float | None = None
    height: int | None = None
    width: int | None = None
    chunks: int | None = None
    edition: int = 0
    stored: StoredClip | None = None
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
        edition=row.edition,
        seconds=row.seconds,
        traceparent=row.traceparent,
        spans=row.spans,
    )
    if row.error is not None or row.generated is None or row.prepared is None:
        return entry
    return replace(
        entry,
        outputs=row.outputs,
        stored=row.stored,
        frames=row.prepared.frames,
        fps=row.prepared.fps,
        height=row.prepared.height,
        width=row.prepared.width,
        chunks=row.generated.chunks,
    )


def table_of(entries: Iterable[ManifestEntry]) -> pa.Table:
    """Lines of the table."""
    return pa.Table.from_pylist([_columns(entry) for entry in entries], schema=SCHEMA)


def schema_of(epoch: int) -> pa.Schema:
    """With the fresh start of which all lines are."""
    return SCHEMA.with_metadata({**SCHEMA.metadata, _EPOCH: str(epoch).encode()})


@dataclass(frozen=True, kw_only=True)
class FoundManifest:
    """What a run folder has under the manifest's name; `table` where that can be read."""

    state: Literal["none", "ours", "damaged", "another's"]
    table: pq.ParquetFile | None = None
    epoch: int = -1

    def batches(self, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Its lines, up to one that is damaged."""
        if self.table is None:
            return
        try:
            yield from self.table.iter_batches(BATCH_LINES, columns=columns)
        except (pa.ArrowException, OSError):
            return

    def clips(self) -> Iterator[tuple[str, ManifestEntry]]:
        """Keys and entries of the clips in it."""
        for batch in self.batches():
            for line in batch.to_pylist():
                if line["status"] == "done" and line["key"]:
                    yield line["key"], _entry(line)


def is_manifest(path: str) -> bool:
    """Whether a file, by path or URL, is the table of some run folder; raises OSError."""
    if not path.endswith(f"/{MANIFEST_NAME}"):
        return False
    try:
        with storage.open_file(path) as file:
            return _MARK in (pq.read_schema(file).metadata or {})
    except pa.ArrowException:
        return False


def find_manifest(store: Store) -> FoundManifest:
    """Looks; a table of another version is ours and can't be read. Raises OSError for what storage refuses."""
    try:
        local = store.local_path(MANIFEST_NAME)
        source = pa.BufferReader(store.read(MANIFEST_NAME)) if local is None else local.open("rb")
    except FileNotFoundError:
        return FoundManifest(state="none")
    except OSError:
        if store.local_path(MANIFEST_NAME) is None:
            raise
        return FoundManifest(state="another's")  # a folder, or what may not be read
    try:
        table = pq.ParquetFile(source, page_checksum_verification=True)
    except (pa.ArrowException, OSError):
        return FoundManifest(state="damaged")
    about = table.schema_arrow.metadata or {}
    if _MARK not in about or b"pandas" in about:
        return FoundManifest(state="another's")
    if not table.schema_arrow.equals(SCHEMA):
        return FoundManifest(state="ours")
    return FoundManifest(state="ours", table=table, epoch=int(about.get(_EPOCH, b"0")))


def _entry(line: dict[str, Any]) -> ManifestEntry:
    kept = ("index", "name", "key", "run", "source", "prompt", "frames", "fps", "height", "width", "chunks", "edition")
    stored = ("listing", "record_bytes")
    seconds = {stage: line[f"seconds_{stage}"] for stage in STAGES if line[f"seconds_{stage}"] is not None}
    return ManifestEntry(
        **{name: line[name] for name in kept},
        outputs=json.loads(line["outputs"]),
        stored=StoredClip(**{name: line[name] for name in stored}),
        seconds=seconds,
    )


def _columns(entry: ManifestEntry) -> dict[str, object]:
    values = asdict(entry)
    error, seconds, outputs = values.pop("error") or {}, values.pop("seconds"), values.pop("outputs")
    return {
        **values,
        **(values.pop("stored") or {}),
        "key": entry.key or None,
        "video": outputs.get("video"),
        "record": outputs.get("record"),
        "outputs": json.dumps(outputs),
        "status": "failed" if error else "done",
        **{f"error_{key}": error.get(key) for key in ("stage", "type", "message")},
        "seconds_total": sum(seconds.values()),
        **{f"seconds_{stage}": seconds.get(stage) for stage in STAGES},
    }
