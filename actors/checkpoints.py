"""What is kept of a clip between its chunks, so that another process can go on with the next one.

Where it is kept, and whether at all, is for whoever calls the replica: `airshower.pipelines.kept_chunks` in batches.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np


@dataclass(frozen=True, kw_only=True)
class MadeChunk:
    """All that later chunks need of one: uint8 (F, H, W, 3), with several cameras (V, F, H, W, 3)."""

    frames: np.ndarray  # that it added to the clip
    passed_on: np.ndarray  # that the next chunk starts with; they may differ from those that are shown


class Checkpoints(Protocol):
    """Of one clip. Only clips of several chunks are asked about; either call may raise, to stop the clip there."""

    def load(self) -> Sequence[MadeChunk]:
        """The chunks that were made before, from the first on; called once, before the first is made."""

    def save(self, number: int, made: MadeChunk) -> None:
        """Keeps a chunk, counted from 0; called after each but the last."""


class NoCheckpoints:
    """Keeps nothing: every clip is made from its first chunk on."""

    def load(self) -> Sequence[MadeChunk]:
        return ()

    def save(self, number: int, made: MadeChunk) -> None:
        pass
