"""What the ranks of a gang tell each other over their pipes.

Pickled here and not by the pipe: PyTorch makes its tensors share memory there, which only relatives may.
"""

import pickle
from dataclasses import dataclass
from multiprocessing.connection import Connection

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


def sent(pipe: Connection, what: object) -> None:
    """Raises OSError where the other end is gone."""
    pipe.send_bytes(pickle.dumps(what))


def received(pipe: Connection) -> object:
    """Waits; raises EOFError where the other end is gone."""
    return pickle.loads(pipe.recv_bytes())
