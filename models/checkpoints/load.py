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
from airshower.configs.networks_2b import CONTROLS
from airshower.models.checkpoints.files import CheckpointError, StoredTensor, open_checkpoint
from airshower.models.checkpoints.identify import identify
from airshower.models.checkpoints.lora import has_adapters, merged
from airshower.models.checkpoints.names import published_names
from airshower.models.dit.keys import published_key
from airshower.models.dit.transformer import Transformer

WEIGHT_TYPES = (torch.bfloat16, torch.float16, torch.float32, torch.float64)
IMAGE_BRANCH = ("img_context_proj.", ".q_img.", ".k_img.", ".v_img.", ".q_img_norm.", ".k_img_norm.")
_CHUNK_BYTES = 1 << 24


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
    with torch.device("meta"):
        net = Transformer(checkpoint.config)
    return differences(checkpoint.weights, {name: shape for name, (_, shape) in _wanted(net).items()})


def _wanted(net: Transformer) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Our name and the shape of every weight, by published name."""
    return {published_key(key, net.config): (key, tuple(value.shape)) for key, value in net.state_dict().items()}


def build(checkpoint: Checkpoint, device: torch.device, dtype: torch.dtype) -> Transformer:
    """The network with its weights on a device, in inference mode; raises CheckpointError listing every difference."""
    with torch.device("meta"):
        net = Transformer(checkpoint.config)
    wanted = _wanted(net)
    problems = differences(checkpoint.weights, {name: shape for name, (_, shape) in wanted.items()})
    if problems:
        raise CheckpointError(
            f"{checkpoint.source}: doesn't fit the network ({len(problems)} problems): {'; '.join(problems)}"
        )
    tensors: dict[str, Tensor] = {}
    for name, (key, _) in wanted.items():
        tensors[key] = checkpoint.weights[name].read().to(device, dtype)
    net.load_state_dict(tensors, strict=True, assign=True)
    return net.eval().requires_grad_(False)


def differences(weights: Mapping[str, StoredTensor], wanted: Mapping[str, tuple[int, ...]]) -> list[str]:
    """Every missing, unexpected and mis-shaped weight, in words."""
    problems = [f"{name} is missing" for name in wanted if name not in weights]
    problems += [f"{name} is unexpected" for name in weights if name not in wanted]
    problems += [
        f"{name} is {weights[name].shape}, expected {shape}"
        for name, shape in wanted.items()
        if name in weights and weights[name].shape != shape
    ]
    return problems


def verify_checksum(path: Path, sha256: str) -> None:
    """Raises CheckpointError unless the file has this SHA-256."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_CHUNK_BYTES):
            digest.update(block)
    if digest.hexdigest() != sha256.lower():
        raise CheckpointError(f"{path}: SHA-256 is {digest.hexdigest()}, expected {sha256}: fetch it again")


def _check_types(weights: Mapping[str, StoredTensor], source: str) -> None:
    wrong = [f"{name} ({tensor.dtype})" for name, tensor in weights.items() if tensor.dtype not in WEIGHT_TYPES]
    if wrong:
        raise CheckpointError(
            f"{source}: {len(wrong)} weights are of a type that isn't served (16- to 64-bit floats are):"
            f" {', '.join(wrong[:5])}"
        )
