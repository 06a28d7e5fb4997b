"""What models of one camera and of several share: a transformer and an autoencoder, and what a chunk starts from."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import torch
from torch import Tensor

from airshower.models.autoencoder import VideoAutoencoder
from airshower.models.chunks import TEMPORAL_FACTOR, latent_frames
from airshower.models.denoise import SamplerSettings, denoise
from airshower.models.dit.transformer import Transformer
from airshower.models.mesh import ONE_DEVICE, Mesh
from airshower.models.pixels import to_tensor
from airshower.models.sampling import ChunkConditions, GuidedRegion

# Has the other ranks of a mesh denoise the same chunk, for as long as the block lasts.
Together = Callable[[ChunkConditions, SamplerSettings, GuidedRegion | None], AbstractContextManager[None]]


def alone(
    conditions: ChunkConditions, settings: SamplerSettings, region: GuidedRegion | None
) -> AbstractContextManager[None]:
    """There are no other ranks."""
    return nullcontext()


class ChunkModel:
    """Holds one transformer and one autoencoder on a device, which may be the first rank of a mesh."""

    def __init__(
        self,
        net: Transformer,
        autoencoder: VideoAutoencoder,
        device: torch.device,
        mesh: Mesh = ONE_DEVICE,
        together: Together = alone,
    ) -> None:
        self.net = net
        self.autoencoder = autoencoder
        self.device = device
        self.mesh = mesh
        self.together = together

    def denoise(
        self,
        conditions: ChunkConditions,
        settings: SamplerSettings,
        *,
        region: GuidedRegion | None = None,
        on_step: Callable[[int], None] | None = None,
    ) -> Tensor:
        """Latents of the chunk; raises ValueError for what the sampler or the mesh can't do."""
        with self.together(conditions, settings, region):
            latents = denoise(self.net, conditions, settings, region=region, on_step=on_step, mesh=self.mesh)
        self.autoencoder.prefetch()  # not a step earlier: its weights would add to the peak that they keep away from
        return latents

    def _latents(self, frames_FHW3: np.ndarray) -> Tensor:
        return self.autoencoder.encode(to_tensor(frames_FHW3, self.device))

    def _first_latents(self, frames_FHW3: np.ndarray) -> Tensor:
        """Latents of the frames that a chunk starts with.

        The autoencoder is causal: later frames can't change these latents, so only the frames they span count.
        """
        count = latent_frames(len(frames_FHW3))
        return self._latents(frames_FHW3[: 1 + TEMPORAL_FACTOR * (count - 1)])

    def _text(self, states_MC: np.ndarray) -> Tensor:
        return torch.tensor(states_MC, device=self.device, dtype=self.net.dtype)[None]
