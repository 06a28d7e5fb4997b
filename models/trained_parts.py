"""The layout that `airshower train` writes and the repository ships: one network, its autoencoder and text encoder.

Autoencoder and encoder are imported where they are loaded: each brings a library that takes seconds to import.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from airshower.configs.network import DitConfig
from airshower.models.dit.transformer import Transformer
from airshower.models.sharded_weights import Gatherer
from airshower.models.text_projection import Projection
from airshower.models.weights import (
    WeightsError,
    load_sharded_transformer,
    load_text_projection,
    load_transformer,
    read_config,
)

if TYPE_CHECKING:
    from airshower.models.autoencoder import VideoAutoencoder
    from airshower.models.siglip import StyleEncoder
    from airshower.models.text import WordEncoder

_NETWORK = "transformer"
_TEXT_ENCODER = "text_encoder"


class TrainedParts:
    """A folder with `transformer/` and `text_encoder/`, and the folder of the autoencoder."""

    def __init__(self, folder: Path, autoencoder: Path, *, named: str | None = None) -> None:
        self._folder = folder
        self._named = named or str(folder)
        self._autoencoder = autoencoder

    def require(self, *, text_encoder: bool = True) -> None:
        """Raises WeightsError unless every part has its folder."""
        wanted = (_TEXT_ENCODER, _NETWORK) if text_encoder else (_NETWORK,)
        missing = [part for part in wanted if not (self._folder / part).is_dir()]
        if not self._autoencoder.is_dir():
            missing.insert(0, "autoencoder")
        if missing:
            raise WeightsError(
                f"{self._named}: no {', '.join(missing)} folder here: name a folder that holds a whole model"
            )

    def networks(self) -> tuple[str, ...]:
        """One."""
        return (_NETWORK,)

    def network_of(self, controls: Sequence[str]) -> str:
        """The one network."""
        return _NETWORK

    def network_config(self, name: str) -> DitConfig:
        """As it is written beside the weights."""
        return read_config(self._folder / name / "config.json")

    def network(self, name: str, device: torch.device, dtype: torch.dtype) -> Transformer:
        """The network in inference mode."""
        return load_transformer(self._folder / name, device, dtype)

    def sharded_network(self, name: str, gatherer: Gatherer, dtype: torch.dtype) -> Transformer:
        """The network with this rank's part of its weights."""
        return load_sharded_transformer(self._folder / name, gatherer, dtype)

    def text_projection(self, name: str, device: torch.device, dtype: torch.dtype) -> Projection | None:
        """The network's projection of text."""
        return load_text_projection(self._folder / name, device, dtype)

    def autoencoder(self, device: torch.device, dtype: torch.dtype) -> "VideoAutoencoder":
        """From a diffusers folder."""
        self.require(text_encoder=False)
        from airshower.models.autoencoder import VideoAutoencoder

        return VideoAutoencoder.load(self._autoencoder, device, dtype)

    def text_encoder(self, device: torch.device, dtype: torch.dtype) -> "WordEncoder":
        """From a transformers folder, in the float32 that it is trained in."""
        self.require()
        from airshower.models.text import WordEncoder

        return WordEncoder.load(self._folder / _TEXT_ENCODER, device)

    def text_encoder_name(self) -> str:
        """All of them have one name."""
        return _TEXT_ENCODER

    def text_encoder_folder(self) -> Path:
        """Beside the network."""
        return self._folder / _TEXT_ENCODER

    def style_encoder(self, device: torch.device, dtype: torch.dtype) -> "StyleEncoder":
        """There is none."""
        raise WeightsError(f"{self._named}: models trained here take no style image: remove it from the row")

    def files(self, name: str) -> dict[str, Path]:
        """All weight files."""
        parts = (self._folder / _NETWORK, self._folder / "text_encoder", self._autoencoder)
        files = [file for part in parts for file in part.rglob("*.safetensors")]
        return {f"{file.parent.name}/{file.name}": file for file in files}
