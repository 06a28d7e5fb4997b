"""Committing a row: its files go to a folder of this attempt alone, then one record makes them count.

Two attempts at a row, on two machines or in two runs, never touch each other's files; the one that commits second
removes its own.
"""

import hashlib
import os
import socket
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from airshower.cluster.store import Store
from airshower.configs.messages import Row
from airshower.configs.records import Commit, OutputFile
from airshower.pipelines.ledger.ledger import DATA, Ledger
from airshower.pipelines.ledger.missing import made_entry, stored_clip
from airshower.pipelines.ledger.reading import LedgerError
from airshower.pipelines.ledger.saved_chunks import SavedChunks
from airshower.pipelines.manifest import ManifestEntry
from airshower.pipelines.write import write_row


@dataclass(frozen=True, kw_only=True)
class Committer:
    """What makes the rows of one run last. Travels in pickles."""

    ledger: Ledger
    run: str

    def made(self, row: Row) -> ManifestEntry | None:
        """The row's entry where the ledger has it, whoever made it."""
        try:
            commit = self.ledger.commit_of(row.key, row.edition)
        except LedgerError:  # damaged: it is made once more
            return None
        return None if commit is None else made_entry(row, commit)

    def saved_chunks(self, row: Row) -> SavedChunks:
        """What was made of a clip of several chunks, for one attempt at the row."""
        return SavedChunks(self.ledger.store, row.key)

    def write(self, row: Row) -> Row:
        """Writes the row's files and commits them; adds `outputs`, the paths of those that count, and what is stored.

        Raises what `write_row` does, and OSError where storage refuses; then nothing of this attempt is left.
        """
        nonce = uuid.uuid4().hex
        folder = f"{DATA}/{row.name}-{nonce}"
        store = self.ledger.store
        try:
            with _staged(store, folder) as place:
                written = write_row(row, str(place))
                files = {path.name: _described(path) for path in sorted(place.iterdir())}
            counted = self.ledger.commit(_commit(written, self.run, nonce, folder, files))
        except BaseException:
            store.delete_folder(folder)
            raise
        if counted.nonce != nonce:
            store.delete_folder(folder)
        outputs = {kind: f"{counted.folder}/{path}" for kind, path in counted.outputs.items()}
        return replace(written, outputs=outputs, edition=counted.edition, stored=stored_clip(counted))


@contextmanager
def _staged(store: Store, folder: str) -> Iterator[Path]:
    """A local folder whose files are in the store's `folder` when the block ends well: there at once, where that is a
    local folder itself.
    """
    place = store.local_path(folder)
    if place is not None:
        place.mkdir(parents=True)
        yield place
        for path in place.iterdir():
            _keep(path)
        return
    with tempfile.TemporaryDirectory(prefix="airshower-") as temporary:
        yield Path(temporary)
        for path in sorted(Path(temporary).iterdir()):
            store.put(f"{folder}/{path.name}", path)


def _keep(path: Path) -> None:
    """On the disk before the commit is: a machine that loses power must not keep a commit of empty files."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _described(path: Path) -> OutputFile:
    with path.open("rb") as file:
        return OutputFile(size_bytes=path.stat().st_size, sha256=hashlib.file_digest(file, "sha256").hexdigest())


def _commit(row: Row, run: str, nonce: str, folder: str, files: dict[str, OutputFile]) -> Commit:
    if row.prepared is None or row.generated is None:
        raise ValueError(f"row {row.name}: is written and was not generated: this is a bug in the graph")
    return Commit(
        key=row.key,
        edition=row.edition,
        name=row.name,
        source=row.source,
        prompt=row.prompt,
        run=run,
        nonce=nonce,
        folder=folder,
        files=files,
        outputs=row.outputs,
        frames=row.prepared.frames,
        fps=row.prepared.fps,
        height=row.prepared.height,
        width=row.prepared.width,
        chunks=row.generated.chunks,
        resumed_chunks=row.generated.resumed_chunks,
        seconds={key: round(value, 4) for key, value in {**row.seconds, **row.generated.seconds}.items()},
        node=socket.gethostname(),
        gpu=row.generated.gpu,
        gpus=row.generated.gpus,
        flops=row.generated.flops,
        replica=row.generated.replica,
        generated_s=max((part.ended_s for part in row.generated.parts), default=None),
        written_s=time.time(),
    )
