"""A SigLIP2 vision half of toy size with random weights."""

from pathlib import Path

import torch
from transformers import Siglip2ImageProcessorPil, Siglip2VisionConfig, Siglip2VisionModel


def save_small_siglip(folder: Path, *, width: int) -> None:
    """Processor and weights; `width` of its states."""
    torch.manual_seed(0)
    sizes = {"hidden_size": width, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    Siglip2VisionModel(Siglip2VisionConfig(**sizes, patch_size=16, num_patches=256)).save_pretrained(folder)
    Siglip2ImageProcessorPil(patch_size=16).save_pretrained(folder)
