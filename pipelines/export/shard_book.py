"""Which shards a dataset has, kept in its folder: planned once, whoever comes first, and done when all files are there.

    .airshower/plans/<number>.json   the clips of a shard, and the settings of the export, which are those of the first
    .airshower/done/<number>.json    its files
    .airshower/written/<sha256>      of each file that describes all shards, every time that it was written

No decision but these is shared by exports that work on one folder, so that they may be killed and repeated. A folder
without a plan is not tied to any settings.
"""

import hashlib
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from airshower.cluster.store import Store
from airshower.configs.export_records import EXPORT_FORMAT, ExportSettings, PlannedClip, ShardDone, ShardPlan
from airshower.pipelines.export.clips import ExportError
from airshower.pipelines.own_files import listed

_FOLDER = ".airshower"
_PLANS, _DONE, _WRITTEN = f"{_FOLDER}/plans", f"{_FOLDER}/done", f"{_FOLDER}/written"

R = TypeVar("R", bound=BaseModel)


class ShardBook:
    """Reads and writes what an export keeps in a dataset's folder."""

    def __init__(self, store: Store, settings: ExportSettings) -> None:
        self.store, self._settings = store, settings

    def require(self) -> None:
        """Raises ExportError where the folder holds something else, or was exported with other settings."""
        if next(self.plans(), None) is not None:  # which compares
            return
        seen = any(not name.startswith(".") for name in self.store.names(""))  # not what probes leave for a moment
        if seen and next(self.plans(), None) is None:  # still: no export has begun meanwhile
            raise ExportError(f"{self.store.location}: holds files that no export wrote: give an empty or new folder")

    def plans(self) -> Iterator[ShardPlan]:
        """All planned shards in order; raises ExportError for those of other settings."""
        for number in sorted(self._numbers(_PLANS)):
            yield self._plan(_path(_PLANS, number))

    def done_numbers(self) -> set[int]:
        """The finished shards."""
        return set(self._numbers(_DONE))

    def done(self, number: int) -> ShardDone:
        """A finished shard."""
        return self._record(ShardDone, _path(_DONE, number))

    def plan(self, number: int, clips: tuple[PlannedClip, ...], kinds: tuple[str, ...] | None = None) -> ShardPlan:
        """Plans a shard, unless another export has; returns the plan that counts."""
        plan = ShardPlan(settings=self._settings, kinds=kinds, number=number, nonce=uuid.uuid4().hex, clips=clips)
        path = _path(_PLANS, number)
        if self.store.create(path, plan.model_dump_json().encode()):
            return plan
        return self._plan(path)

    def finish(self, done: ShardDone) -> None:
        """Makes a shard count; it may be there by another export already, which wrote the same."""
        self.store.create(_path(_DONE, done.number), done.model_dump_json().encode())

    def refuse_taken(self, number: int, names: Iterable[str]) -> None:
        """Raises ExportError where there are files of these names, while nobody has planned the shard."""
        taken = [name for name in names if self._sha256(name) is not None]
        if taken and number not in self._numbers(_PLANS):
            raise ExportError(f"{self.store.location}: {listed(taken)}: no export wrote that: it is kept: move it away")

    def put(self, name: str, path: Path, sha256: str) -> None:
        """Puts a file of a planned shard, unless it is there; raises ExportError where another one is."""
        there = self._sha256(name)
        if there is None:
            self.store.put(name, path)
        elif there != sha256:
            raise ExportError(f"{self.store.url(name)}: has other content than this export writes: move it away")

    def describe(self, files: dict[str, bytes]) -> None:
        """Writes what describes all shards; raises ExportError where one of the files was changed by others."""
        there = {name: self._sha256(name) for name in files}
        known = {None, *self.store.names(_WRITTEN)}
        if changed := [name for name, sha256 in there.items() if sha256 not in known]:
            raise ExportError(f"{self.store.location}: {listed(changed)}: not as an export wrote it: move it away")
        for name, data in files.items():
            self.store.write(f"{_WRITTEN}/{hashlib.sha256(data).hexdigest()}", b"")
            self.store.write(name, data)

    def _sha256(self, name: str) -> str | None:
        try:
            return hashlib.sha256(self.store.read(name)).hexdigest()
        except FileNotFoundError:
            return None
        except IsADirectoryError:
            return "a folder"

    def _plan(self, path: str) -> ShardPlan:
        plan = self._record(ShardPlan, path)
        where = self.store.location
        if plan.format != EXPORT_FORMAT:
            raise ExportError(
                f"{where}: was written by a version that keeps exports in format {plan.format}, this one in "
                f"{EXPORT_FORMAT}: export to another folder"
            )
        for name, value in self._settings.model_dump().items():
            before = getattr(plan.settings, name)
            if before != value:
                raise ExportError(
                    f"{where}: was exported with {_flag(name, before)}, not {_flag(name, value)}: give the same, or "
                    "another folder"
                )
        return plan

    def _numbers(self, folder: str) -> Iterator[int]:
        stems = (PurePosixPath(name).stem for name in self.store.names(folder))
        return (int(stem) for stem in stems if stem.isdecimal())

    def _record(self, kind: type[R], path: str) -> R:
        try:
            return kind.model_validate_json(self.store.read(path))
        except ValidationError as error:
            reason = error.errors()[0]["msg"]
            raise ExportError(
                f"{self.store.url(path)}: is no record of an export of this version ({reason}): export elsewhere"
            ) from None


def _flag(name: str, value: str | float | bool) -> str:
    """A setting as the command line has it."""
    flag = {"dataset": "format"}.get(name, name).replace("_", "-")
    if isinstance(value, bool):
        return f"--{flag}" if value else f"--no-{flag}"
    return f"--{flag} {value if isinstance(value, str) else format(value, 'g')}"


def _path(folder: str, number: int) -> str:
    return f"{folder}/{number:06d}.json"
