"""What every task on latents shares: a transformer with its text encoder, how they start, train and are exported."""

from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import T5EncoderModel

from airshower.configs.network import DitConfig
from airshower.configs.training import LatentExperiment
from airshower.models.dit.block import Block, ControlBlock
from airshower.models.dit.layers import Attention, Mlp
from airshower.models.dit.transformer import Transformer
from airshower.models.text import WordEncoder, split_words, tiny_t5_config, word_tokenizer
from airshower.models.training.clips import ClipSet
from airshower.models.training.initialisation import initialise
from airshower.models.weights import save_transformer

REDUCED_WEIGHT_SHARE = 0.15  # of the clips' controls, trained at a random weight below 1


class LatentTask(nn.Module):
    """The networks. Tasks add `forward(generator, batch, progress)`, the loss of a batch drawn with the generator."""

    tokens: Tensor  # (clips, captions, tokens)

    def __init__(self, experiment: LatentExperiment, config: DitConfig, clips: ClipSet, words: list[str]) -> None:
        super().__init__()
        if config.control is None:
            raise ValueError("a transfer network needs control branches in its config")
        self.text_dropout = experiment.text_dropout
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

    def muon_weights(self) -> list[nn.Parameter]:
        """The matrices of attention and feed-forward layers and of the control branches' projections."""
        layers = [module for module in self.net.modules() if isinstance(module, Attention | Mlp | ControlBlock)]
        linears = [part for layer in layers for part in layer.children() if isinstance(part, nn.Linear)]
        return [linear.get_parameter("weight") for linear in linears]

    def draw_text(self, index_B: Tensor, generator: torch.Generator) -> Tensor:
        """Encoder states (B, M, C) of a random wording of every clip; zeros where text is dropped."""
        wording = torch.randint(self.tokens.shape[1], index_B.shape, generator=generator).to(index_B.device)
        hidden = self.text(self.tokens[index_B, wording])
        kept = torch.rand(len(index_B), generator=generator) >= self.text_dropout
        return hidden * kept.to(hidden)[:, None, None]

    def draw_strengths(self, batch: int, generator: torch.Generator) -> Tensor:
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
