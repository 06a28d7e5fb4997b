"""The causal video autoencoder of the 2B family (Wan architecture, through diffusers) behind one small interface.

Latents are the posterior mean, normalised per channel; nothing is sampled. 8x in space, 4x in time: 4k+1 frames become
k+1 latent frames, and the first latent frame depends on the first frame alone.
"""

from pathlib import Path

import torch
from diffusers import AutoencoderKLWan
from torch import Tensor

from airshower.models.chunks import TEMPORAL_FACTOR
from airshower.models.whole_clip import decode_whole, encode_whole

SPATIAL_FACTOR = 8
# Clips up to this many pixels (all frames) pass in one piece; longer ones are walked, which bounds memory. At the tiny
# model's width a whole clip of this size takes about 1 GB to decode.
WHOLE_CLIP_PIXELS = 2_000_000


class VideoAutoencoder:
    """Frames in [-1, 1] to normalised latents and back.

    Shapes: frames (B, 3, F, H, W), latents (B, C, T, H/8, W/8). H and W are multiples of 8, F is 4k+1.
    """

    def __init__(self, model: AutoencoderKLWan) -> None:
        self.model = model.eval().requires_grad_(False)
        shape = (1, -1, 1, 1, 1)
        self._mean = torch.tensor(model.config.latents_mean).view(shape)
        self._std = torch.tensor(model.config.latents_std).view(shape)

    @classmethod
    def load(cls, folder: Path, device: torch.device, dtype: torch.dtype) -> "VideoAutoencoder":
        """From a diffusers folder (config.json and safetensors)."""
        model = AutoencoderKLWan.from_pretrained(folder, torch_dtype=dtype, local_files_only=True)
        return cls(model.to(device))

    @torch.inference_mode()
    def encode(self, frames_B3FHW: Tensor) -> Tensor:
        """Normalised posterior mean, float32."""
        video = frames_B3FHW.to(self.model.dtype)
        whole = frames_B3FHW[:, 0].numel() <= WHOLE_CLIP_PIXELS
        posterior = encode_whole(self.model, video) if whole else self.model.encode(video).latent_dist
        mean = posterior.mode().float()
        return (mean - self._mean.to(mean.device)) / self._std.to(mean.device)

    @torch.inference_mode()
    def decode(self, latents_BCTYX: Tensor) -> Tensor:
        """Frames, float32, clamped to [-1, 1]."""
        latents = latents_BCTYX.float() * self._std.to(latents_BCTYX.device) + self._mean.to(latents_BCTYX.device)
        latents = latents.to(self.model.dtype)
        batch, _, frames, rows, columns = latents.shape
        pixels = batch * (TEMPORAL_FACTOR * (frames - 1) + 1) * rows * columns * SPATIAL_FACTOR**2
        whole = pixels <= WHOLE_CLIP_PIXELS
        video = decode_whole(self.model, latents) if whole else self.model.decode(latents).sample
        return video.float().clamp(-1, 1)
