"""What the ledger keeps of each run of a command into the folder: what was asked for, and what failed for the moment.

    ledger/runs/<n>/<run>/run.json           who ran what, and when
    ledger/runs/<n>/<run>/keys               of the rows it was asked for: 32 bytes each
    ledger/runs/<n>/<run>/failures/<i>.jsonl rows that failed without a key, since they could not be read, and those
                                             that failed of a network or of storage: the next run tries both again

A run knows itself by its id, which begins with the time, so that runs sort by it.
"""

import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from airshower.configs.records import Failure, RunRecord
from airshower.pipelines.ledger.ledger import RUNS, Ledger
from airshower.pipelines.ledger.reading import READERS, LedgerError, Tell, record_of

_KEY_BYTES = 32
_RUN = re.compile(r"(\d+)/([^/]+)/(?:run\.json|keys)")


@dataclass(frozen=True)
class RunRecords:
    """Reads and writes what a ledger has of runs."""

    ledger: Ledger

    def begin(self, run: RunRecord, keys: bytes = b"") -> None:
        """Records that a run begins, with the keys of its rows one after the other."""
        folder = self._folder(run.epoch, run.run)
        self.ledger.store.write(f"{folder}/keys", keys)
        self.ledger.store.write(f"{folder}/run.json", run.model_dump_json().encode())

    def all(self, tell: Tell) -> list[RunRecord]:
        """All runs, those before a fresh start too, oldest first; what can't be read is told and left out."""

        def read(found: tuple[int, str]) -> RunRecord | LedgerError:
            path = f"{self._folder(*found)}/run.json"
            try:
                return record_of(RunRecord, store.read(path), store.url(path), run=found[1])
            except (LedgerError, FileNotFoundError) as error:
                return LedgerError(str(error))

        store, runs = self.ledger.store, []
        with ThreadPoolExecutor(READERS) as pool:
            for run in pool.map(read, self._ids()):
                if isinstance(run, RunRecord):
                    runs.append(run)
                else:
                    tell(str(run))
        return runs

    def ids(self) -> list[str]:
        """The ids of the runs since the last fresh start, oldest first."""
        return [run for epoch, run in self._ids() if epoch == self.ledger.epoch]

    def keys(self, run: str) -> set[str]:
        """The keys of the rows that a run was asked for, as far as they are known."""
        try:
            data = self.ledger.store.read(f"{self._folder(self.ledger.epoch, run)}/keys")
        except FileNotFoundError:
            return set()
        return {data[begin : begin + _KEY_BYTES].hex() for begin in range(0, len(data), _KEY_BYTES)}

    def note_failures(self, run: str, number: int, failures: Sequence[Failure]) -> None:
        """Records rows that failed for the moment, under a number that the run hasn't used yet."""
        lines = b"".join(failure.model_dump_json().encode() + b"\n" for failure in failures)
        self.ledger.store.write(f"{self._folder(self.ledger.epoch, run)}/failures/{number}.jsonl", lines)

    def failures(self, run: str, tell: Tell) -> Iterator[Failure]:
        """The rows of a run that failed for the moment; what can't be read is told and left out."""
        folder = f"{self._folder(self.ledger.epoch, run)}/failures"
        store = self.ledger.store
        for name in sorted(store.names(folder)):
            path = f"{folder}/{name}"
            for line in store.read(path).splitlines():
                try:
                    yield record_of(Failure, line, store.url(path), run=run)
                except LedgerError as error:
                    tell(str(error))

    def _ids(self) -> list[tuple[int, str]]:
        found = {(int(match[1]), match[2]) for match in map(_RUN.fullmatch, self.ledger.store.names(RUNS)) if match}
        return sorted(found, key=lambda item: (item[1], item[0]))

    @staticmethod
    def _folder(epoch: int, run: str) -> str:
        return f"{RUNS}/{epoch}/{run}"
