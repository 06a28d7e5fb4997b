"""What it takes to train an autoencoder: the network, its batches and its export."""

import copy
from pathlib import Path

import torch
from diffusers import AutoencoderKLWan
from torch import Tensor, nn

from airshower.configs.training import AutoencoderExperiment, Window
from airshower.models.training.clips import VIDEO, ClipSet
from airshower.models.training.reconstruction import reconstruction_loss

# Of a batch. Control videos only have to be told apart in latent space, but thin lines are easily lost there.
SHARES = {VIDEO: 0.6, "edge": 0.2, "vis": 0.05, "depth": 0.05, "seg": 0.1}
STATISTICS_CLIPS = 64
PATCH = 2  # pixels of a side that enter as channels: with two halvings, 8x in space


class AutoencoderTask(nn.Module):
    """`forward(generator, batch, progress)` is the loss of a batch drawn with the generator; progress is 0 to 1."""

    def __init__(self, experiment: AutoencoderExperiment, clips: ClipSet) -> None:
        super().__init__()
        self.experiment = experiment
        self.clips = clips
        self.model = AutoencoderKLWan(
            base_dim=experiment.base_dim,
            decoder_base_dim=experiment.decoder_base_dim,
            dim_mult=list(experiment.width_multiples),
            num_res_blocks=experiment.res_blocks,
            temperal_downsample=[True, True],  # sic: diffusers' name
            patch_size=PATCH,
            in_channels=3 * PATCH**2,
            out_channels=3 * PATCH**2,
        )

    def forward(self, generator: torch.Generator, batch: int, progress: float) -> Tensor:
        window = next(w for w in self.experiment.windows if progress < w.until)
        video = torch.stack([self._cut(window, generator) for _ in range(batch)])
        return reconstruction_loss(
            self.model,
            video.contiguous(memory_format=torch.channels_last_3d),
            gradient_weight=self.experiment.gradient_weight,
            kl_weight=self.experiment.kl_weight,
        )

    def muon_weights(self) -> list[nn.Parameter]:
        """The weights of all convolutions."""
        layers = [module for module in self.model.modules() if isinstance(module, nn.Conv2d | nn.Conv3d)]
        return [layer.get_parameter("weight") for layer in layers]

    def compile_network(self) -> None:
        """Raises ValueError: the autoencoder walks over time with a cache, which does not compile to one graph."""
        raise ValueError("--compile: autoencoders can't be compiled: leave it out")

    def _cut(self, window: Window, generator: torch.Generator) -> Tensor:
        """A random crop in space and time of a random clip or control video, (3, F, H, W) in [-1, 1]."""
        kind = int(torch.multinomial(torch.tensor(list(SHARES.values())), 1, generator=generator))
        clip = self.clips.tensors[list(SHARES)[kind]][_draw(len(self.clips), generator)]
        frames, height, width, _ = clip.shape
        lengths = (min(window.frames, frames), *(min(window.crop, n) for n in (height, width)))
        starts = [_draw(whole - part + 1, generator) for whole, part in zip(clip.shape, lengths, strict=False)]
        f, y, x = (slice(start, start + part) for start, part in zip(starts, lengths, strict=True))
        video = clip[f, y, x].permute(3, 0, 1, 2).float() / 127.5 - 1
        return video.flip(-1) if torch.rand((), generator=generator) < 0.5 else video

    @torch.inference_mode()
    def export(self, folder: Path) -> None:
        """Writes the autoencoder in diffusers' layout, with the mean and deviation of its latents."""
        step = max(1, len(self.clips) // STATISTICS_CLIPS)
        latents = [
            self.model.encode(clip[None].permute(0, 4, 1, 2, 3).float() / 127.5 - 1).latent_dist.mode()
            for clip in self.clips.tensors[VIDEO][::step]
        ]
        channels = torch.cat(latents).transpose(0, 1).flatten(1).float()
        self.model.register_to_config(
            latents_mean=channels.mean(1).tolist(),
            latents_std=channels.std(1).tolist(),
        )
        copy.deepcopy(self.model).to(torch.bfloat16).save_pretrained(folder / "autoencoder")


def _draw(count: int, generator: torch.Generator) -> int:
    return int(torch.randint(count, (), generator=generator))
