"""Batches of a multiview network: all cameras of a clip at once, steered by their HD maps.

Latents of a clip are (V, C, T, Y, X), V cameras in the order of their ids; in a batch their frames stand camera after
camera.
"""

import torch
from einops import rearrange
from torch import Tensor

from airshower.configs.network import DitConfig
from airshower.configs.training import MultiviewExperiment
from airshower.models.dit.transformer import ControlInput
from airshower.models.dit.views import Cameras
from airshower.models.training.clips import VIDEO, ClipSet
from airshower.models.training.flow import FlowBatch, flow_loss
from airshower.models.training.latent_task import LatentTask


class MultiviewTask(LatentTask):
    """`forward(generator, batch, progress)` is the loss of a batch drawn with the generator, at any progress."""

    def __init__(self, experiment: MultiviewExperiment, config: DitConfig, clips: ClipSet, words: list[str]) -> None:
        super().__init__(experiment, config, clips, words)
        self.experiment = experiment

    def forward(self, generator: torch.Generator, batch: int, progress: float) -> Tensor:
        latents = self.clips.tensors[VIDEO]
        cameras, frames = self._cameras(latents.shape[1], generator), self._frames(latents.shape[3], generator)
        batch = batch * latents.shape[1] * latents.shape[3] // (len(cameras) * frames)
        index = torch.randint(len(self.clips), (batch,), generator=generator)
        given = torch.multinomial(torch.tensor(self.experiment.conditional_frames), batch, True, generator=generator)
        on_device = torch.Generator(latents.device).manual_seed(int(torch.randint(2**31, (), generator=generator)))
        batch_inputs = FlowBatch(
            latents_BCTYX=self._cut(VIDEO, index, cameras, frames),
            text_BMC=self._text(index.to(latents.device), len(cameras), generator),
            controls={name: self._control(name, index, cameras, frames, generator) for name in self.branches},
            given_latent_frames_B=given.clamp_max(frames - 1).to(latents.device),
            cameras=cameras,
        )
        return flow_loss(self.net, batch_inputs, self.experiment.shift, on_device)

    def _cameras(self, count: int, generator: torch.Generator) -> Cameras:
        """All of them, or sometimes any fewer, in their order."""
        order, chance = torch.randperm(count, generator=generator), torch.rand((), generator=generator)
        kept = int(torch.randint(1, count, (), generator=generator))
        if chance >= self.experiment.fewer_cameras_share:
            kept = count
        return Cameras(tuple(sorted(order[:kept].tolist())))

    def _frames(self, count: int, generator: torch.Generator) -> int:
        """Latent frames of every camera: all, or often fewer, from the start: the first one is of its own kind."""
        chance, fewer = torch.rand((), generator=generator), torch.randint(2, max(count, 3), (), generator=generator)
        return min(int(fewer), count) if chance < self.experiment.short_share else count

    def _cut(self, kind: str, index_B: Tensor, cameras: Cameras, frames: int) -> Tensor:
        """(B, C, V*T, Y, X), float32."""
        latents_BVCTYX = self.clips.tensors[kind][index_B[:, None], torch.tensor(cameras.ids)][:, :, :, :frames]
        return rearrange(latents_BVCTYX, "b v c t y x -> b c (v t) y x").float()

    def _control(
        self, kind: str, index_B: Tensor, cameras: Cameras, frames: int, generator: torch.Generator
    ) -> ControlInput:
        latents = self._cut(kind, index_B, cameras, frames)
        return ControlInput(latents, self.draw_strengths(len(index_B), generator).to(latents))

    def _text(self, index_B: Tensor, cameras: int, generator: torch.Generator) -> Tensor:
        """(B, V*M, C): the caption stands with the first camera, the others have the empty prompt."""
        caption_BMC = self.draw_text(index_B, generator)
        empty_BMC = torch.zeros_like(caption_BMC).repeat(1, cameras - 1, 1)
        return torch.cat((caption_BMC, empty_BMC), dim=1)
