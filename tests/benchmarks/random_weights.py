"""Writes random weights of full size in the published form, for measuring speed and memory.

python tests/benchmarks/random_weights.py DIR [--model transfer2.5-2b] [--controls edge vis depth seg]

The text encoder has the published depth and width, so that embeddings have their size, but narrow feed-forward layers
and few words: its own speed means nothing.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from diffusers import AutoencoderKLWan

from airshower.configs.network import DitConfig
from airshower.configs.networks_2b import transfer25_multiview, transfer25_with_image
from airshower.configs.presets import PRESETS, PublishedWeights
from airshower.models.dit.keys import published_key
from airshower.models.dit.transformer import Transformer

sys.path.insert(0, str(Path(__file__).parent))  # a script, run from anywhere
from random_reason1 import save_random_reason1

NETWORKS: dict[str, Callable[[str], DitConfig]] = {
    "transfer2.5-2b": transfer25_with_image,
    "transfer2.5-2b-multiview": transfer25_multiview,
}
SCALE = 0.02  # of normal weights: activations stay finite through all blocks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", choices=NETWORKS, default="transfer2.5-2b")
    parser.add_argument("--controls", nargs="+", default=["edge"])
    options = parser.parse_args()
    write_random_weights(options.folder, options.model, options.controls)


def write_random_weights(folder: Path, model: str, controls: Sequence[str]) -> None:
    """One network per control, about 5 GB each, an autoencoder and a text encoder; what is there stays."""
    weights = PRESETS[model].weights
    if not isinstance(weights, PublishedWeights):
        raise TypeError(f"{model} has no published files")
    folder.mkdir(parents=True, exist_ok=True)
    for number, control in enumerate(controls):
        path = folder / f"{weights.networks[control]}.pt"
        if not path.exists():
            torch.save(_network(NETWORKS[model](control), seed=number), path)
    if not (folder / weights.autoencoder).exists():
        AutoencoderKLWan().to(torch.bfloat16).save_pretrained(folder / weights.autoencoder)
    if not (folder / weights.text_encoder).exists():
        save_random_reason1(
            folder / weights.text_encoder,
            words=(),
            width=3584,
            layers=28,
            heads=28,
            key_value_heads=4,
            mrope_section=(16, 24, 24),
            dtype=torch.bfloat16,
        )


def _network(config: DitConfig, seed: int) -> dict[str, torch.Tensor]:
    """Random weights by the names of a released file."""
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


if __name__ == "__main__":
    main()
