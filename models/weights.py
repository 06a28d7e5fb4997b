"""Reading and writing network weights: exact or an error that names every difference.

A shipped network is a folder with `config.json` (its hyper-parameters) and `model.safetensors` (published names, prefix
`net.`).
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from airshower.configs.network import ControlConfig, DitConfig, ImageConfig, RopeConfig, ViewsConfig
from airshower.models.checkpoints.files import open_checkpoint
from airshower.models.differences import Shaped, differences
from airshower.models.dit.keys import published_key
from airshower.models.dit.transformer import Transformer
from airshower.models.sharded_weights import Gatherer, sharded_network
from airshower.models.text_projection import Projection, text_projection

PREFIX = "net."
SHIPPED = Path(__file__).parent / "shipped"


class WeightsError(ValueError):
    """Weights that don't fit the network, or can't be read."""


def load_transformer(folder: Path, device: torch.device, dtype: torch.dtype) -> Transformer:
    """The network of a folder, in inference mode."""
    config = read_config(folder / "config.json")
    with torch.device("meta"):
        net = Transformer(config)
    tensors = read_tensors(folder / "model.safetensors")
    assign(net, {key: tensor.to(device, dtype) for key, tensor in tensors.items()}, str(folder))
    return net.eval().requires_grad_(False)


def load_sharded_transformer(folder: Path, gatherer: Gatherer, dtype: torch.dtype) -> Transformer:
    """The network of a folder with this rank's part of its weights, in inference mode."""
    config = read_config(folder / "config.json")
    stored = open_checkpoint(folder / "model.safetensors")
    with torch.device("meta"):
        _check_fits(Transformer(config), stored, str(folder))
    return sharded_network(config, lambda key: stored[PREFIX + published_key(key, config)].read(), gatherer, dtype)


def assign(net: Transformer, tensors: Mapping[str, Tensor], source: str) -> None:
    """Gives the network its parameters, by published name; raises WeightsError listing every difference."""
    _check_fits(net, tensors, source)
    weights = {key: tensors[PREFIX + published_key(key, net.config)] for key in net.state_dict()}
    net.load_state_dict(weights, strict=True, assign=True)


def _check_fits(net: Transformer, tensors: Mapping[str, Shaped], source: str) -> None:
    wanted = {PREFIX + published_key(key, net.config): weight for key, weight in net.state_dict().items()}
    problems = differences(tensors, wanted)
    if problems:
        raise WeightsError(f"{source}: weights don't fit the network ({len(problems)} problems): {'; '.join(problems)}")


def save_transformer(net: Transformer, folder: Path, dtype: torch.dtype = torch.bfloat16) -> None:
    """Writes config and weights of a network."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(dataclasses.asdict(net.config), indent=2) + "\n")
    tensors = {
        PREFIX + published_key(key, net.config): tensor.detach().to("cpu", dtype).contiguous()
        for key, tensor in net.state_dict().items()
    }
    save_file(tensors, folder / "model.safetensors")


def read_config(path: Path) -> DitConfig:
    """A network's hyper-parameters; raises WeightsError for a file that doesn't describe one."""
    try:
        values: dict[str, Any] = json.loads(path.read_text())
        parts = {"rope": RopeConfig, "control": ControlConfig, "image": ImageConfig, "views": ViewsConfig}
        for name, part in parts.items():
            if values.get(name) is not None:
                values[name] = part(**{key: _untupled(value) for key, value in values[name].items()})
        return DitConfig(**values)
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise WeightsError(f"{path}: not a network's config.json: {error}") from error


def _untupled(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """What a dataclass held before it became JSON: lists were tuples, and the keys of objects camera ids."""
    if isinstance(value, dict):
        return {int(key): tuple(item) for key, item in value.items()}
    return tuple(value) if isinstance(value, list) else value


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a safetensors file; raises WeightsError when it can't be read."""
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{path}: can't be read as safetensors ({error}): fetch the file again") from error


def load_text_projection(folder: Path, device: torch.device, dtype: torch.dtype) -> Projection | None:
    """The weights of `Transformer.project_text` in the network of a folder."""
    stored = open_checkpoint(folder / "model.safetensors")
    return text_projection({name.removeprefix(PREFIX): tensor for name, tensor in stored.items()}, device, dtype)


def download_hint(name: str, folder: Path | None) -> str:
    """How a missing part of that name gets into a folder of parts; None: one that is behind a URL."""
    if folder is None:
        return f"put there what `airshower checkpoint download {name}` fetches"
    return f"`airshower checkpoint download {name} --to {folder / name}` fetches it"


def files_sha256(files: Mapping[str, Path]) -> str:
    """SHA-256 over files by name, in the order of names: over the names and the contents."""
    digest = hashlib.sha256()
    for name, path in sorted(files.items()):
        digest.update(name.encode())
        with path.open("rb") as file:
            while block := file.read(1 << 24):
                digest.update(block)
    return digest.hexdigest()
