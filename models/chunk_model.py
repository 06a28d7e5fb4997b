"""What models of one camera and of several share: a transformer and an autoencoder on a device, and the samplers."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from airshower.configs.presets import Sampler
from airshower.models.adams_bashforth import edm_sigmas, sample_predict2
from airshower.models.autoencoder import VideoAutoencoder
from airshower.models.chunks import TEMPORAL_FACTOR, latent_frames
from airshower.models.distilled import distilled_angles, sample_distilled
from airshower.models.dit.transformer import Transformer
from airshower.models.pixels import to_tensor
from airshower.models.sampling import ChunkConditions, GuidedRegion, sample
from airshower.models.unipc import flow_schedule, noise


class ChunkModel:
    """Holds one transformer and one autoencoder on a device."""

    def __init__(self, net: Transformer, autoencoder: VideoAutoencoder, device: torch.device) -> None:
        self.net = net
        self.autoencoder = autoencoder
        self.device = device

    def denoise(
        self,
        conditions: ChunkConditions,
        *,
        region: GuidedRegion | None = None,
        sampler: Sampler,
        seed: int,
        steps: int,
        shift: float,
        guidance: float,
        on_step: Callable[[int], None] | None = None,
    ) -> Tensor:
        """Latents of the chunk. The noise is one draw for all cameras, however many GPUs there are.

        Raises ValueError for a guided region with a sampler that has no use for it.
        """
        if region is not None and sampler != "flow":
            raise ValueError(f"guided generation works with the flow sampler, not with {sampler}")
        start = noise(seed, tuple(conditions.given_BCTYX.shape)).to(self.device)
        if sampler == "distilled":
            latents = sample_distilled(self.net, start, distilled_angles(steps), conditions, on_step)
        elif sampler == "predict2":
            latents = sample_predict2(self.net, start, edm_sigmas(steps), conditions, guidance, on_step)
        else:
            schedule = flow_schedule(steps, shift)
            latents = sample(self.net, start, schedule, conditions, guidance, region=region, on_step=on_step)
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
