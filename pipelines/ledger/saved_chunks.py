"""The chunks of one row that is not made yet, in the run's store: what the row goes on from elsewhere.

One file per chunk, lossless: a SHA-256 of what follows, a line of JSON (`SavedChunk`), then packed frames. A file that
isn't whole, or not what was written, is not used, nor is what comes after it. Each names the one before by its hash:
two attempts at a row on different machines may differ by a level in some pixels, and their chunks are never mixed.
"""

import hashlib
import math
from collections.abc import Callable

import numpy as np
from pydantic import ValidationError

from airshower.actors.checkpoints import MadeChunk
from airshower.cluster.packing import pack_frames, unpack_frames
from airshower.cluster.store import Store
from airshower.configs.messages import PackedFrames
from airshower.configs.records import SavedArray, SavedChunk
from airshower.pipelines.ledger.ledger import chunks_folder

_HASH_BYTES = 64
_ARRAYS = ("frames", "passed_on")  # of a MadeChunk


class SavedChunks:
    """Of one attempt at a row, which reads first and then writes the chunks that follow."""

    def __init__(self, store: Store, key: str) -> None:
        self._store, self._folder = store, chunks_folder(key)
        self._last_hash = ""  # of the chunk that was read or written last

    def read(self, warn: Callable[[str], None]) -> list[MadeChunk]:
        """All from the first on that can be used; the first that can't is warned of. Raises OSError."""
        chunks: list[MadeChunk] = []
        self._last_hash = ""
        while True:
            path = self._path(len(chunks))
            try:
                data = self._store.read(path)
            except FileNotFoundError:
                return chunks
            try:
                chunk = _opened(data, before=self._last_hash)
            except ValueError as error:
                warn(f"{self._store.url(path)}: {error}: this chunk is made again")
                return chunks
            self._last_hash = _hash_of(data)
            chunks.append(chunk)

    def write(self, number: int, made: MadeChunk) -> None:
        """The chunk after the one that was read or written last; raises OSError."""
        data = _closed(made, before=self._last_hash)
        self._store.write(self._path(number), data)
        self._last_hash = _hash_of(data)

    def remove(self) -> None:
        """All there are of the row, whoever wrote them; raises OSError."""
        self._store.delete_folder(self._folder)

    def _path(self, number: int) -> str:
        return f"{self._folder}/{number}"


def _closed(made: MadeChunk, *, before: str) -> bytes:
    """A chunk as a file."""
    arrays = {name: getattr(made, name) for name in _ARRAYS}
    packed = {name: pack_frames(array.reshape(-1, *array.shape[-3:])) for name, array in arrays.items()}
    described = {
        name: SavedArray(shape=array.shape, coding=packed[name].coding, size_bytes=len(packed[name].data))
        for name, array in arrays.items()
    }
    head = SavedChunk(before=before, **described).model_dump_json().encode()
    parts = (head, b"\n", *(one.data for one in packed.values()))
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return b"".join((digest.hexdigest().encode(), *parts))


def _opened(data: bytes, *, before: str) -> MadeChunk:
    """A chunk of its file; raises ValueError where that is not what was written, or doesn't follow the one before."""
    whole = memoryview(data)
    if hashlib.sha256(whole[_HASH_BYTES:]).hexdigest() != _hash_of(data):
        raise ValueError("is cut short or damaged")
    line_end = data.index(b"\n")
    rest = whole[line_end + 1 :]
    try:
        head = SavedChunk.model_validate_json(data[_HASH_BYTES:line_end])
    except ValidationError:
        raise ValueError("is of another version of Airshower") from None
    if head.before != before:
        raise ValueError("goes on from another attempt at the row")
    arrays: dict[str, np.ndarray] = {}
    for name in _ARRAYS:
        described: SavedArray = getattr(head, name)
        arrays[name] = _unpacked(described, rest[: described.size_bytes])
        rest = rest[described.size_bytes :]
    return MadeChunk(**arrays)


def _unpacked(array: SavedArray, data: memoryview) -> np.ndarray:
    *leading, height, width, _ = array.shape
    packed = PackedFrames(data=data, coding=array.coding, frames=math.prod(leading), height=height, width=width)
    return unpack_frames(packed).reshape(array.shape)


def _hash_of(data: bytes) -> str:
    return data[:_HASH_BYTES].decode("ascii", errors="replace")
