"""Which shards a dataset has, kept in its folder: planned once, whoever comes first, and done when all files are there.

    .airshower/export.json           format and settings of the export
    .airshower/plans/<number>.json   the clips of a shard
    .airshower/done/<number>.json    its files

No decision but these three is shared by exports that work on one folder, so that they may be killed and repeated.
"""

import uuid
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from airshower.cluster.store import Store
from airshower.configs.export_records import (
    EXPORT_FORMAT,
    ExportHead,
    ExportSettings,
    PlannedClip,
    ShardDone,
    ShardPlan,
)
from airshower.pipelines.export.clips import ExportError

_FOLDER = ".airshower"
_HEAD, _PLANS, _DONE = f"{_FOLDER}/export.json", f"{_FOLDER}/plans", f"{_FOLDER}/done"

R = TypeVar("R", bound=BaseModel)


class ShardBook:
    """Reads and writes what an export keeps in a dataset's folder."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def require(self, settings: ExportSettings) -> None:
        """Begins an export, or goes on with one; raises ExportError where the folder holds something else."""
        head = ExportHead(format=EXPORT_FORMAT, settings=settings)
        where = self.store.location
        found = self._found()
        if found is None:
            seen = any(not name.startswith(".") for name in self.store.names(""))  # not what probes leave for a moment
            if seen and self._found() is None:
                raise ExportError(f"{where}: holds files that no export wrote: give an empty or new folder")
            self.store.create(_HEAD, head.model_dump_json().encode())
            found = self._found() or head
        if found.format != EXPORT_FORMAT:
            raise ExportError(
                f"{where}: was written by a version that keeps exports in format {found.format}, this one in "
                f"{EXPORT_FORMAT}: export to another folder"
            )
        for name, value in settings.model_dump().items():
            before = getattr(found.settings, name)
            if before != value:
                raise ExportError(
                    f"{where}: was exported with {_flag(name, before)}, not {_flag(name, value)}: give the same, or "
                    "another folder"
                )

    def plans(self) -> Iterator[ShardPlan]:
        """All planned shards in order."""
        for number in sorted(self._numbers(_PLANS)):
            yield self._record(ShardPlan, _path(_PLANS, number))

    def done_numbers(self) -> set[int]:
        """The finished shards."""
        return set(self._numbers(_DONE))

    def done(self, number: int) -> ShardDone:
        """A finished shard."""
        return self._record(ShardDone, _path(_DONE, number))

    def plan(self, number: int, clips: tuple[PlannedClip, ...]) -> ShardPlan:
        """Plans a shard, unless another export has; returns the plan that counts."""
        plan = ShardPlan(number=number, nonce=uuid.uuid4().hex, clips=clips)
        path = _path(_PLANS, number)
        if self.store.create(path, plan.model_dump_json().encode()):
            return plan
        return self._record(ShardPlan, path)

    def finish(self, done: ShardDone) -> None:
        """Makes a shard count; it may be there by another export already, which wrote the same."""
        self.store.create(_path(_DONE, done.number), done.model_dump_json().encode())

    def _found(self) -> ExportHead | None:
        try:
            return self._record(ExportHead, _HEAD)
        except FileNotFoundError:
            return None

    def _numbers(self, folder: str) -> Iterator[int]:
        return (int(PurePosixPath(name).stem) for name in self.store.names(folder))

    def _record(self, kind: type[R], path: str) -> R:
        try:
            return kind.model_validate_json(self.store.read(path))
        except ValidationError as error:
            reason = error.errors()[0]["msg"]
            raise ExportError(f"{self.store.url(path)}: is no record of an export ({reason}): move it away") from None


def _flag(name: str, value: str | float | bool) -> str:
    """A setting as the command line has it."""
    flag = {"dataset": "format"}.get(name, name).replace("_", "-")
    if isinstance(value, bool):
        return f"--{flag}" if value else f"--no-{flag}"
    return f"--{flag} {value if isinstance(value, str) else format(value, 'g')}"


def _path(folder: str, number: int) -> str:
    return f"{folder}/{number:06d}.json"
