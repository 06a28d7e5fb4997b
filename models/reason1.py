"""Reason1, the text encoder of the 2.5 models: the language half of a Qwen2.5-VL, all of its layers at once.

A prompt is a short chat, cut or padded to 512 tokens. There is no attention mask: padding can't reach the tokens before
it, and the padded positions are part of what the networks attend to.
"""

from pathlib import Path

import torch
from torch import Tensor
from transformers import AutoTokenizer, PreTrainedTokenizerBase, Qwen2_5_VLModel, Qwen2_5_VLTextModel

TOKENS = 512
# The instruction that the published networks were trained under.
SYSTEM_PROMPT = "You are a helpful assistant who will provide prompts to an image generator."
_EPSILON = 1e-8


class Reason1Encoder:
    """Prompts to the normalised states of every layer, one layer after the other in each token."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, model: Qwen2_5_VLTextModel) -> None:
        self._tokenizer = tokenizer
        self._model = model.eval().requires_grad_(False)

    @classmethod
    def load(cls, folder: Path, device: torch.device, dtype: torch.dtype) -> "Reason1Encoder":
        """From a transformers folder of the whole model, whose vision half is dropped; raises OSError for another."""
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        whole = Qwen2_5_VLModel.from_pretrained(folder, dtype=dtype, local_files_only=True)
        return cls(tokenizer, whole.language_model.to(device))

    def tokens(self, prompt: str) -> Tensor:
        """Token ids (1, 512) of the chat around a prompt."""
        chat = [{"role": "system", "content": SYSTEM_PROMPT}, {"role": "user", "content": prompt}]
        text = self._tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=False)
        ids = self._tokenizer(text, add_special_tokens=False)["input_ids"][:TOKENS]
        return torch.tensor([ids + [self._tokenizer.pad_token_id] * (TOKENS - len(ids))])

    @torch.inference_mode()
    def states(self, prompt: str) -> Tensor:
        """States (512, layers * width) of one prompt, in the model's type; the embedding layer isn't among them."""
        ids = self.tokens(prompt).to(self._model.device)
        layers = self._model(input_ids=ids, output_hidden_states=True, use_cache=False).hidden_states[1:]
        return torch.cat([_normalised(layer[0]) for layer in layers], dim=-1)


def _normalised(states_MC: Tensor) -> Tensor:
    """Every token with mean 0 and (unbiased) deviation 1."""
    centred = states_MC - states_MC.mean(-1, keepdim=True)
    return centred / (states_MC.std(-1, keepdim=True) + _EPSILON)
