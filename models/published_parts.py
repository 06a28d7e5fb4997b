"""Published weights in a folder: one network per control, the network of several controls put together from them.

A part is what its name in `airshower.configs.published` says, below the folder: `NAME.pt` or another file of weights,
or a folder `NAME/` that holds one file of weights at any depth (as the download leaves it), a distributed checkpoint,
or a whole model of transformers or diffusers. So a post-trained network goes where the published one would be.

Autoencoder and encoders are imported where they are loaded: each brings a library that takes seconds to import, and
most processes need one of them.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from airshower.configs.network import DitConfig
from airshower.configs.presets import BASE, PublishedWeights
from airshower.models.checkpoints.load import Checkpoint, assemble_multi_control, build, build_sharded, read_checkpoint
from airshower.models.dit.transformer import Transformer
from airshower.models.sharded_weights import Gatherer
from airshower.models.text_projection import Projection, text_projection
from airshower.models.weights import WeightsError, download_hint

if TYPE_CHECKING:
    from airshower.models.autoencoder import VideoAutoencoder
    from airshower.models.reason1 import Reason1
    from airshower.models.siglip import StyleEncoder
    from airshower.models.t5 import T5

SEVERAL_CONTROLS = "several-controls"
WEIGHT_SUFFIXES = (".pt", ".pth", ".safetensors")


class PublishedParts:
    """The parts of a model of the 2B family."""

    def __init__(
        self, weights: PublishedWeights, folder: Path, *, load_ema: bool = False, named: str | None = None
    ) -> None:
        self._weights = weights
        self._folder = folder
        self._load_ema = load_ema
        self._named = named

    def require(self, *, text_encoder: bool = True) -> None:
        """Raises WeightsError for a missing autoencoder or text encoder, and where there is no network at all.

        A network that no row asks for may be missing.
        """
        self._part(self._weights.autoencoder)
        if text_encoder:
            self._part(self._weights.text_encoder)
        if not self._single:
            wanted = list(self._weights.networks.values())
            raise WeightsError(f"{self._called}: none of {', '.join(wanted)} here: {self._remedy(wanted[0])}")

    def networks(self) -> tuple[str, ...]:
        """Those of one control that are there, and that of several once all are."""
        complete = len(self._single) == len(self._weights.networks) > 1
        return (*self._single, SEVERAL_CONTROLS) if complete else tuple(self._single)

    def network_of(self, controls: Sequence[str]) -> str:
        """One control has a network of its own, with a branch for a style image; several share one without it."""
        if len(self._weights.networks) == 1:
            return next(iter(self._weights.networks))
        return controls[0] if len(controls) == 1 else SEVERAL_CONTROLS

    def network_config(self, name: str) -> DitConfig:
        """Told from the names and shapes of its weights."""
        return self._checkpoint(name).config

    def network(self, name: str, device: torch.device, dtype: torch.dtype) -> Transformer:
        """The network in inference mode."""
        return build(self._checkpoint(name), device, dtype)

    def sharded_network(self, name: str, gatherer: Gatherer, dtype: torch.dtype) -> Transformer:
        """The network with this rank's part of its weights."""
        return build_sharded(self._checkpoint(name), gatherer, dtype)

    def text_projection(self, name: str, device: torch.device, dtype: torch.dtype) -> Projection | None:
        """The network's projection of text."""
        return text_projection(self._checkpoint(name).weights, device, dtype)

    def autoencoder(self, device: torch.device, dtype: torch.dtype) -> "VideoAutoencoder":
        """From the file that is released with the family, or a diffusers folder in its place."""
        from airshower.models.autoencoder import VideoAutoencoder

        part = self._part(self._weights.autoencoder)
        load = VideoAutoencoder.load if part.is_dir() else VideoAutoencoder.load_published
        return load(part, device, dtype)

    def text_encoder(self, device: torch.device, dtype: torch.dtype) -> "Reason1 | T5":
        """Reason1 or T5."""
        part = self._part(self._weights.text_encoder)
        if self._weights.reads_text_with == "reason1":
            from airshower.models.reason1 import Reason1

            return Reason1.load(part, device, dtype)
        from airshower.models.t5 import T5

        return T5.load(part, device, dtype)

    def text_encoder_name(self) -> str:
        """That of the published one, whose place another one may take."""
        return self._weights.text_encoder

    def text_encoder_folder(self) -> Path:
        """A folder of transformers."""
        return self._folder / self._weights.text_encoder

    def style_encoder(self, device: torch.device, dtype: torch.dtype) -> "StyleEncoder":
        """SigLIP2's vision half."""
        if self._weights.style_encoder is None:
            raise WeightsError("this model takes no style image: remove it from the row")
        from airshower.models.siglip import StyleEncoder

        return StyleEncoder.load(self._part(self._weights.style_encoder), device, dtype)

    def files(self, name: str) -> dict[str, Path]:
        """Those of the network and of the autoencoder; the text encoder is known by its name."""
        networks = (
            list(self._single.values()) if name == SEVERAL_CONTROLS else [self._part(self._weights.networks[name])]
        )
        files = [file for part in (*networks, self._part(self._weights.autoencoder)) for file in _files(part)]
        return {file.relative_to(self._folder).as_posix(): file for file in files}

    def _checkpoint(self, name: str) -> Checkpoint:
        if name == SEVERAL_CONTROLS:
            return assemble_multi_control(self._single, ema=self._load_ema)
        control = None if name == BASE else name
        read = read_checkpoint(self._part(self._weights.networks[name]), control=control, ema=self._load_ema)
        if self._weights.timestep_scale is None:
            return read
        return replace(read, config=replace(read.config, timestep_scale=self._weights.timestep_scale))

    @cached_property
    def _single(self) -> dict[str, Path]:
        """The files of networks that are there, by control."""
        found = {control: self._found(name) for control, name in self._weights.networks.items()}
        return {control: path for control, path in found.items() if path is not None}

    def _part(self, name: str) -> Path:
        path = self._found(name)
        if path is None:
            raise WeightsError(f"{self._called}: no {name} here: {self._remedy(name)}")
        return path

    @property
    def _called(self) -> str:
        return self._named or str(self._folder)

    def _remedy(self, name: str) -> str:
        return download_hint(name, self._folder if self._named is None else None)

    def _found(self, name: str) -> Path | None:
        """Where a part is, None if nowhere; raises WeightsError where it isn't clear which file is meant."""
        files = [path for suffix in WEIGHT_SUFFIXES if (path := self._folder / f"{name}{suffix}").is_file()]
        folder = self._folder / name
        if not files and not folder.is_dir():
            return None
        if not files and any((folder / mark).exists() for mark in ("config.json", ".metadata", "transformer")):
            return folder
        files += [file for file in sorted(folder.rglob("*")) if file.suffix in WEIGHT_SUFFIXES]
        if len(files) != 1:
            named = ", ".join(str(file.relative_to(self._folder)) for file in files) or "no file of weights"
            raise WeightsError(f"{folder}: holds {named}: leave the one file of {name} there")
        return files[0]


def _files(part: Path) -> list[Path]:
    return [part] if part.is_file() else [file for file in part.rglob("*") if file.is_file()]
