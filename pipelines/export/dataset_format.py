"""What a dataset format does: it writes one shard after the other, and what describes them all."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from airshower.configs.export_records import ShardDone
from airshower.pipelines.export.clips import Clip


@dataclass(frozen=True, kw_only=True)
class Before:
    """What the dataset holds before a shard."""

    shards: int = 0  # so the shard's number as well
    clips: int = 0
    frames: int = 0
    captions: dict[str, int] = field(default_factory=dict)  # their numbers, in the order in which they first came
    first: dict[str, Any] = field(default_factory=dict)  # `about` of the first shard


class DatasetWriter(Protocol):
    """One format. The same clips after the same ones give the same bytes."""

    def write_shard(self, clips: Iterable[Clip], before: Before, place: Path) -> dict[str, Any]:
        """Writes a shard's files into `place`, under the paths that they have in the dataset; returns its `about`.

        Raises ExportError, naming the clip, for one that the dataset can't hold.
        """

    def dataset_files(self, shards: Sequence[ShardDone], total: Before) -> dict[str, bytes]:
        """The files that describe all shards, by path; they are replaced after each export."""
