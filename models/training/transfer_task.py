"""What it takes to train a transfer network with its text encoder: the networks, their batches and their export."""

from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import T5EncoderModel

from airshower.configs.network import DitConfig
from airshower.configs.training import TransferExperiment
from airshower.models.dit.block import Block, ControlBlock
from airshower.models.dit.layers import Attention, Mlp
from airshower.models.dit.transformer import ControlInput, Transformer
from airshower.models.text import WordEncoder, split_words, tiny_t5_config, word_tokenizer
from airshower.models.training.clips import VIDEO, ClipSet
from airshower.models.training.flow import FlowBatch, flow_loss
from airshower.models.training.initialisation import initialise
from airshower.models.weights import save_transformer

# How many controls a batch is trained with, 0 to 4: chances. One alone and all together are what people ask for most.
CONTROL_COUNTS = (0.08, 0.5, 0.14, 0.08, 0.2)
REDUCED_WEIGHT_SHARE = 0.15  # of the clips' controls, trained at a random weight below 1
NARROW_SHARE = 0.2  # of the batches, cut to a narrower picture so that other aspect ratios work
CUT_SHARE = 0.3  # of the batches, cut to fewer latent frames so that clips of every length work


class TransferTask(nn.Module):
    """`forward(generator, batch, progress)` is the loss of a batch drawn with the generator, at any progress."""

    tokens: Tensor  # (clips, captions, tokens)

    def __init__(self, experiment: TransferExperiment, config: DitConfig, clips: ClipSet, words: list[str]) -> None:
        super().__init__()
        if config.control is None:
            raise ValueError("a transfer network needs control branches in its config")
        self.experiment = experiment
        self.branches = config.control.branches
        self.clips = clips
        self.net = Transformer(config)
        initialise(self.net, torch.Generator().manual_seed(experiment.optimisation.seed))
        tokenizer = word_tokenizer(
            {*words, *(word for c in clips.captions for text in c for word in split_words(text))}
        )
        self.text = WordEncoder(tokenizer, T5EncoderModel(tiny_t5_config(len(tokenizer))))
        flat = [text for captions in clips.captions for text in captions]
        tokens = self.text.tokens(flat).view(len(clips), -1, self.text.tokens([""]).shape[1])
        self.register_buffer("tokens", tokens, persistent=False)

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
            text_BMC=self._text(index.to(device), generator),
            controls=self._controls(index, window, generator),
            given_latent_frames_B=given.to(device),
        )
        return flow_loss(self.net, batch_inputs, self.experiment.shift, on_device)

    def muon_weights(self) -> list[nn.Parameter]:
        """The matrices of attention and feed-forward layers and of the control branches' projections."""
        layers = [module for module in self.net.modules() if isinstance(module, Attention | Mlp | ControlBlock)]
        linears = [part for layer in layers for part in layer.children() if isinstance(part, nn.Linear)]
        return [linear.get_parameter("weight") for linear in linears]

    def _window(self, frames: int, rows: int, columns: int, generator: torch.Generator) -> tuple[slice, ...]:
        """A cut of the batch's latents in time and width, from the start: the first latent frame is one of its kind."""
        patch = self.net.config.patch
        chance = torch.rand(2, generator=generator)
        if chance[0] < CUT_SHARE:
            frames = int(torch.randint(2, frames + 1, (), generator=generator))
        if chance[1] < NARROW_SHARE:
            columns = patch * int(torch.randint(rows // patch, columns // patch + 1, (), generator=generator))
        return (slice(None), slice(None), slice(frames), slice(None), slice(columns))

    def _text(self, index_B: Tensor, generator: torch.Generator) -> Tensor:
        """Encoder states of a random wording of every clip; zeros where text is dropped."""
        wording = torch.randint(self.tokens.shape[1], index_B.shape, generator=generator).to(index_B.device)
        hidden = self.text(self.tokens[index_B, wording])
        kept = torch.rand(len(index_B), generator=generator) >= self.experiment.text_dropout
        return hidden * kept.to(hidden)[:, None, None]

    def _controls(
        self, index_B: Tensor, window: tuple[slice, ...], generator: torch.Generator
    ) -> dict[str, ControlInput]:
        """The batch's controls, each with a weight per clip. The other branches are not computed, which saves time."""
        count = int(torch.multinomial(torch.tensor(CONTROL_COUNTS), 1, generator=generator))
        chosen = torch.randperm(len(self.branches), generator=generator)[:count].tolist()
        controls = {}
        for name in (self.branches[number] for number in chosen):
            latents = self.clips.tensors[name][index_B][window].float()
            controls[name] = ControlInput(latents, self._strengths(len(index_B), generator).to(latents))
        return controls

    def _strengths(self, batch: int, generator: torch.Generator) -> Tensor:
        """Weights of one control, (B, 1, 1, 1, 1): mostly 1."""
        reduced = torch.rand(batch, generator=generator)
        is_reduced = torch.rand(batch, generator=generator) < REDUCED_WEIGHT_SHARE
        return torch.where(is_reduced, reduced, torch.ones(())).view(-1, 1, 1, 1, 1)

    def compile_network(self) -> None:
        """Lets the blocks run as compiled graphs: one graph serves all of them, so compiling takes seconds."""
        for module in self.net.modules():
            if isinstance(module, Block):
                module.compile(dynamic=True)

    def export(self, folder: Path) -> None:
        """Writes transformer and text encoder."""
        save_transformer(self.net, folder / "transformer")
        self.text.save(folder / "text_encoder")
