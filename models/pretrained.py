"""Reading one part of a published transformers model: whole, from a local folder, or not at all.

transformers fills weights that a folder lacks with random numbers, and a vocabulary that it lacks with a few special
tokens; here both are errors. Weights that the part has no use for (a decoder, a vision tower) are skipped without being
read; transformers' log lists them. Nothing is downloaded.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from airshower.models.weights import WeightsError

Part = TypeVar("Part", bound=PreTrainedModel)

_SHOWN = 5  # missing weights that an error names


def load_part(
    part: type[Part],
    folder: Path,
    device: torch.device,
    dtype: torch.dtype,
    config: PreTrainedConfig | None = None,
    renamed: Mapping[str, str] | None = None,
) -> Part:
    """The model of class `part` in a folder, in inference mode; raises WeightsError if the folder doesn't hold it all.

    Check the kind of model first (`check_kind`). `config` replaces the folder's own, for a part whose config is nested
    in the whole's. `renamed` maps patterns of stored names to the part's names.
    """
    try:
        model, report = part.from_pretrained(
            folder,
            config=config,
            dtype=dtype,
            key_mapping=dict(renamed) if renamed is not None else None,
            local_files_only=True,
            output_loading_info=True,
        )
    except (OSError, RuntimeError, ValueError) as error:  # no weight file, another model's shapes, another's config
        raise WeightsError(f"{folder}: no {part.__name__} can be read here: {error}") from error
    missing = sorted(report["missing_keys"])
    if missing:
        named = ", ".join(missing[:_SHOWN]) + (", ..." if len(missing) > _SHOWN else "")
        raise WeightsError(f"{folder}: {part.__name__} lacks {len(missing)} weights ({named}): fetch the folder again")
    return model.to(device).eval().requires_grad_(False)


def load_tokenizer(
    tokenizer: type[PreTrainedTokenizerBase], folder: Path, vocabularies: Sequence[str]
) -> PreTrainedTokenizerBase:
    """The tokenizer of a folder that holds one of the files `vocabularies`; raises WeightsError if it holds none."""
    if not any((folder / name).is_file() for name in vocabularies):
        raise WeightsError(f"{folder}: has no tokenizer ({' or '.join(vocabularies)}): fetch the folder again")
    try:
        return tokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # what the parsers of the files raise has no common base class
        raise WeightsError(f"{folder}: the tokenizer can't be read ({error}): fetch the folder again") from error


def load_processor(processor: Any, folder: Path) -> Any:  # noqa: ANN401 - the classes share no useful base
    """What makes a network's inputs, of the class `processor`, in a folder; raises WeightsError if it isn't there."""
    try:
        return processor.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise WeightsError(f"{folder}: no {processor.__name__} can be read here: {error}") from error


def check_kind(folder: Path, *kinds: str) -> None:
    """Raises WeightsError unless the folder's config.json says that it holds a model of one of these kinds.

    transformers would take a folder that doesn't exist for the name of a model to download, and another model's config
    for one in which every value is left at its default.
    """
    path = folder / "config.json"
    try:
        kind = json.loads(path.read_text(encoding="utf-8"))["model_type"]
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise WeightsError(f"{path}: not a transformers config ({error!r}): name the folder of a {kinds[0]}") from error
    if kind not in kinds:
        raise WeightsError(
            f"{path}: describes a {kind}, expected {' or '.join(kinds)}: name the folder of such a model"
        )
