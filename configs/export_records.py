"""What an export keeps beside the dataset it writes: how it is written, and which clips each shard holds.

A shard is planned once, by whoever comes first, and its files follow from the plan and the run's commits alone. So
whoever meets a plan whose shard isn't finished, after a crash for instance, writes the same files again.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

EXPORT_FORMAT = 2
DatasetFormat = Literal["webdataset", "lerobot", "parquet"]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ExportSettings(_Record):
    """How a dataset is written: the same for all of its shards."""

    dataset: DatasetFormat
    shard_mib: float = 256
    controls: bool = True  # control and mask videos
    inputs: bool = False
    cameras: bool = True
    embed: bool = True  # parquet: videos in the table, not beside it


class PlannedClip(_Record):
    """A clip of a shard."""

    key: str  # in the run's ledger
    name: str  # when it was planned
    frames: int
    caption: str


class ShardPlan(_Record):
    """Which clips a shard holds, in their order, and what is taken of them: the same in all plans of a dataset."""

    format: int = EXPORT_FORMAT
    settings: ExportSettings
    kinds: tuple[str, ...] | None = None  # of files beside the videos; None: all that a clip has
    number: int
    nonce: str
    clips: tuple[PlannedClip, ...]


class ShardDone(_Record):
    """A shard whose files are all there."""

    number: int
    nonce: str
    files: dict[str, str]  # path in the dataset: SHA-256
    about: dict[str, Any]  # what the format needs to know of it later
