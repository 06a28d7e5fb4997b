"""A Qwen2.5-VL of toy size with random weights, saved as the whole model that Reason1 is released as.

Two layers of width 40: the 80 values that the small network of `tests.models.checkpoints.small` reads.
"""

from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

_CHAT = "{% for m in messages %}<start> {{ m['role'] }} {{ m['content'] }} <end> {% endfor %}"
_WORDS = ("<pad>", "<unk>", "<start>", "<end>", "system", "user", "rain", "snow", "image", "You", "are")


def save_small_reason1(folder: Path) -> None:
    """Tokenizer and weights, language and vision half."""
    vocabulary = {word: number for number, word in enumerate(_WORDS)}
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>", unk_token="<unk>")
    tokenizer.chat_template = _CHAT
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    language = {
        "vocab_size": len(_WORDS),
        "hidden_size": 40,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "bos_token_id": 2,
        "eos_token_id": 3,
        "rope_parameters": {"rope_type": "default", "mrope_section": [2, 4, 4], "rope_theta": 10_000.0},
    }
    vision = {"depth": 1, "hidden_size": 16, "intermediate_size": 32, "num_heads": 2, "out_hidden_size": 40}
    Qwen2_5_VLForConditionalGeneration(Qwen2_5_VLConfig(text_config=language, vision_config=vision)).save_pretrained(
        folder
    )
