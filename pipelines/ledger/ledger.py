"""The ledger of a run folder: which rows are made and which failed, kept where the clips are.

    ledger/ledger.json                    format of what follows
    ledger/commits/<kk>/<key>.json        one per clip, created once: who comes second has lost
    ledger/failed/<kk>/<key>.<n>.json     one per failed attempt
    ledger/epochs/<n>                     one per fresh start
    ledger/runs/<run>.json                one per run of a command
    ledger/chunks/<key>/<n>               chunk n of a clip of several that is under way, or was when it was stopped
    data/NAME-<nonce>/...                 the files of one attempt at a row; only a commit makes them count

<kk> are the first two digits of the key: 256 folders, which object storage lists side by side. Exactly once follows
from two things alone: the key is a function of the row, and of all who create one name one wins. No decision reads a
clock. Chunks lie in no such folders, since there are few: those of a row are removed when it is committed.
"""

import json
import uuid
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import PurePosixPath
from typing import TypeVar

from pydantic import ValidationError

from airshower.cluster.store import Store
from airshower.configs.records import LEDGER_FORMAT, Commit, Failure, RunRecord

DATA, CHUNKS = "data", "ledger/chunks"
_HEAD = "ledger/ledger.json"
_COMMITS, _FAILED, _EPOCHS, _RUNS = "ledger/commits", "ledger/failed", "ledger/epochs", "ledger/runs"
_PREFIXES = tuple(f"{number:02x}" for number in range(256))
_READERS = 32  # threads; they wait for storage
_BATCH = 1_000  # records that are asked for at a time
_FEW = 5_000  # listed one after the other

R = TypeVar("R", Commit, Failure, RunRecord)


class LedgerError(ValueError):
    """A ledger can't be used; the message names it and the remedy."""


class Ledger:
    """Reads and writes the records of one run folder. Cheap; travels in pickles."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def require(self) -> None:
        """Makes the ledger where there is none; raises LedgerError for one of another version."""
        head = json.dumps({"format": LEDGER_FORMAT}).encode()
        if self.store.create(_HEAD, head):
            return
        try:
            found = json.loads(self.store.read(_HEAD))["format"]
        except (ValueError, KeyError, TypeError):
            found = "unknown"
        if found != LEDGER_FORMAT:
            raise LedgerError(
                f"{self.store.location}: its ledger has format {found}, this version of Airshower writes format "
                f"{LEDGER_FORMAT}: use the version that wrote it, or another --output"
            )

    @property
    def exists(self) -> bool:
        """Whether there is a ledger."""
        try:
            self.store.read(_HEAD)
        except FileNotFoundError:
            return False
        return True

    def commit(self, commit: Commit) -> Commit:
        """Makes a row's files count, unless others do already; returns the commit that counts."""
        path = _commit_path(commit.key)
        if self.store.create(path, commit.model_dump_json().encode()):
            return commit
        return _record(Commit, self.store.read(path), path)

    def commit_of(self, key: str) -> Commit | None:
        """The commit of a key, if it has one."""
        path = _commit_path(key)
        try:
            return _record(Commit, self.store.read(path), path)
        except FileNotFoundError:
            return None

    def committed(self) -> set[str]:
        """The keys of all rows that are made: one listing, no record is read."""
        return {PurePosixPath(name).stem for name in self._names(_COMMITS)}

    def commits(self, keys: Iterable[str]) -> Iterator[Commit]:
        """The commits of keys that have one, in their order."""
        rest = iter(keys)
        with ThreadPoolExecutor(_READERS) as pool:
            while batch := list(islice(rest, _BATCH)):
                yield from (commit for commit in pool.map(self.commit_of, batch) if commit is not None)

    def fail(self, failure: Failure) -> None:
        """Records a failed attempt, under the next free number."""
        while not self.store.create(_failure_path(failure), failure.model_dump_json().encode()):
            failure = failure.model_copy(update={"attempt": failure.attempt + 1})

    def failed(self) -> dict[str, int]:
        """Failed attempts by key, those of rows that were made later included: one listing."""
        attempts: dict[str, int] = {}
        for name in self._names(_FAILED):
            key, _, number = PurePosixPath(name).stem.partition(".")
            attempts[key] = max(attempts.get(key, 0), int(number))
        return attempts

    def failures(self, attempts: dict[str, int]) -> Iterator[Failure]:
        """The last failure of each key of `failed()`."""

        def read(item: tuple[str, int]) -> Failure:
            path = f"{_FAILED}/{item[0][:2]}/{item[0]}.{item[1]}.json"
            return _record(Failure, self.store.read(path), path)

        with ThreadPoolExecutor(_READERS) as pool:
            yield from pool.map(read, attempts.items())

    def epoch(self) -> int:
        """How many fresh starts there were."""
        return max((int(name) for name in self.store.names(_EPOCHS)), default=0)

    def begin_epoch(self) -> int:
        """A fresh start: keys of its salt have no commits yet."""
        number = self.epoch() + 1
        while not self.store.create(f"{_EPOCHS}/{number}", uuid.uuid4().bytes):
            number += 1
        return number

    def begin_run(self, run: RunRecord) -> None:
        """Records that a run begins."""
        self.store.write(f"{_RUNS}/{run.run}.json", run.model_dump_json().encode())

    def runs(self) -> list[RunRecord]:
        """All runs, oldest first."""
        paths = sorted(f"{_RUNS}/{name}" for name in self.store.names(_RUNS))
        return [_record(RunRecord, self.store.read(path), path) for path in paths]

    def _names(self, folder: str) -> Iterator[str]:
        """The files below; where there are many, folders are listed side by side, since storage lists each in order."""
        few = list(islice(self.store.names(folder), _FEW + 1))
        if len(few) <= _FEW:
            yield from few
            return
        with ThreadPoolExecutor(_READERS) as pool:
            for names in pool.map(lambda prefix: list(self.store.names(f"{folder}/{prefix}")), _PREFIXES):
                yield from names


def chunks_folder(key: str) -> str:
    """Where the chunks of a row are while it isn't made."""
    return f"{CHUNKS}/{key}"


def salt(epoch: int) -> str:
    """What sets the keys of a fresh start apart."""
    return "" if epoch == 0 else f"epoch {epoch}"


def _commit_path(key: str) -> str:
    return f"{_COMMITS}/{key[:2]}/{key}.json"


def _failure_path(failure: Failure) -> str:
    return f"{_FAILED}/{failure.key[:2]}/{failure.key}.{failure.attempt}.json"


def _record(kind: type[R], data: bytes, path: str) -> R:
    try:
        return kind.model_validate_json(data)
    except ValidationError as error:
        reason = error.errors()[0]["msg"]
        raise LedgerError(f"{path}: is no {kind.__name__.lower()} of this ledger ({reason}): move it away") from None
