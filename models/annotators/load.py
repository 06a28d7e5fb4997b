"""An annotator's network from a transformers folder: the right kind and complete, or an error in one line.

transformers itself only warns when a folder holds another kind of network or lacks weights, and goes on with random
ones. Nothing is downloaded: a folder is what `save_pretrained` writes, or a copy of a published repository.
"""

import json
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel


def load_network(kind: type[PreTrainedModel], folder: Path, device: torch.device) -> Any:  # noqa: ANN401 - of `kind`
    """The network of class `kind` in a folder, float32, in evaluation mode and on `device`.

    Raises FileNotFoundError where the folder holds no network, ValueError where it holds another or an incomplete one.
    """
    _check_kind(kind, folder)
    # float32: annotators run once per clip, and a control's grey levels should not depend on the device
    network, report = kind.from_pretrained(folder, local_files_only=True, dtype=torch.float32, output_loading_info=True)
    if report["missing_keys"]:
        missing = sorted(report["missing_keys"])
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise ValueError(f"{folder}: {missing[0]}{more} missing from the weights of {kind.__name__}: copy it again")
    return network.to(device).eval()


def _check_kind(kind: type[PreTrainedModel], folder: Path) -> None:
    file = folder / "config.json"
    if not file.is_file():
        raise FileNotFoundError(f"{file} does not exist: give a transformers folder with weights of {kind.__name__}")
    try:
        found = json.loads(file.read_text(encoding="utf-8")).get("model_type")
    except (ValueError, AttributeError) as error:
        raise ValueError(f"{file}: not the JSON object that describes a network: copy the folder again") from error
    wanted = kind.config_class.model_type
    if found != wanted:
        raise ValueError(f"{folder}: holds a network of type {found!r}, {kind.__name__} needs {wanted!r}")
