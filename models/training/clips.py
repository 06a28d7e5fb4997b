"""Training clips on disk: shards of tensors with their captions, and their in-memory form.

A shard is `NAME.safetensors` with one tensor per video kind (the clip itself and its controls), first axis the clip,
and `NAME.json` with a list of wordings per clip. Shards are written whole: a shard without its JSON is not there yet.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

VIDEO = "video"


@dataclass(frozen=True)
class ClipSet:
    """Clips of one training set: a tensor per kind, (clips, ...), and several captions per clip."""

    tensors: Mapping[str, Tensor]
    captions: Sequence[Sequence[str]]

    def __len__(self) -> int:
        return len(self.captions)


def write_shard(folder: Path, name: str, tensors: Mapping[str, Tensor], captions: Sequence[Sequence[str]]) -> None:
    """Adds a shard to a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file({kind: tensor.contiguous() for kind, tensor in tensors.items()}, folder / f"{name}.safetensors")
    unfinished = folder / f"{name}.json.part"
    unfinished.write_text(json.dumps(captions))
    unfinished.rename(folder / f"{name}.json")


def shard_names(folder: Path) -> list[str]:
    """Names of the shards that are there, in order."""
    return sorted(path.stem for path in folder.glob("*.json"))


def has_shard(folder: Path, name: str) -> bool:
    """Whether a shard is there, whole."""
    return (folder / f"{name}.json").exists()


def read_captions(folder: Path, name: str) -> list[list[str]]:
    """The wordings of a shard's clips, without its tensors."""
    captions: list[list[str]] = json.loads((folder / f"{name}.json").read_text())
    return captions


def read_shard(folder: Path, name: str) -> ClipSet:
    """One shard, on the CPU."""
    return ClipSet(load_file(folder / f"{name}.safetensors"), read_captions(folder, name))


def read_clips(folder: Path, device: torch.device) -> ClipSet:
    """All shards of a folder on a device; raises ValueError when there are none."""
    shards = [read_shard(folder, name) for name in shard_names(folder)]
    if not shards:
        raise ValueError(f"{folder}: no training clips here: prepare them first")
    tensors = {kind: torch.cat([shard.tensors[kind] for shard in shards]).to(device) for kind in shards[0].tensors}
    return ClipSet(tensors, [wordings for shard in shards for wordings in shard.captions])
