"""Records of tensors on another device."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import TypeVar, cast

import torch
from torch import Tensor

Record = TypeVar("Record")


def moved(record: Record, device: torch.device) -> Record:
    """The record with all tensors in it, in its records and in its mappings, on a device."""
    return cast("Record", _moved(record, device))


def _moved(value: object, device: torch.device) -> object:
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, Mapping):
        return {key: _moved(one, device) for key, one in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        kept = {field.name: _moved(getattr(value, field.name), device) for field in fields(value) if field.init}
        return replace(value, **kept)
    return value
