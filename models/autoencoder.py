"""The causal video autoencoder of the 2B family (Wan architecture, through diffusers) behind one small interface.

Latents are the posterior mean, normalised per channel; nothing is sampled. 8x in space, 4x in time: 4k+1 frames become
k+1 latent frames, and the first latent frame depends on the first frame alone.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

import torch
from diffusers import AutoencoderKLWan
from diffusers.loaders.single_file_utils import convert_wan_vae_to_diffusers
from torch import Tensor

from airshower.models.checkpoints.files import CheckpointError, open_checkpoint
from airshower.models.chunks import SPATIAL_FACTOR, TEMPORAL_FACTOR, WHOLE_CLIP_PIXELS
from airshower.models.cpu_convolutions import fast_convolutions
from airshower.models.differences import differences
from airshower.models.host_weights import Mover
from airshower.models.parked_module import ParkedModule
from airshower.models.whole_clip import decode_whole, encode_whole


class LatentScale:
    """Mean and deviation of every latent channel, applied in the type of the latents as the published code does."""

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        self._mean, self._std = (torch.tensor(values).view(1, -1, 1, 1, 1) for values in (mean, std))

    def normalise(self, latents_BCTYX: Tensor) -> Tensor:
        """Each channel with mean 0 and deviation 1."""
        mean, inverse = self._like(latents_BCTYX)
        return (latents_BCTYX - mean) * inverse

    def restore(self, normalised_BCTYX: Tensor) -> Tensor:
        """Back from `normalise`."""
        mean, inverse = self._like(normalised_BCTYX)
        return normalised_BCTYX / inverse + mean

    def _like(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        return self._mean.to(latents), 1.0 / self._std.to(latents)


class VideoAutoencoder:
    """Frames in [-1, 1] to normalised latents and back.

    Shapes: frames (B, 3, F, H, W), latents (B, C, T, H/8, W/8). H and W are multiples of 8, F is 4k+1.
    """

    def __init__(self, model: AutoencoderKLWan) -> None:
        self.model = model.eval().requires_grad_(False)
        self._scale = LatentScale(model.config.latents_mean, model.config.latents_std)
        self._parked: ParkedModule | None = None

    @classmethod
    def load(cls, folder: Path, device: torch.device, dtype: torch.dtype) -> "VideoAutoencoder":
        """From a diffusers folder (config.json and safetensors)."""
        model = AutoencoderKLWan.from_pretrained(
            folder,
            torch_dtype=dtype,
            local_files_only=True,
            low_cpu_mem_usage=False,  # else it says that accelerate is missing; the weights are small
        )
        return cls(model.to(device))

    @classmethod
    def load_published(cls, file: Path, device: torch.device, dtype: torch.dtype) -> "VideoAutoencoder":
        """From the file that is released with the 2B family (tokenizer.pth, names of Wan 2.1), or one like it.

        Raises CheckpointError when it can't be read or doesn't fit.
        """
        weights = {name: tensor.read() for name, tensor in open_checkpoint(file).items()}
        if "encoder.conv1.weight" not in weights or "decoder.middle.0.residual.2.weight" not in weights:
            raise CheckpointError(f"{file}: not the autoencoder of the 2B family: no encoder.conv1.weight in it")
        width = len(weights["encoder.conv1.weight"])
        with torch.device("meta"):
            model = AutoencoderKLWan(base_dim=width)
        converted = convert_wan_vae_to_diffusers(weights)
        problems = differences(converted, model.state_dict())
        if problems:
            raise CheckpointError(f"{file}: doesn't fit ({len(problems)} problems): {'; '.join(problems)}")
        model.load_state_dict({key: value.to(device, dtype) for key, value in converted.items()}, assign=True)
        return cls(model)

    def offload(self, mover: Mover) -> None:
        """The weights wait in host memory from now on while nothing is encoded or decoded."""
        self._parked = ParkedModule(self.model, mover)

    def prefetch(self) -> None:
        """Says that it is needed soon: offloaded weights set out for the device."""
        if self._parked is not None:
            self._parked.bring()

    @torch.inference_mode()
    def encode(self, frames_B3FHW: Tensor) -> Tensor:
        """Normalised posterior mean, float32."""
        video = frames_B3FHW.to(self.model.dtype)
        whole = frames_B3FHW[:, 0].numel() <= WHOLE_CLIP_PIXELS
        with self._at_work():
            posterior = encode_whole(self.model, video) if whole else self.model.encode(video).latent_dist
        return self._scale.normalise(posterior.mode()).float()

    @torch.inference_mode()
    def decode(self, latents_BCTYX: Tensor) -> Tensor:
        """Frames, float32, clamped to [-1, 1]."""
        latents = self._scale.restore(latents_BCTYX.to(self.model.dtype))
        batch, _, frames, rows, columns = latents.shape
        pixels = batch * (TEMPORAL_FACTOR * (frames - 1) + 1) * rows * columns * SPATIAL_FACTOR**2
        whole = pixels <= WHOLE_CLIP_PIXELS
        with self._at_work():
            video = decode_whole(self.model, latents) if whole else self.model.decode(latents).sample
        return video.float().clamp(-1, 1)

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        """The weights are there, and convolutions fast."""
        there = nullcontext() if self._parked is None else self._parked.present()
        with there, fast_convolutions(self.model.device, self.model.dtype):
            yield
