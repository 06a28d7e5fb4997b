"""The text stage's actor: holds one text encoder and encodes each distinct prompt once."""

import torch

from airshower.configs.messages import TextEmbedding
from airshower.configs.presets import ModelPreset
from airshower.models.text import WordEncoder
from airshower.models.weights import model_folder

CACHED_PROMPTS = 10_000  # 16 KiB each for the tiny models


class TextEncoder:
    """Prompts to embeddings; the most recent ones are kept."""

    def __init__(self, preset: ModelPreset, weights: str | None = None, device: str = "cpu", threads: int = 1) -> None:
        torch.set_num_threads(threads)
        self._device = torch.device(device)
        self._encoder = WordEncoder.load(model_folder(preset, weights) / "text_encoder", self._device)
        self._cache: dict[str, TextEmbedding] = {}
        self.encoded = 0

    def encode(self, prompt: str) -> TextEmbedding:
        """The embedding of one prompt, from the cache when it is known."""
        if prompt not in self._cache:
            self._cache[prompt] = self._embed(prompt)
            self.encoded += 1
            if len(self._cache) > CACHED_PROMPTS:
                del self._cache[next(iter(self._cache))]  # the oldest
        return self._cache[prompt]

    @torch.inference_mode()
    def _embed(self, prompt: str) -> TextEmbedding:
        tokens = self._encoder.tokens([prompt]).to(self._device)
        hidden_MC = self._encoder(tokens)[0].cpu().numpy()
        return TextEmbedding(data=hidden_MC.tobytes(), shape=hidden_MC.shape)
