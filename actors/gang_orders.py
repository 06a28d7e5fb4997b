"""What the ranks of a gang tell each other, and how it is packed for pipes and for Ray.

Pickled here and not by a pipe: PyTorch makes its tensors share memory there, which only relatives may.
"""

import pickle
from dataclasses import dataclass
from typing import Any

from airshower.configs.gang_layout import GangLayout
from airshower.configs.model_source import ModelSource
from airshower.models.denoise import SamplerSettings
from airshower.models.sampling import ChunkConditions, GuidedRegion


@dataclass(frozen=True, kw_only=True)
class Membership:
    """What a member is told first."""

    source: ModelSource
    layout: GangLayout
    rank: int
    rendezvous: str
    device: str
    threads: int
    timeout_s: float


@dataclass(frozen=True, kw_only=True)
class Load:
    """Load a network that will be needed."""

    network: str


@dataclass(frozen=True, kw_only=True)
class Denoise:
    """Take part in the denoising of one chunk; tensors are on the CPU."""

    network: str
    conditions: ChunkConditions
    settings: SamplerSettings
    region: GuidedRegion | None


def packed(told: Membership | Load | Denoise) -> bytes:
    """To be unpacked by code that knows what comes."""
    return pickle.dumps(told)


def unpacked(told: bytes) -> Any:  # noqa: ANN401 -- whoever asks knows what was said
    """As it was before `packed`."""
    return pickle.loads(told)
