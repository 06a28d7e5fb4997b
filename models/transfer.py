"""A transfer model: the transformer and its autoencoder, from control frames to generated frames for one chunk.

Frames are uint8 (F, H, W, 3) on the way in, floats (1, 3, F, H, W) on the way out and normalised latents
(1, C, T, Y, X) inside. H and W are multiples of 16 and F is 4k+1.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from airshower.models.chunk_model import ChunkModel
from airshower.models.chunks import SPATIAL_FACTOR, latent_frames
from airshower.models.control_weights import control_weight_maps, guided_latent_map, masks_matter
from airshower.models.dit.transformer import Context, ControlInput
from airshower.models.sampling import ChunkConditions, GuidedRegion

IMAGE_TOKENS = 256  # patches of a style image


@dataclass(frozen=True, kw_only=True)
class GuidedInput:
    """A region that stays close to the input."""

    frames: np.ndarray  # of the input
    mask: np.ndarray  # white in the region
    last_step: int
    as_published: bool


@dataclass(frozen=True, kw_only=True)
class ChunkInputs:
    """What a chunk is made from. `given` are the frames it starts with (none for the first chunk)."""

    controls: Mapping[str, np.ndarray]
    weights: Mapping[str, float]  # one per control
    masks: Mapping[str, np.ndarray]  # white where the control applies
    given: np.ndarray
    text_MC: np.ndarray  # projected
    negative_text_MC: np.ndarray
    image_IC: np.ndarray | None = None  # encoder states of a style image, for networks with a branch for it
    guided: GuidedInput | None = None


class TransferModel(ChunkModel):
    """Chunks of one camera."""

    def encode(self, inputs: ChunkInputs) -> ChunkConditions:
        """Everything in latent space."""
        frames, height, width, _ = next(iter(inputs.controls.values())).shape
        shape = (
            1,
            self.net.config.latent_channels,
            latent_frames(frames),
            height // SPATIAL_FACTOR,
            width // SPATIAL_FACTOR,
        )
        given = torch.zeros(shape, device=self.device)
        mask = torch.zeros((1, 1, *shape[2:]), device=self.device)
        if len(inputs.given):
            count = latent_frames(len(inputs.given))
            given[:, :, :count] = self._first_latents(inputs.given)
            mask[:, :, :count] = 1
        return ChunkConditions(
            context=Context(text_BMC=self._text(inputs.text_MC), image_BID=self._image(inputs.image_IC)),
            negative_context=Context(text_BMC=self._text(inputs.negative_text_MC), image_BID=self._image(None)),
            given_BCTYX=given,
            given_mask_B1TYX=mask,
            controls=self._controls(inputs, shape),
        )

    def guided_region(self, guided: GuidedInput) -> GuidedRegion:
        """The region of guided generation in latent space."""
        latents = self._latents(guided.frames)
        mask_FHW = torch.from_numpy(guided.mask[..., 0] > 127).float()
        return GuidedRegion(
            latents_BCTYX=latents,
            mask_BCTYX=guided_latent_map(mask_FHW, *latents.shape[2:]).to(self.device),
            last_step=guided.last_step,
            as_published=guided.as_published,
        )

    def decode(self, latents_BCTYX: Tensor) -> Tensor:
        """The chunk's video (1, 3, F, H, W) in [-1, 1]."""
        return self.autoencoder.decode(latents_BCTYX)

    def _image(self, states_IC: np.ndarray | None) -> Tensor | None:
        """Projected style image; without one, a network with a branch for it was trained on zeros, not on nothing."""
        image = self.net.config.image
        if image is None:
            if states_IC is not None:
                raise ValueError("image_context_path: the network of several controls has no branch for a style image")
            return None
        states = np.zeros((IMAGE_TOKENS, image.channels), np.float32) if states_IC is None else states_IC
        return self.net.project_image(torch.tensor(states, device=self.device, dtype=self.net.dtype)[None])

    def _controls(self, inputs: ChunkInputs, shape: tuple[int, ...]) -> dict[str, ControlInput]:
        """Latents and weights per control.

        A black control is zero in latent space, not what the autoencoder makes of black; a network of several controls
        leaves such a branch out (reference).
        """
        weights: Mapping[str, float | Tensor] = inputs.weights
        masks = {key: torch.from_numpy(mask[..., 0] > 127).float() for key, mask in inputs.masks.items()}
        if masks_matter(masks):
            patch = self.net.config.patch
            maps = control_weight_maps(masks, inputs.weights, shape[2], shape[3] // patch, shape[4] // patch)
            weights = {key: weight_map.to(self.device) for key, weight_map in maps.items()}
        black = torch.zeros(shape, device=self.device)
        return {
            key: ControlInput(self._latents(frames) if frames.any() else black, weights[key])
            for key, frames in inputs.controls.items()
            if frames.any() or len(self.net.branches) == 1
        }
