"""Reason1: prompts as Predict2.5 and Transfer2.5 read them, through the language model of Cosmos-Reason1-7B.

An embedding is every layer's hidden states side by side: 512 tokens of 28 layers of 3584 values, 98 MiB in bfloat16.
The network's first step is a linear layer that leaves 1024 of the 100352; done here (`encode` with a projection), it
leaves 2 MiB of float32 to send and to store, and no tensor of full width is ever made.

Reference: Cosmos-Transfer2.5, text embedder "reason1" with full concatenation. Deliberately not here: the vision tower
(prompts are text), an attention mask (the published code passes none: padding is real context), and batches (a prompt
is always 512 tokens, and its numbers should not depend on its neighbours).

Shapes: M tokens, D hidden width, L layers, C what the network attends to.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AutoTokenizer, PreTrainedTokenizerBase, Qwen2_5_VLConfig, Qwen2_5_VLTextModel

from airshower.models.host_weights import Mover
from airshower.models.pretrained import check_kind, load_part, load_tokenizer
from airshower.models.streamed_layers import stream_from_host
from airshower.models.weights import WeightsError

TOKENS = 512  # the length that the networks were trained with
SYSTEM = "You are a helpful assistant who will provide prompts to an image generator."  # published with the networks
EPS = 1e-8  # the published normalisation's

# The language model's weights as published, and as transformers 5 names them from within the whole model.
_RENAMED = {r"^model\.language_model\.": "", r"^model\.": ""}


class Reason1:
    """A tokenizer with a chat template, and the language model of a Qwen2.5-VL."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, model: Qwen2_5_VLTextModel) -> None:
        self.tokenizer = tokenizer
        self.model = model

    @classmethod
    def load(cls, folder: Path, device: torch.device, dtype: torch.dtype) -> "Reason1":
        """From a folder of transformers with a whole Qwen2.5-VL (only its language model is read).

        The published precision is bfloat16. Raises WeightsError for a folder that lacks any of it, the tokenizer
        and its chat template included.
        """
        check_kind(folder, "qwen2_5_vl")
        tokenizer = load_tokenizer(AutoTokenizer, folder, ("tokenizer.json", "vocab.json"))
        for setting in ("chat_template", "pad_token_id"):
            if getattr(tokenizer, setting) is None:
                raise WeightsError(f"{folder}: the tokenizer has no {setting}: take the files published with the model")
        # the whole model's class: it finds the language model's values under text_config or, as published, on top
        config = Qwen2_5_VLConfig.from_pretrained(folder, local_files_only=True).text_config
        return cls(tokenizer, load_part(Qwen2_5_VLTextModel, folder, device, dtype, config, _RENAMED))

    def tokens(self, prompt: str) -> Tensor:
        """Token ids (512,) of the prompt in its chat template; longer ones are cut, shorter ones padded at the end."""
        # contents as plain strings: every template puts them out as they are, lists of parts only some do
        messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": prompt}]
        encoded = self.tokenizer.apply_chat_template(
            messages, tokenize=True, add_generation_prompt=False, return_dict=True
        )
        ids = encoded["input_ids"][:TOKENS]
        return torch.tensor(ids + [self.tokenizer.pad_token_id] * (TOKENS - len(ids)))

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.model.norm.weight.device

    def offload(self, mover: Mover) -> None:
        """All weights wait in host memory from now on and visit the mover's device layer by layer.

        The table of tokens never does: a prompt needs 512 rows of it.
        """
        table, self.model.embed_tokens = self.model.embed_tokens, nn.Identity()
        stream_from_host(self.model, self.model.layers, mover)
        self.model.embed_tokens = HostEmbedding(table, mover.device)

    @torch.no_grad()  # not inference_mode: a trainer may use the results
    def states(self, tokens_M: Tensor) -> Iterator[Tensor]:
        """Normalised hidden states of each layer in turn, (M, D) float32; the last layer's after the final norm."""
        output = self.model(input_ids=tokens_M[None].to(self.device), output_hidden_states=True, use_cache=False)
        for hidden_BMD in output.hidden_states[1:]:  # the first are the token embeddings
            yield normalised(hidden_BMD[0])

    def hidden(self, tokens_M: Tensor) -> Tensor:
        """All layers side by side, (M, L*D), in the model's precision."""
        width = self.model.config.hidden_size
        shape = (len(tokens_M), self.model.config.num_hidden_layers * width)
        hidden = torch.empty(shape, dtype=self.model.dtype, device=self.device)
        for layer, state_MD in enumerate(self.states(tokens_M)):
            hidden[:, layer * width : (layer + 1) * width] = state_MD
        return hidden

    def encode(self, prompt: str, projection: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """The embedding of one prompt, on the model's device.

        Without `projection` (512, L*D) in the model's precision; with the network's `crossattn_proj.0` weight and bias
        what the network's blocks attend to, (512, C) float32.
        """
        tokens_M = self.tokens(prompt)
        if projection is None:
            return self.hidden(tokens_M)
        return project(self.states(tokens_M), *projection)


class HostEmbedding(nn.Module):
    """A table of tokens in host memory, read for a device."""

    def __init__(self, table: nn.Embedding, device: torch.device) -> None:
        super().__init__()
        self.table = table.cpu()
        self.device = device

    def forward(self, tokens_BM: Tensor) -> Tensor:
        return self.table(tokens_BM.cpu()).to(self.device)


def normalised(state_MD: Tensor) -> Tensor:
    """Each token's values shifted and scaled to mean 0 and standard deviation 1 (unbiased), float32."""
    state_MD = state_MD.float()  # fp32: the published code stays in bfloat16 here, which only adds rounding
    std_M1, mean_M1 = torch.std_mean(state_MD, dim=-1, keepdim=True)
    return (state_MD - mean_M1) / (std_M1 + EPS)


@torch.no_grad()
def project(states: Iterable[Tensor], weight: Tensor, bias: Tensor) -> Tensor:
    """GELU(Linear) of the states side by side, (M, C) float32, without putting them side by side.

    `states` are L tensors (M, D); `weight` (C, L*D) and `bias` (C,) are the network's `crossattn_proj.0`. Equal to the
    network's own layer in float32 up to the order of summation. Raises ValueError when the widths don't match.
    """
    sum_MC, begin = bias.float(), 0
    for state_MD in states:
        slice_CD = weight[:, begin : begin + state_MD.shape[-1]]
        if slice_CD.shape[-1] != state_MD.shape[-1]:
            raise ValueError(f"projection: {weight.shape[-1]} inputs are too few: it belongs to another text encoder")
        sum_MC = sum_MC + F.linear(state_MD, slice_CD.float())
        begin += state_MD.shape[-1]
    if begin != weight.shape[-1]:
        raise ValueError(
            f"projection: has {weight.shape[-1]} inputs, the text encoder gives {begin}: it belongs to another encoder"
        )
    return F.gelu(sum_MC)  # exact, not the tanh approximation
