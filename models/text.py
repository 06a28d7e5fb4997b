"""The tiny models' text encoder: words through a small T5 encoder of transformers, trained along with the network.

The vocabulary is the sample world's captions; other words are read as unknown. Embeddings have a fixed number of
tokens; positions beyond the text are zero, and the empty prompt is all zeros, which is what text dropout trains.
"""

import re
from collections.abc import Iterable
from pathlib import Path

import torch
import torch.nn.functional as F
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast, T5Config, T5EncoderModel

from airshower.models.host_weights import Mover
from airshower.models.streamed_layers import stream_from_host
from airshower.models.text_projection import Projection

MAX_TOKENS = 64


def word_tokenizer(words: Iterable[str]) -> PreTrainedTokenizerFast:
    """Lower-cased words and punctuation marks; ids follow sorted order after padding and unknown."""
    vocabulary = ["[PAD]", "[UNK]", *sorted(set(words) | {",", ".", "-"})]
    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(vocabulary)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[a-z0-9']+|[^a-z0-9'\s]"), behavior="removed", invert=True)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]")


def split_words(text: str) -> list[str]:
    """The words of a text, as `word_tokenizer` sees them."""
    return re.findall(r"[a-z0-9']+", text.lower())


def tiny_t5_config(vocabulary_size: int) -> T5Config:
    """Two layers of width 64."""
    return T5Config(
        vocab_size=vocabulary_size,
        d_model=64,
        d_kv=16,
        d_ff=128,
        num_layers=2,
        num_heads=4,
        dropout_rate=0.0,
        feed_forward_proj="gated-gelu",
        pad_token_id=0,
        use_cache=False,
        tie_word_embeddings=False,
    )


class WordEncoder(nn.Module):
    """Prompts to hidden states (B, MAX_TOKENS, width)."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, model: T5EncoderModel) -> None:
        super().__init__()
        self.tokenizer = tokenizer
        self.model = model

    @classmethod
    def load(cls, folder: Path, device: torch.device) -> "WordEncoder":
        """From a transformers folder."""
        tokenizer = PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)
        model = T5EncoderModel.from_pretrained(folder, local_files_only=True, torch_dtype=torch.float32)
        return cls(tokenizer, model).to(device)

    def save(self, folder: Path) -> None:
        self.tokenizer.save_pretrained(folder)
        self.model.save_pretrained(folder)

    def tokens(self, prompts: list[str]) -> Tensor:
        """Token ids (B, MAX_TOKENS), 0 beyond the text; longer texts are cut."""
        encoded = self.tokenizer(
            prompts, padding="max_length", max_length=MAX_TOKENS, truncation=True, return_tensors="pt"
        )
        return encoded["input_ids"]

    def forward(self, tokens_BM: Tensor) -> Tensor:
        """Hidden states (B, M, width), float32, zero where there is no text."""
        mask = (tokens_BM != 0).to(torch.float32)
        attended = torch.cat((torch.ones_like(mask[:, :1]), mask[:, 1:]), dim=1)  # softmax needs one key
        hidden = self.model(input_ids=tokens_BM, attention_mask=attended).last_hidden_state.float()
        return hidden * mask[..., None]

    def offload(self, mover: Mover) -> None:
        """The layers' weights wait in host memory from now on and visit the mover's device one by one."""
        stream_from_host(self.model, self.model.encoder.block, mover)

    @torch.no_grad()
    def encode(self, prompt: str, projection: Projection | None) -> Tensor:
        """Hidden states (M, width) of one prompt, or what a network's projection makes of them."""
        states = self(self.tokens([prompt]).to(self.model.device))[0]
        return states if projection is None else F.gelu(F.linear(states, *projection))
