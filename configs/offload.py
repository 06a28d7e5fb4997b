"""Parts of a model whose weights can wait in host memory while the GPU does something else."""

from collections.abc import Iterable
from typing import Literal

from airshower.configs.presets import ModelPreset

Offload = Literal["text", "autoencoder", "dit"]
OFFLOADS: tuple[Offload, ...] = ("text", "autoencoder", "dit")


def parse_offload(words: Iterable[str]) -> tuple[Offload, ...]:
    """Parts as they are written, separated by commas or not, each once; raises ValueError for an unknown one."""
    named = [part.strip() for word in words for part in word.split(",")]
    for part in named:
        if part not in OFFLOADS:
            raise ValueError(f"offload {part!r} is unknown: use {', '.join(OFFLOADS)}, one or more")
    return tuple(part for part in OFFLOADS if part in named)


def check_offload(offload: Iterable[Offload], device: str, preset: ModelPreset) -> None:
    """Raises ValueError where a part isn't on a GPU in the first place."""
    for part in offload:
        if device == "cpu":
            raise ValueError(f"offload {part}: the model runs on a CPU, where weights are in host memory: remove it")
        if part == "text" and not preset.text_on_gpu:
            raise ValueError(f"offload text: the text encoder of {preset.name} runs on a CPU anyway: remove it")
