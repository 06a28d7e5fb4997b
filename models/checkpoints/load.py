"""From checkpoint files to a network on a device: exact or an error that names every difference.

The network is built without memory; each weight is mapped from its file, converted and put on the device one by one, so
that no second copy of the weights is ever in memory.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from airshower.configs.network import DitConfig
from airshower.configs.spec import CONTROLS
from airshower.models.checkpoints.files import CheckpointError, StoredTensor, open_checkpoint
from airshower.models.checkpoints.identify import identify
from airshower.models.checkpoints.lora import has_adapters, merged
from airshower.models.checkpoints.names import published_names
from airshower.models.differences import differences
from airshower.models.dit.keys import published_key
from airshower.models.dit.transformer import Transformer
from airshower.models.sharded_weights import Gatherer, sharded_network

WEIGHT_TYPES = (torch.bfloat16, torch.float16, torch.float32, torch.float64)
IMAGE_BRANCH = ("img_context_proj.", ".q_img.", ".k_img.", ".v_img.", ".q_img_norm.", ".k_img_norm.")


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """Weights by published name, not yet read, and the network they are for."""

    source: str
    config: DitConfig
    weights: Mapping[str, StoredTensor]


def read_checkpoint(
    path: Path,
    *,
    control: str | None = None,
    ema: bool = False,
    lora: Path | None = None,
    lora_alpha: float | None = None,
) -> Checkpoint:
    """Opens one checkpoint, with a LoRA file's updates if there is one; `control` names a control network's branch.

    Raises CheckpointError.
    """
    source = str(path)
    weights: Mapping[str, StoredTensor] = published_names(open_checkpoint(path), source, ema=ema)
    if lora is not None:
        adapters = published_names(open_checkpoint(lora), str(lora), ema=ema)
        weights = merged(weights, adapters, str(lora), alpha=lora_alpha)
    elif has_adapters(weights):
        weights = merged(weights, weights, source, alpha=lora_alpha)
    _check_types(weights, source)
    shapes = {name: tensor.shape for name, tensor in weights.items()}
    config = identify(shapes, source, () if control is None else (control,))
    return Checkpoint(source=source, config=config, weights=weights)


def assemble_multi_control(files: Mapping[str, Path], *, ema: bool = False) -> Checkpoint:
    """The four-control network from one single-control file per control, which lose their branch for a style image.

    Base weights of the last control in the published order count, as in the published code.
    """
    missing = [control for control in CONTROLS if control not in files]
    if missing:
        raise CheckpointError(f"multi-control: no file for {', '.join(missing)}: name one per control")
    weights: dict[str, StoredTensor] = {}
    for number, control in enumerate(CONTROLS):
        single = published_names(open_checkpoint(files[control]), str(files[control]), ema=ema)
        for name, tensor in single.items():
            if any(part in name for part in IMAGE_BRANCH):
                continue
            name = name.replace("control_blocks.", f"control_blocks_{number}.", 1)
            weights[name.replace("control_embedder.", f"control_embedder.{number}.", 1)] = tensor
    source = " + ".join(str(files[control]) for control in CONTROLS)
    _check_types(weights, source)
    config = identify({name: tensor.shape for name, tensor in weights.items()}, source, CONTROLS)
    return Checkpoint(source=source, config=config, weights=weights)


def problems_of(checkpoint: Checkpoint) -> list[str]:
    """Every difference between a checkpoint's weights and those of its network, in words."""
    return differences(checkpoint.weights, _published_weights(_without_memory(checkpoint.config)))


def build(checkpoint: Checkpoint, device: torch.device, dtype: torch.dtype) -> Transformer:
    """The network with its weights on a device, in inference mode; raises CheckpointError listing every difference."""
    _check_fits(checkpoint)
    net = _without_memory(checkpoint.config)
    tensors = {
        key: checkpoint.weights[published_key(key, net.config)].read().to(device, dtype) for key in net.state_dict()
    }
    net.load_state_dict(tensors, strict=True, assign=True)
    return net.eval().requires_grad_(False)


def build_sharded(checkpoint: Checkpoint, gatherer: Gatherer, dtype: torch.dtype) -> Transformer:
    """The network with this rank's part of its weights; raises CheckpointError listing every difference."""
    _check_fits(checkpoint)

    def read(key: str) -> Tensor:
        return checkpoint.weights[published_key(key, checkpoint.config)].read()

    return sharded_network(checkpoint.config, read, gatherer, dtype)


def _check_fits(checkpoint: Checkpoint) -> None:
    problems = problems_of(checkpoint)
    if problems:
        raise CheckpointError(
            f"{checkpoint.source}: doesn't fit the network ({len(problems)} problems): {'; '.join(problems)}"
        )


def _without_memory(config: DitConfig) -> Transformer:
    with torch.device("meta"):
        return Transformer(config)


def _published_weights(net: Transformer) -> dict[str, Tensor]:
    return {published_key(key, net.config): weight for key, weight in net.state_dict().items()}


def verify_checksum(path: Path, sha256: str) -> None:
    """Raises CheckpointError unless the file has this SHA-256."""
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256.lower():
        raise CheckpointError(f"{path}: SHA-256 is {found}, expected {sha256}: fetch it again")


def _check_types(weights: Mapping[str, StoredTensor], source: str) -> None:
    wrong = [f"{name} ({tensor.dtype})" for name, tensor in weights.items() if tensor.dtype not in WEIGHT_TYPES]
    if wrong:
        raise CheckpointError(
            f"{source}: {len(wrong)} weights are of a type that isn't served (16- to 64-bit floats are):"
            f" {', '.join(wrong[:5])}"
        )
