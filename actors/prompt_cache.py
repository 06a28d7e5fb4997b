"""What text encoders made of prompts before, kept across runs and shared by all workers.

A cache has one folder per text encoder, named after it and its content. An encoder that isn't there can't be told from
others of its name: then the cache may know only one of them. Entries are float32, as the text stage hands them on.
"""

import glob
from typing import Any

import numpy as np
from numpy.typing import NDArray

from airshower.cluster import storage
from airshower.cluster.embedding_cache import EmbeddingCache, embedding_key
from airshower.cluster.folder_sha256 import folder_sha256
from airshower.models.model_parts import ModelParts
from airshower.models.weights import WeightsError

_FORMAT = "1"  # to be raised when a release encodes the same prompt into other numbers
_PROBE = embedding_key("probe", "")


def require_writable(location: str) -> None:
    """Raises OSError, with the remedy, where a cache can't be written or read."""
    probe = EmbeddingCache(location)
    try:
        probe.put(_PROBE, np.zeros(1, np.float32))
        probe.get(_PROBE)
    except OSError as error:
        raise OSError(
            f"embedding cache {location} can't be used ({error}): name another one with --embedding-cache, or switch "
            "it off with --embedding-cache none"
        ) from error


class PromptCache:
    """The entries of one model's text encoder in the cache at `location`, a local folder or any fsspec URL."""

    def __init__(self, location: str, parts: ModelParts) -> None:
        """Raises WeightsError for an encoder that isn't there and that the cache doesn't know, or knows too well."""
        self._encoder = _encoder_of(parts, location)
        self._entries = EmbeddingCache(storage.join(location, self._encoder))

    def get(self, prompt: str, projection: str) -> NDArray[np.floating[Any]] | None:
        """What is known of a prompt as projected by weights of this SHA-256 (M, C); raises OSError."""
        return self._entries.get(self._key(prompt, projection))

    def put(self, prompt: str, projection: str, embedded_MC: NDArray[np.floating[Any]]) -> None:
        """Keeps an embedding; raises OSError."""
        self._entries.put(self._key(prompt, projection), embedded_MC)

    def _key(self, prompt: str, projection: str) -> str:
        return embedding_key(f"{_FORMAT} {self._encoder} {projection}", prompt)


def _encoder_of(parts: ModelParts, location: str) -> str:
    name = parts.text_encoder_name()
    try:
        return f"{name}-{folder_sha256(parts.text_encoder_folder())[:16]}"
    except OSError:  # not there, or not to be read
        pass
    known = storage.list_matching(storage.join(glob.escape(location), f"{name}-*"))
    if not known:
        parts.require()  # says what is missing, and how to get it
    if len(known) != 1:
        raise WeightsError(
            f"embedding cache {location}: knows {len(known)} text encoders called {name}, and none is in the folder of "
            "weights to tell which is meant: put it there"
        )
    return known[0].rstrip("/").rpartition("/")[2]
