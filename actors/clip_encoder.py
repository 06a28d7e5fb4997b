"""Holds an autoencoder and turns clips into latents, for training sets that are encoded ahead."""

from pathlib import Path

import torch
from torch import Tensor

from airshower.models.autoencoder import VideoAutoencoder
from airshower.models.precision import compute_type


class ClipEncoder:
    """Clips to normalised latents on one device."""

    def __init__(self, folder: str, device: str) -> None:
        self._device = torch.device(device)
        self._autoencoder = VideoAutoencoder.load(Path(folder), self._device, compute_type(self._device))

    def encode(self, clips_BFHW3: Tensor, *, mirrored: bool) -> Tensor:
        """uint8 clips (B, F, H, W, 3), maybe left and right swapped, to float16 latents (B, C, T, Y, X) on the CPU."""
        video_B3FHW = clips_BFHW3.to(self._device).permute(0, 4, 1, 2, 3).float() / 127.5 - 1
        return self._autoencoder.encode(video_B3FHW.flip(-1) if mirrored else video_B3FHW).half().cpu()
