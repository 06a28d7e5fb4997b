"""A multiview model: transformer and autoencoder, from HD maps or first frames of several cameras to their videos.

The frames of a clip stand one camera after the other along the frame axis (V cameras of F frames, T latent frames);
the autoencoder sees one camera at a time. Frames are uint8 (V, F, H, W, 3) on the way in and out, and normalised
latents (1, C, V*T, Y, X) inside. H and W are multiples of 16 and F is 4k+1.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from airshower.models.chunk_model import ChunkModel
from airshower.models.chunks import SPATIAL_FACTOR, latent_frames
from airshower.models.dit.transformer import Context, ControlInput
from airshower.models.dit.views import Cameras
from airshower.models.pixels import to_frames
from airshower.models.sampling import ChunkConditions


@dataclass(frozen=True, kw_only=True)
class ViewsInputs:
    """What one chunk of all cameras is made from."""

    cameras: tuple[int, ...]  # ids
    frames: int  # of each camera
    height: int
    width: int
    fps: float
    given: Sequence[np.ndarray]  # per camera, the frames that it starts with: (G, H, W, 3), none or more
    control_VFHW3: np.ndarray | None  # HD maps, for a network with control
    control_weight: float
    text_MC: np.ndarray  # projected, of all cameras
    negative_text_MC: np.ndarray


class MultiviewModel(ChunkModel):
    """Chunks of several cameras."""

    def encode(self, inputs: ViewsInputs) -> ChunkConditions:
        """Everything in latent space."""
        given_BCTYX, mask_B1TYX = self._given(inputs)
        cameras = Cameras(inputs.cameras)

        def context(states_MC: np.ndarray) -> Context:
            return Context(text_BMC=self._text(states_MC), cameras=cameras, fps=inputs.fps)

        return ChunkConditions(
            context=context(inputs.text_MC),
            negative_context=context(inputs.negative_text_MC),
            given_BCTYX=given_BCTYX,
            given_mask_B1TYX=mask_B1TYX,
            controls=self._controls(inputs, given_BCTYX),
        )

    def decode(self, latents_BCTYX: Tensor, cameras: int, *, cut: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """Frames (V, F, H, W, 3), and those that the next chunk goes on from: the same, or `cut` as published."""
        shown, passed_on = [], []
        for part in latents_BCTYX.chunk(cameras, dim=2):
            video = self.autoencoder.decode(part)
            shown.append(to_frames(video))
            passed_on.append(to_frames(video, rounded=False) if cut else shown[-1])
        return np.stack(shown), np.stack(passed_on)

    def _given(self, inputs: ViewsInputs) -> tuple[Tensor, Tensor]:
        """Latents of the frames that cameras start with, and where they are."""
        per_camera = latent_frames(inputs.frames)
        rows, columns = inputs.height // SPATIAL_FACTOR, inputs.width // SPATIAL_FACTOR
        frames = len(inputs.cameras) * per_camera
        given = torch.zeros((1, self.net.config.latent_channels, frames, rows, columns), device=self.device)
        mask = torch.zeros((1, 1, frames, rows, columns), device=self.device)
        for camera, pictures in enumerate(inputs.given):
            count = latent_frames(len(pictures))
            if count:
                here = slice(camera * per_camera, camera * per_camera + count)
                given[:, :, here] = self._first_latents(pictures)
                mask[:, :, here] = 1
        return given, mask

    def _controls(self, inputs: ViewsInputs, like_BCTYX: Tensor) -> dict[str, ControlInput]:
        control = self.net.config.control
        if (control is None) != (inputs.control_VFHW3 is None):
            raise ValueError("HD maps and a network with a branch for them go together: one of them is missing")
        if control is None or inputs.control_VFHW3 is None:
            return {}
        if not inputs.control_VFHW3.any():  # black everywhere is no map, and zero in latent space (reference)
            latents = torch.zeros_like(like_BCTYX)
        else:
            latents = torch.cat([self._latents(maps_FHW3) for maps_FHW3 in inputs.control_VFHW3], dim=2)
        return {control.branches[0]: ControlInput(latents, inputs.control_weight)}
