"""T5: prompts as Predict2 reads them, through the encoder of google-t5/t5-11b (512 tokens of 1024 values).

Padding is masked and its hidden states are zero. The tiny models' T5 is `airshower.models.text`: other tokens, another
length. Reference: Cosmos-Predict2, CosmosT5TextEncoder.
"""

from pathlib import Path

import torch
from torch import Tensor
from transformers import T5EncoderModel, T5TokenizerFast

from airshower.models.host_weights import Mover
from airshower.models.pretrained import check_kind, load_part, load_tokenizer
from airshower.models.streamed_layers import stream_from_host
from airshower.models.text_projection import Projection

TOKENS = 512  # the length that the networks were trained with


class T5:
    """A T5 tokenizer and encoder. Shapes: M tokens, D hidden width."""

    def __init__(self, tokenizer: T5TokenizerFast, model: T5EncoderModel) -> None:
        self.tokenizer = tokenizer
        self.model = model

    @classmethod
    def load(cls, folder: Path, device: torch.device, dtype: torch.dtype) -> "T5":
        """From a folder of transformers, whole T5 (its decoder is not read) or encoder alone.

        `dtype`: bfloat16 or float32, since T5 was trained in bfloat16 and its values may leave float16's range. Raises
        WeightsError for a folder that lacks weights or tokenizer.
        """
        check_kind(folder, "t5")
        tokenizer = load_tokenizer(T5TokenizerFast, folder, ("tokenizer.json", "spiece.model"))
        return cls(tokenizer, load_part(T5EncoderModel, folder, device, dtype))

    def tokens(self, prompt: str) -> tuple[Tensor, Tensor]:
        """Token ids (512,) and their mask (512,), 1 where there is text; longer prompts are cut.

        The end token counts as text, so that the empty prompt has one token.
        """
        encoded = self.tokenizer(
            prompt, padding="max_length", max_length=TOKENS, truncation=True, padding_side="right", return_tensors="pt"
        )
        return encoded["input_ids"][0], encoded["attention_mask"][0]

    def offload(self, mover: Mover) -> None:
        """The layers' weights wait in host memory from now on and visit the mover's device one by one."""
        stream_from_host(self.model, self.model.encoder.block, mover)

    @torch.no_grad()  # not inference_mode: a trainer may use the results
    def hidden(self, tokens_M: Tensor, mask_M: Tensor) -> Tensor:
        """Hidden states (M, D) in the model's precision, zero beyond the text."""
        device = self.model.device
        mask_M = mask_M.to(device)
        hidden_BMD = self.model(input_ids=tokens_M[None].to(device), attention_mask=mask_M[None]).last_hidden_state
        return hidden_BMD[0].masked_fill(mask_M[:, None] == 0, 0.0)  # not a product: 0 * nan would stay

    def encode(self, prompt: str, projection: Projection | None = None) -> Tensor:
        """The embedding (512, D) of one prompt, on the model's device; networks that read T5 have no projection."""
        if projection is not None:
            raise ValueError("T5's states are attended to as they are: this network projects them, so it reads others")
        return self.hidden(*self.tokens(prompt))
