"""Writes random weights of full size in the published form, for measuring speed and memory: `--model transfer2.5-2b`.

python tests/benchmarks/random_weights.py DIR [--controls edge vis depth seg]

The text encoder has the published depth and width, so that embeddings have their size, but narrow feed-forward layers
and few words: its own speed means nothing.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from diffusers import AutoencoderKLWan
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

from airshower.configs.networks_2b import transfer25_with_image
from airshower.configs.presets import PublishedWeights, transfer25_2b
from airshower.configs.spec import CONTROLS
from airshower.models.dit.keys import published_key
from airshower.models.dit.transformer import Transformer

SCALE = 0.02  # of normal weights: activations stay finite through all blocks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--controls", nargs="+", choices=CONTROLS, default=["edge"])
    options = parser.parse_args()
    write_random_weights(options.folder, options.controls)


def write_random_weights(folder: Path, controls: Sequence[str]) -> None:
    """One network per control, 5.5 GB each, an autoencoder and a text encoder; what is there stays."""
    weights = transfer25_2b().weights
    if not isinstance(weights, PublishedWeights):
        raise TypeError("the preset no longer names published files")
    folder.mkdir(parents=True, exist_ok=True)
    for number, control in enumerate(controls):
        path = folder / f"{weights.networks[control]}.pt"
        if not path.exists():
            torch.save(_network(control, seed=number), path)
    if not (folder / weights.autoencoder).exists():
        AutoencoderKLWan().to(torch.bfloat16).save_pretrained(folder / weights.autoencoder)
    if not (folder / weights.text_encoder).exists():
        _save_text_encoder(folder / weights.text_encoder)


def _network(control: str, seed: int) -> dict[str, torch.Tensor]:
    """Random weights by the names of a released file."""
    config = transfer25_with_image(control)
    with torch.device("meta"):
        shapes = {key: value.shape for key, value in Transformer(config).state_dict().items()}
    device = "cuda" if torch.cuda.is_available() else "cpu"
    random = torch.Generator(device).manual_seed(seed)
    return {
        f"net.{published_key(key, config)}": torch.empty(shape, dtype=torch.bfloat16, device=device)
        .normal_(0, SCALE, generator=random)
        .add_(len(shape) == 1 and key.endswith("norm.weight"))
        .cpu()
        for key, shape in shapes.items()
    }


def _save_text_encoder(folder: Path) -> None:
    words = {"<pad>": 0, "<unk>": 1}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>")
    fast.chat_template = "{% for m in messages %}{{ m['role'] }} {{ m['content'] }} {% endfor %}"
    fast.save_pretrained(folder)
    language = {
        "vocab_size": len(words),
        "hidden_size": 3584,
        "intermediate_size": 64,
        "num_hidden_layers": 28,
        "num_attention_heads": 28,
        "num_key_value_heads": 4,
        "bos_token_id": 0,
        "eos_token_id": 0,
        "rope_parameters": {"rope_type": "default", "mrope_section": [16, 24, 24], "rope_theta": 1_000_000.0},
    }
    vision = {"depth": 1, "hidden_size": 16, "intermediate_size": 32, "num_heads": 2, "out_hidden_size": 3584}
    config = Qwen2_5_VLConfig(text_config=language, vision_config=vision)
    Qwen2_5_VLForConditionalGeneration(config).to(torch.bfloat16).save_pretrained(folder)


if __name__ == "__main__":
    main()
