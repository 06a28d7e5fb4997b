"""Batches of a transfer network: one camera, any of its controls."""

import torch
from torch import Tensor

from airshower.configs.network import DitConfig
from airshower.configs.training import TransferExperiment
from airshower.models.dit.transformer import ControlInput
from airshower.models.training.clips import VIDEO, ClipSet
from airshower.models.training.flow import FlowBatch, flow_loss
from airshower.models.training.latent_task import LatentTask

# How many controls a batch is trained with, 0 to 4: chances. One alone and all together are what people ask for most.
CONTROL_COUNTS = (0.08, 0.5, 0.14, 0.08, 0.2)
NARROW_SHARE = 0.2  # of the batches, cut to a narrower picture so that other aspect ratios work
CUT_SHARE = 0.3  # of the batches, cut to fewer latent frames so that clips of every length work


class TransferTask(LatentTask):
    """`forward(generator, batch, progress)` is the loss of a batch drawn with the generator, at any progress."""

    def __init__(self, experiment: TransferExperiment, config: DitConfig, clips: ClipSet, words: list[str]) -> None:
        super().__init__(experiment, config, clips, words)
        self.experiment = experiment

    def forward(self, generator: torch.Generator, batch: int, progress: float) -> Tensor:
        latents = self.clips.tensors[VIDEO]
        device = latents.device
        frames, short = latents.shape[2], self.experiment.short_latent_frames
        if torch.rand((), generator=generator) < self.experiment.short_share and short < frames:
            batch, frames = batch * (frames // short), short
        index = torch.randint(len(self.clips), (batch,), generator=generator)
        window = self._window(frames, latents.shape[3], latents.shape[4], generator)
        on_device = torch.Generator(device).manual_seed(int(torch.randint(2**31, (), generator=generator)))
        given = torch.multinomial(torch.tensor(self.experiment.conditional_frames), batch, True, generator=generator)
        batch_inputs = FlowBatch(
            latents_BCTYX=latents[index][window].float(),
            text_BMC=self.draw_text(index.to(device), generator),
            controls=self._controls(index, window, generator),
            given_latent_frames_B=given.to(device),
        )
        return flow_loss(self.net, batch_inputs, self.experiment.shift, on_device)

    def _window(self, frames: int, rows: int, columns: int, generator: torch.Generator) -> tuple[slice, ...]:
        """A cut of the batch's latents in time and width, from the start: the first latent frame is one of its kind."""
        patch = self.net.config.patch
        chance = torch.rand(2, generator=generator)
        if chance[0] < CUT_SHARE:
            frames = int(torch.randint(2, frames + 1, (), generator=generator))
        if chance[1] < NARROW_SHARE:
            columns = patch * int(torch.randint(rows // patch, columns // patch + 1, (), generator=generator))
        return (slice(None), slice(None), slice(frames), slice(None), slice(columns))

    def _controls(
        self, index_B: Tensor, window: tuple[slice, ...], generator: torch.Generator
    ) -> dict[str, ControlInput]:
        """The batch's controls, each with a weight per clip. The other branches are not computed, which saves time."""
        count = int(torch.multinomial(torch.tensor(CONTROL_COUNTS), 1, generator=generator))
        chosen = torch.randperm(len(self.branches), generator=generator)[:count].tolist()
        controls = {}
        for name in (self.branches[number] for number in chosen):
            latents = self.clips.tensors[name][index_B][window].float()
            controls[name] = ControlInput(latents, self.draw_strengths(len(index_B), generator).to(latents))
        return controls
