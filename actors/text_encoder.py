"""The text stage's actor: holds one text encoder and encodes each distinct prompt once for a network.

What leaves it is projected already: the projection belongs to the network that makes the row, and its result is small.
With a cache the encoder is loaded when the first prompt is missing there, else at once.
"""

import hashlib
import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from airshower.actors.local_parts import local_parts
from airshower.actors.prompt_cache import PromptCache
from airshower.configs.messages import TextEmbedding
from airshower.configs.model_source import ModelSource
from airshower.models.host_weights import HOST, gpu_mover
from airshower.models.model_parts import PromptEncoder
from airshower.models.precision import compute_type
from airshower.models.room import loading
from airshower.models.text_projection import Projection

_log = logging.getLogger(__name__)

KEPT_PROMPTS = 1_000  # 2 MiB each for the published networks


class TextEncoder:
    """Prompts to what a network's blocks attend to; the most recent ones are kept in memory."""

    def __init__(
        self,
        source: ModelSource,
        device: str = "cpu",
        threads: int = 1,
        *,
        warn: Callable[[str], None] = _log.warning,
    ) -> None:
        """`warn` is told once when the embedding cache fails, and the work goes on without it."""
        torch.set_num_threads(threads)
        self._device = torch.device(device)
        self._offloaded = "text" in source.offload
        self._parts = local_parts(source)
        self._cache = None if source.embedding_cache is None else PromptCache(source.embedding_cache, self._parts)
        self._warn = warn
        self._encoder: PromptEncoder | None = None
        if self._cache is None:
            self._loaded()  # weights that don't fit fail here, for all rows alike
        self._projections: dict[str, tuple[Projection | None, str]] = {}
        self._kept: dict[tuple[str, str], TextEmbedding] = {}
        self.encoded = 0  # prompts that the encoder itself has seen

    def encode(self, prompt: str, controls: Sequence[str]) -> TextEmbedding:
        """The embedding of one prompt for a row with these controls, made only where it isn't known."""
        key = (prompt, self._parts.network_of(controls))
        if key not in self._kept:
            embedded_MC = self._embedding(*key)
            self._kept[key] = TextEmbedding(data=embedded_MC.tobytes(), shape=embedded_MC.shape)
            if len(self._kept) > KEPT_PROMPTS:
                del self._kept[next(iter(self._kept))]  # the oldest
        return self._kept[key]

    def _embedding(self, prompt: str, network: str) -> NDArray[np.floating[Any]]:
        """From the cache, or made and put there."""
        projection, identity = self._projection(network)
        known_MC = self._cached(lambda cache: cache.get(prompt, identity))
        if known_MC is not None:
            return known_MC
        embedded_MC = self._loaded().encode(prompt, projection).float().cpu().numpy()
        self.encoded += 1
        self._cached(lambda cache: cache.put(prompt, identity, embedded_MC))
        return embedded_MC

    def _cached(
        self, use: Callable[[PromptCache], NDArray[np.floating[Any]] | None]
    ) -> NDArray[np.floating[Any]] | None:
        """What the cache says; None without one. Once it fails it isn't asked again: a row needs it for nothing."""
        if self._cache is None:
            return None
        try:
            return use(self._cache)
        except OSError as error:
            self._cache = None
            self._warn(f"the embedding cache failed and is left alone, prompts are encoded without it: {error}")
            return None

    def _loaded(self) -> PromptEncoder:
        if self._encoder is None:
            dtype = compute_type(self._device)
            if self._offloaded:
                self._encoder = self._parts.text_encoder(HOST, dtype)
                self._encoder.offload(gpu_mover(self._device))
            else:
                with loading("text"):
                    self._encoder = self._parts.text_encoder(self._device, dtype)
        return self._encoder

    def _projection(self, network: str) -> tuple[Projection | None, str]:
        """The network's projection and its identity, which the precision is part of."""
        if network not in self._projections:
            dtype = compute_type(self._device)
            projection = self._parts.text_projection(network, self._device, dtype)
            self._projections[network] = projection, f"{dtype} {_sha256(projection)}"
        return self._projections[network]


def _sha256(projection: Projection | None) -> str:
    digest = hashlib.sha256()
    for weight in projection or ():
        digest.update(weight.cpu().contiguous().view(torch.uint8).numpy().data)
    return digest.hexdigest()
