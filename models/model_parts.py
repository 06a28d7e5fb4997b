"""Where the parts of a model come from, whatever layout its weights have.

A model has an autoencoder, a text encoder and one or more networks; `network_of` says which one makes a row. Opening
parts reads nothing yet: every part is loaded by whoever needs it.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

from airshower.configs.network import DitConfig
from airshower.configs.presets import ModelPreset, TrainedWeights
from airshower.models.dit.transformer import Transformer
from airshower.models.host_weights import Mover
from airshower.models.published_parts import PublishedParts
from airshower.models.sharded_weights import Gatherer
from airshower.models.text_projection import Projection
from airshower.models.trained_parts import TrainedParts
from airshower.models.weights import SHIPPED, WeightsError

if TYPE_CHECKING:
    from airshower.models.autoencoder import VideoAutoencoder
    from airshower.models.siglip import StyleEncoder


class PromptEncoder(Protocol):
    """A text encoder as the text stage sees it."""

    def encode(self, prompt: str, projection: Projection | None) -> Tensor:
        """A prompt (M, C) as a network with this projection attends to it, always of the same shape."""
        ...

    def offload(self, mover: Mover) -> None:
        """Weights wait in host memory from now on and visit the mover's device."""
        ...


class ModelParts(Protocol):
    """The parts of one model; all methods that read weights raise WeightsError or CheckpointError."""

    def require(self, *, text_encoder: bool = True) -> None:
        """Raises WeightsError, naming it, where a part is missing; the text encoder may be where prompts are known."""
        ...

    def networks(self) -> tuple[str, ...]:
        """Names of all networks that are there."""
        ...

    def network_of(self, controls: Sequence[str]) -> str:
        """Name of the network that makes a row with these controls."""
        ...

    def network_config(self, name: str) -> DitConfig:
        """The hyper-parameters of a network, without reading its weights."""
        ...

    def network(self, name: str, device: torch.device, dtype: torch.dtype) -> Transformer:
        """One network in inference mode."""
        ...

    def sharded_network(self, name: str, gatherer: Gatherer, dtype: torch.dtype) -> Transformer:
        """One network of which every rank of a gang has a part; all of them call it alike."""
        ...

    def text_projection(self, name: str, device: torch.device, dtype: torch.dtype) -> Projection | None:
        """The layer of a network that turns encoder states into what its blocks attend to, if it has one."""
        ...

    def autoencoder(self, device: torch.device, dtype: torch.dtype) -> "VideoAutoencoder":
        """The autoencoder that all networks share."""
        ...

    def text_encoder(self, device: torch.device, dtype: torch.dtype) -> PromptEncoder:
        """The text encoder that all networks share; those of the tiny models are float32 in any case."""
        ...

    def text_encoder_name(self) -> str:
        """What the text encoder is called, fit for the name of a folder."""
        ...

    def text_encoder_folder(self) -> Path:
        """Where the text encoder is, if it is there."""
        ...

    def style_encoder(self, device: torch.device, dtype: torch.dtype) -> "StyleEncoder":
        """The encoder of style images; raises WeightsError for a model without."""
        ...

    def files(self, name: str) -> Mapping[str, Path]:
        """By name, the weight files that a row of this network depends on; a text encoder known by name isn't among
        them.
        """
        ...


def open_parts(
    preset: ModelPreset, weights: str | None, *, load_ema: bool = False, named: str | None = None
) -> ModelParts:
    """The parts of a preset's model in the folder that the user named, or as shipped; raises WeightsError for none.

    `named` is what the user calls the folder where that isn't its path.
    """
    if isinstance(preset.weights, TrainedWeights):
        if load_ema:
            raise WeightsError(f"{preset.name}: its weights are a moving average already: remove --ema")
        if weights is None:
            shared = SHIPPED / preset.weights.autoencoder_of / "autoencoder"
            return TrainedParts(SHIPPED / preset.weights.folder, shared)
        return TrainedParts(Path(weights), Path(weights) / "autoencoder", named=named)
    if weights is None:
        raise WeightsError(
            f"{preset.name}: its weights don't come with Airshower: fetch them with `airshower checkpoint download "
            f"{preset.name} --to DIR` and name that folder with --weights DIR"
        )
    return PublishedParts(preset.weights, Path(weights), load_ema=load_ema, named=named)
