"""The text stage's actor: holds one text encoder and encodes each distinct prompt once for a network.

What leaves it is projected already: the projection belongs to the network that makes the row, and its result is small.
"""

from collections.abc import Sequence

import torch

from airshower.configs.messages import TextEmbedding
from airshower.configs.offload import Offload
from airshower.configs.presets import ModelPreset
from airshower.models.host_weights import HOST, gpu_mover
from airshower.models.model_parts import open_parts
from airshower.models.precision import compute_type
from airshower.models.room import loading
from airshower.models.text_projection import Projection

CACHED_PROMPTS = 1_000  # 2 MiB each for the published networks


class TextEncoder:
    """Prompts to what a network's blocks attend to; the most recent ones are kept."""

    def __init__(
        self,
        preset: ModelPreset,
        weights: str | None = None,
        device: str = "cpu",
        threads: int = 1,
        offload: Sequence[Offload] = (),
    ) -> None:
        torch.set_num_threads(threads)
        self._device = torch.device(device)
        self._parts = open_parts(preset, weights)
        dtype = compute_type(self._device)
        if "text" in offload:
            mover = gpu_mover(self._device)
            self._encoder = self._parts.text_encoder(HOST, dtype)
            self._encoder.offload(mover)
        else:
            with loading("text"):
                self._encoder = self._parts.text_encoder(self._device, dtype)
        self._projections: dict[str, Projection | None] = {}
        self._cache: dict[tuple[str, str], TextEmbedding] = {}
        self.encoded = 0

    def encode(self, prompt: str, controls: Sequence[str]) -> TextEmbedding:
        """The embedding of one prompt for a row with these controls, from the cache when it is known."""
        key = (prompt, self._parts.network_of(controls))
        if key not in self._cache:
            self._cache[key] = self._embed(*key)
            self.encoded += 1
            if len(self._cache) > CACHED_PROMPTS:
                del self._cache[next(iter(self._cache))]  # the oldest
        return self._cache[key]

    def _embed(self, prompt: str, network: str) -> TextEmbedding:
        if network not in self._projections:
            dtype = compute_type(self._device)
            self._projections[network] = self._parts.text_projection(network, self._device, dtype)
        embedded_MC = self._encoder.encode(prompt, self._projections[network]).float().cpu().numpy()
        return TextEmbedding(data=embedded_MC.tobytes(), shape=embedded_MC.shape)
