"""Embeddings that were computed before: arrays by content, in a local folder or below any URL that fsspec reaches.

An entry's name says what it was made from, so that entries are never stale, and any number of workers, processes and
runs may share a folder without locks: whoever misses computes, and writers of one key write the same. Nothing is ever
deleted here.

An entry is NAME.npy, as NumPy writes it, followed by the SHA-256 of what precedes (`numpy.load` reads such a file too).
A truncated or damaged entry counts as absent, and the `put` that follows such a miss replaces it.
"""

import hashlib
import io
import os
import re
import uuid
from typing import Any

import numpy as np
from fsspec.core import url_to_fs
from numpy.typing import NDArray

from airshower.cluster import storage

_DTYPES = (np.dtype(np.float16), np.dtype(np.float32))
_DIGEST_BYTES = hashlib.sha256().digest_size


def embedding_key(encoder: str, text: str) -> str:
    """The name of what `encoder` makes of `text`: 64 hexadecimal digits.

    The encoder's identity must name all that its numbers depend on: weights, precision, length, projection.
    """
    digest = hashlib.sha256()
    for part in (encoder, text):
        data = part.encode("utf-8", "surrogatepass")  # JSON can spell half of a surrogate pair
        digest.update(len(data).to_bytes(8, "little"))  # else ("ab", "c") and ("a", "bc") would be one
        digest.update(data)
    return digest.hexdigest()


class EmbeddingCache:
    """The cache in one folder or below one URL; holds no state, so that it is safe to share and to send."""

    def __init__(self, folder: str) -> None:
        self.folder = storage.absolute(folder)

    def get(self, key: str) -> NDArray[np.floating[Any]] | None:
        """The array of a key, None when there is none or it is damaged; raises OSError where storage can't be read."""
        try:
            data = storage.read_bytes(self._path(key))
        except FileNotFoundError:
            return None
        return _unpacked(data)

    def put(self, key: str, array: NDArray[np.floating[Any]]) -> None:
        """Stores a float16 or float32 array; whatever is there is replaced, and readers see either or none.

        Raises ValueError for another type, OSError where storage can't be written.
        """
        data, path = _packed(array), self._path(key)
        if storage.is_url(path):
            # One put of the whole object, which object stores apply at once or not at all. On protocols that don't, a
            # reader in between sees a truncated entry, which is no entry.
            _put_object(path, data)
        else:
            _replace(path, data)

    def _path(self, key: str) -> str:
        if not re.fullmatch("[0-9a-f]{64}", key):
            raise ValueError(f"cache key {key!r}: expected 64 hexadecimal digits: make it with embedding_key")
        return storage.join(self.folder, f"{key}.npy")


def _packed(array: NDArray[np.floating[Any]]) -> bytes:
    if array.dtype not in _DTYPES:
        raise ValueError(f"embedding: is {array.dtype}, expected float16 or float32: convert it (bfloat16 to float32)")
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue() + hashlib.sha256(file.getbuffer()).digest()


def _unpacked(data: bytes) -> NDArray[np.floating[Any]] | None:
    body, digest = memoryview(data)[:-_DIGEST_BYTES], data[-_DIGEST_BYTES:]
    if hashlib.sha256(body).digest() != digest:
        return None
    array: NDArray[np.floating[Any]] = np.load(io.BytesIO(body), allow_pickle=False)
    return array


def _put_object(url: str, data: bytes) -> None:
    try:
        fs, place = url_to_fs(url)
        fs.pipe_file(place, data)
    except Exception as error:  # the client libraries of the protocols share no base class
        raise OSError(f"{url} can't be written ({error}): check the URL and its credentials") from error


def _replace(path: str, data: bytes) -> None:
    """Writes beside the final name, then renames: a writer that dies leaves a hidden .part file, which nothing reads.

    Not flushed to the disk first: what a power failure may leave under the final name fails its checksum.
    """
    folder, name = os.path.split(path)
    os.makedirs(folder, exist_ok=True)
    part = os.path.join(folder, f".{name}.{uuid.uuid4().hex}.part")
    try:
        with open(part, "wb") as file:
            file.write(data)
        os.replace(part, path)
    finally:
        if os.path.exists(part):
            os.unlink(part)
