"""The sizes of a model's parts, from which its memory is computed: of a loaded one, or of a preset without weights."""

import json
from collections.abc import Sequence
from typing import Any

import torch
from diffusers import AutoencoderKLWan

from airshower.configs.network import DitConfig
from airshower.configs.networks_2b import published_networks, transfer25_multi_control
from airshower.configs.presets import ModelPreset, PublishedWeights, TrainedWeights
from airshower.configs.published import published
from airshower.models.memory import ModelMemory, Part, module_part, network_part, reason1_part, t5_part
from airshower.models.model_parts import open_parts
from airshower.models.weights import SHIPPED


class UnknownNetworkError(ValueError):
    """The sizes of a published network are only in its file."""


def memory_of(preset: ModelPreset, config: DitConfig, autoencoder: AutoencoderKLWan) -> ModelMemory:
    """Of a network of the preset's model."""
    return ModelMemory(
        config=config,
        network=network_part(config),
        autoencoder=module_part(autoencoder),
        autoencoder_channels=autoencoder.config.base_dim,
        autoencoder_patch=autoencoder.config.patch_size or 1,
        text=_text_part(preset),
    )


def memory_without_weights(preset: ModelPreset, controls: Sequence[str]) -> ModelMemory:
    """Of what makes a row with these controls: the shipped weights, or the published ones as they are described."""
    if isinstance(preset.weights, PublishedWeights):
        with torch.device("meta"):
            autoencoder = AutoencoderKLWan()
        return memory_of(preset, _published_config(preset.weights, controls), autoencoder)
    parts = open_parts(preset, None)
    config = parts.network_config(parts.network_of(controls))
    with torch.device("meta"):
        autoencoder = AutoencoderKLWan.from_config(shipped_autoencoder(preset.weights))
    return memory_of(preset, config, autoencoder)


def shipped_autoencoder(weights: TrainedWeights) -> dict[str, Any]:
    """The hyper-parameters of a shipped model's autoencoder, as diffusers names them."""
    return json.loads((SHIPPED / weights.autoencoder_of / "autoencoder" / "config.json").read_text())


def _published_config(weights: PublishedWeights, controls: Sequence[str]) -> DitConfig:
    if len(controls) > 1:
        return transfer25_multi_control()
    (name,) = [weights.networks[control] for control in controls] or weights.networks.values()
    network = published(name).network
    if network is None:
        raise UnknownNetworkError(f"{name}: its network is not known here")
    return published_networks()[network]


def _text_part(preset: ModelPreset) -> Part | None:
    if not preset.text_on_gpu or not isinstance(preset.weights, PublishedWeights):
        return None
    return reason1_part() if preset.weights.reads_text_with == "reason1" else t5_part()
