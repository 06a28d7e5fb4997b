"""A Qwen2.5-VL of any size with random weights, saved as the whole model that Reason1 is released as."""

from collections.abc import Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLTextConfig,
)

SPECIAL = ("<pad>", "<unk>", "<start>", "<end>")
_CHAT = "{% for m in messages %}<start> {{ m['role'] }} {{ m['content'] }} <end> {% endfor %}"


def reason1_language_config() -> Qwen2_5_VLTextConfig:
    """The shape of the published language model, which is Qwen2.5-VL-7B's."""
    return Qwen2_5_VLTextConfig(
        vocab_size=152_064,
        hidden_size=3584,
        intermediate_size=18_944,
        num_hidden_layers=28,
        num_attention_heads=28,
        num_key_value_heads=4,
        rope_parameters={"rope_type": "default", "mrope_section": [16, 24, 24], "rope_theta": 1_000_000.0},
    )


def save_random_reason1(
    folder: Path,
    *,
    words: Sequence[str],
    width: int,
    layers: int,
    heads: int,
    key_value_heads: int,
    mrope_section: Sequence[int],
    dtype: torch.dtype,
) -> None:
    """Tokenizer and weights, language and vision half. Feed-forward layers are narrow, other words are unknown."""
    vocabulary = {word: number for number, word in enumerate((*SPECIAL, *words))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>")
    fast.chat_template = _CHAT
    fast.save_pretrained(folder)
    language = {
        "vocab_size": len(vocabulary),
        "hidden_size": width,
        "intermediate_size": 64,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": key_value_heads,
        "bos_token_id": vocabulary["<start>"],
        "eos_token_id": vocabulary["<end>"],
        "rope_parameters": {"rope_type": "default", "mrope_section": list(mrope_section), "rope_theta": 1_000_000.0},
    }
    vision = {"depth": 1, "hidden_size": 16, "intermediate_size": 32, "num_heads": 2, "out_hidden_size": width}
    torch.manual_seed(0)
    config = Qwen2_5_VLConfig(text_config=language, vision_config=vision)
    Qwen2_5_VLForConditionalGeneration(config).to(dtype).save_pretrained(folder)
