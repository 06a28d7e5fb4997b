"""The ledger of a run folder: which rows are made and which failed, kept where the clips are.

    ledger/ledger.json                           format of what follows
    ledger/epochs/<n>                            one per fresh start
    ledger/commits/<n>/<kk>/<key>.<edition>.json one per clip, created once: who comes second has lost
    ledger/failed/<n>/<kk>/<key>.<attempt>.json  one per attempt that failed by the row's own fault
    ledger/runs/<n>/<run>/...                    one per run of a command: `airshower.pipelines.ledger.run_records`
    ledger/chunks/<key>/<i>                      chunk i of a clip of several that is under way, or was when it stopped
    ledger/superseded                            keys that no longer count: `airshower.pipelines.folder_rows`
    data/NAME-<nonce>/...                        the files of one attempt at a row; only a commit makes them count

<n> is the fresh start before it, 0 where there was none: what an earlier one made is not looked at again. <kk> are the
first two digits of the key: 256 folders, which object storage lists side by side. Exactly once follows from two things
alone: the key is a function of the row, and of all who create one name one wins. No decision reads a clock. A commit
that is damaged, or whose files are, is never removed: the row's next edition outweighs it. Files of other names are
passed over.
"""

import json
import logging
import re
import uuid
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import islice
from typing import Any, NamedTuple

from airshower.cluster.store import Store
from airshower.configs.records import LEDGER_FORMAT, Commit, Failure
from airshower.pipelines.ledger.reading import READERS, LedgerError, Tell, record_of, side_by_side

LEDGER, DATA, CHUNKS, RUNS = "ledger", "data", "ledger/chunks", "ledger/runs"
LEDGER_HEAD = "ledger/ledger.json"
_COMMITS, _FAILED, _EPOCHS = "ledger/commits", "ledger/failed", "ledger/epochs"
_PREFIXES = tuple(f"{number:02x}" for number in range(256))
_NUMBERED = re.compile(r"[0-9a-f]{2}/([0-9a-f]+)\.(\d+)\.json")
_EPOCH_OF = re.compile(rf"(?:{_EPOCHS}|{RUNS})/(\d+)(?:/.*)?")
_FEW = 5_000  # listed one after the other

_log = logging.getLogger(__name__)


class CommitFile(NamedTuple):
    """Where a commit is, and how long its record."""

    edition: int
    size_bytes: int


class Ledger:
    """Reads and writes the records of a run folder since its last fresh start, or an earlier one. Small to pickle."""

    def __init__(self, store: Store, epoch: int | None = None) -> None:
        self.store = store
        self._epoch = epoch

    @property
    def exists(self) -> bool:
        """Whether there is a ledger, be it without its head."""
        try:
            self.store.read(LEDGER_HEAD)
        except FileNotFoundError:
            return any(map(_is_ours, self.store.names(LEDGER)))
        except OSError:  # a folder of this name, or a file on the way to it
            return False
        return True

    def require(self, tell: Tell = _log.warning) -> None:
        """Makes the ledger where there is none, and its head where that is damaged, which it tells.

        Raises LedgerError for one of another version.
        """
        head = json.dumps({"format": LEDGER_FORMAT}).encode()
        if self.store.create(LEDGER_HEAD, head):
            return
        found = _format_of(self.store.read(LEDGER_HEAD))
        if found is None and any(map(_is_ours, self.store.names(LEDGER))):
            self.store.write(LEDGER_HEAD, head)
            tell(f"{self.store.url(LEDGER_HEAD)} was damaged: it is written again")
        elif found != LEDGER_FORMAT:
            raise LedgerError(
                f"{self.store.location}: its ledger has format {found or 'unknown'}, this version of Airshower writes "
                f"format {LEDGER_FORMAT}: use the version that wrote it, or another --output"
            )

    @property
    def epoch(self) -> int:
        """How many fresh starts there were when it was first asked; a run knows of them by its records, too."""
        if self._epoch is None:
            folders = ((_EPOCHS, name) for name in self.store.names(_EPOCHS))
            runs = ((RUNS, name) for name in self.store.names(RUNS))
            found = [_EPOCH_OF.fullmatch(f"{folder}/{name}") for some in (folders, runs) for folder, name in some]
            self._epoch = max((int(match[1]) for match in found if match), default=0)
        return self._epoch

    def begin_epoch(self) -> int:
        """A fresh start, for this object and those that are made later: keys of its salt have no commits yet."""
        number = self.epoch + 1
        while not self.store.create(f"{_EPOCHS}/{number}", uuid.uuid4().bytes):
            number += 1
        self._epoch = number
        return number

    def commit(self, commit: Commit) -> Commit:
        """Makes a row's files count, unless others do already; returns the commit that counts."""
        while not self.store.create(self._commit_path(commit.key, commit.edition), commit.model_dump_json().encode()):
            try:
                found = self.commit_of(commit.key, commit.edition)
            except LedgerError:  # damaged since this row was begun
                found = None
            if found is not None:
                return found
            commit = commit.model_copy(update={"edition": commit.edition + 1})
        return commit

    def commit_of(self, key: str, edition: int = 0) -> Commit | None:
        """One commit of a key, if there is one; raises LedgerError where it is damaged."""
        path = self._commit_path(key, edition)
        try:
            data = self.store.read(path)
        except FileNotFoundError:
            return None
        return record_of(Commit, data, self.store.url(path), key=key, edition=edition)

    def committed(self) -> dict[str, CommitFile]:
        """The rows that are made, by key, with the last commit of each: one listing, no record is read."""
        found: dict[str, CommitFile] = {}
        for key, edition, size_bytes in self._numbered(_COMMITS):
            if key not in found or edition > found[key].edition:
                found[key] = _commit_file(edition, size_bytes)
        return found

    def commits(self, committed: Mapping[str, CommitFile], tell: Tell = _log.warning) -> Iterator[Commit]:
        """The commits of `committed()`, or of some of it, in its order; what can't be read is told and left out."""

        def read(item: tuple[str, CommitFile]) -> Commit | LedgerError | None:
            try:
                return self.commit_of(item[0], item[1].edition)
            except LedgerError as error:
                return error

        for found in side_by_side(read, committed.items()):
            if isinstance(found, LedgerError):
                tell(str(found))
            elif found is not None:
                yield found

    def fail(self, failure: Failure) -> None:
        """Records a failed attempt, under the next free number."""
        while not self.store.create(self._failure_path(failure.key, failure.attempt), _line(failure)):
            failure = failure.model_copy(update={"attempt": failure.attempt + 1})

    def failed(self) -> dict[str, int]:
        """Failed attempts by key, those of rows that were made later included: one listing."""
        attempts: dict[str, int] = {}
        for key, number, _ in self._numbered(_FAILED):
            attempts[key] = max(attempts.get(key, 0), number)
        return attempts

    def failures(self, attempts: Mapping[str, int], tell: Tell = _log.warning) -> Iterator[Failure]:
        """The last failure of each key of `failed()`; what can't be read is told and left out."""

        def read(item: tuple[str, int]) -> Failure | LedgerError:
            path = self._failure_path(*item)
            try:
                return record_of(Failure, self.store.read(path), self.store.url(path), key=item[0])
            except (LedgerError, FileNotFoundError) as error:
                return LedgerError(str(error))

        for found in side_by_side(read, attempts.items()):
            if isinstance(found, Failure):
                yield found
            else:
                tell(str(found))

    def _numbered(self, folder: str) -> Iterator[tuple[str, int, int]]:
        """(key, number, size in bytes) of all records below; many folders are listed side by side, since storage lists
        each in order.
        """
        place = f"{folder}/{self.epoch}"
        few = list(islice(self.store.sizes(place), _FEW + 1))
        if len(few) <= _FEW:
            yield from _parsed(few)
            return
        with ThreadPoolExecutor(READERS) as pool:
            listings = pool.map(lambda prefix: list(self.store.sizes(f"{place}/{prefix}")), _PREFIXES)
            for prefix, found in zip(_PREFIXES, listings, strict=True):
                yield from _parsed((f"{prefix}/{name}", size_bytes) for name, size_bytes in found)

    def _commit_path(self, key: str, edition: int) -> str:
        return f"{_COMMITS}/{self.epoch}/{key[:2]}/{key}.{edition}.json"

    def _failure_path(self, key: str, attempt: int) -> str:
        return f"{_FAILED}/{self.epoch}/{key[:2]}/{key}.{attempt}.json"


def chunks_folder(key: str) -> str:
    """Where the chunks of a row are while it isn't made."""
    return f"{CHUNKS}/{key}"


def salt(epoch: int) -> str:
    """What sets the keys of a fresh start apart."""
    return "" if epoch == 0 else f"epoch {epoch}"


def _line(failure: Failure) -> bytes:
    return failure.model_dump_json().encode()


def _format_of(head: bytes) -> Any:  # noqa: ANN401 - whatever the file says
    try:
        return json.loads(head)["format"]
    except (ValueError, KeyError, TypeError):
        return None


def _is_ours(name: str) -> bool:
    """Whether a file below ledger/ can only be of a ledger."""
    place = f"{LEDGER}/{name}"
    return place.startswith((f"{_COMMITS}/", f"{_FAILED}/", f"{RUNS}/")) and place.endswith(".json")


@cache
def _commit_file(edition: int, size_bytes: int) -> CommitFile:
    """One object for all that are equal: there are few sizes, and many commits."""
    return CommitFile(edition, size_bytes)


def _parsed(entries: Iterable[tuple[str, int]]) -> Iterator[tuple[str, int, int]]:
    for name, size_bytes in entries:
        if match := _NUMBERED.fullmatch(name):
            yield match[1], int(match[2]), size_bytes
