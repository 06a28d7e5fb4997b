"""Opening checkpoint files of every published container as named tensors that are read only when asked for.

Containers: a safetensors file, a PyTorch file (flat, or nested under `model` or `state_dict`), a directory of PyTorch's
distributed checkpoint (DCP), a diffusers folder (`transformer/`, `controlnet/`, each whole or in shards). Nothing is
unpickled but tensors.
"""

import json
import math
import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

NESTED_UNDER = ("model", "state_dict", "module")  # where training scripts keep the weights inside a PyTorch file


class CheckpointError(ValueError):
    """A checkpoint that can't be read, or isn't what it is taken for; the message says which, and what to do."""


@dataclass(frozen=True)
class StoredTensor:
    """One tensor of a checkpoint; `read` brings it into memory, mapped from the file where the container allows."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    read: Callable[[], Tensor]

    @property
    def elements(self) -> int:
        return math.prod(self.shape)


Stored = Mapping[str, StoredTensor]


def open_checkpoint(path: Path) -> Stored:
    """The tensors of a checkpoint by the names they have in it; diffusers' names come out with their folder in front.

    Raises CheckpointError for what is missing, truncated or no checkpoint.
    """
    if not path.exists():
        raise CheckpointError(f"{path}: no such file or folder")
    if path.is_file():
        return _open_safetensors(path) if path.suffix == ".safetensors" else _open_pytorch(path)
    if (path / ".metadata").exists():
        from airshower.models.checkpoints.dcp_directory import open_dcp  # brings much that other containers don't need

        return open_dcp(path)
    parts = [part for part in ("transformer", "controlnet") if (path / part).is_dir()]
    if parts:
        return {f"{part}.{key}": tensor for part in parts for key, tensor in _open_diffusers(path / part).items()}
    raise CheckpointError(
        f"{path}: no checkpoint in this folder: expected .metadata (DCP) or transformer/ (diffusers); name a file"
        " inside it otherwise"
    )


def _open_safetensors(path: Path) -> Stored:
    try:
        file = safe_open(path, framework="pt")
        stored = {}
        for key in file.keys():  # noqa: SIM118 - not a mapping
            part = file.get_slice(key)
            dtype = _SAFETENSORS_TYPES[part.get_dtype()]
            stored[key] = StoredTensor(tuple(part.get_shape()), dtype, partial(file.get_tensor, key))
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path}: not a whole safetensors file ({error}): fetch it again") from error
    return stored


def _open_pytorch(path: Path) -> Stored:
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(f"{path}: not a whole PyTorch file of tensors ({reason}): fetch it again") from error
    while isinstance(loaded, Mapping) and not any(isinstance(value, Tensor) for value in loaded.values()):
        inner = next((name for name in NESTED_UNDER if name in loaded), None)
        if inner is None:
            break
        loaded = loaded[inner]
    tensors = _tensors_of(loaded)
    if not tensors:
        raise CheckpointError(f"{path}: no tensors in it, nor under {', '.join(NESTED_UNDER)}")
    return {key: StoredTensor(tuple(t.shape), t.dtype, partial(_itself, t)) for key, t in tensors.items()}


def _open_diffusers(folder: Path) -> Stored:
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise CheckpointError(f"{folder}: no .safetensors file in it")
    for index in folder.glob("*.safetensors.index.json"):
        named = set(json.loads(index.read_text())["weight_map"].values())
        absent = sorted(named - {file.name for file in files})
        if absent:
            raise CheckpointError(f"{folder}: {len(absent)} of {len(named)} shards are missing: {', '.join(absent)}")
    return {key: tensor for file in files for key, tensor in _open_safetensors(file).items()}


def _tensors_of(loaded: Any) -> dict[str, Tensor]:  # noqa: ANN401 - whatever the file holds
    if not isinstance(loaded, Mapping):
        return {}
    return {key: value for key, value in loaded.items() if isinstance(value, Tensor)}


def _itself(tensor: Tensor) -> Tensor:
    return tensor


_SAFETENSORS_TYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
