"""Holds an autoencoder and turns frames into latents, for training sets that are encoded ahead."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from airshower.models.autoencoder import VideoAutoencoder
from airshower.models.pixels import to_tensor


class ClipEncoder:
    """Frames to normalised latents on one device."""

    def __init__(self, folder: str, device: str) -> None:
        self._device = torch.device(device)
        dtype = torch.float32 if self._device.type == "cpu" else torch.bfloat16
        self._autoencoder = VideoAutoencoder.load(Path(folder), self._device, dtype)

    def encode(self, frames: np.ndarray) -> Tensor:
        """uint8 (F, H, W, 3) to float16 latents (C, T, Y, X) on the CPU."""
        return self._autoencoder.encode(to_tensor(frames, self._device))[0].half().cpu()
