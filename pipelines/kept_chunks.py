"""Keeps the chunks of clips while these are made, and stops a clip between two chunks where it has to go on elsewhere.

One per replica's process. A thread packs and writes, so that the device goes on with the next chunk. Storage that
refuses is no fault of a row: the user hears of it once, and the clip is made without.
"""

from concurrent.futures import Future, ThreadPoolExecutor, wait

from airshower.actors.checkpoints import MadeChunk
from airshower.cluster.service_errors import said
from airshower.pipelines.dispatch.handle import Dispatch
from airshower.pipelines.ledger.saved_chunks import SavedChunks
from airshower.pipelines.stages import PostponedError


class KeptChunks:
    """Shared by the threads of one process."""

    def __init__(self, dispatch: Dispatch) -> None:
        self.dispatch = dispatch
        self.writer = ThreadPoolExecutor(1, thread_name_prefix="kept-chunks")
        self._warned = False

    def of(self, name: str, saved: SavedChunks) -> "RowChunks":
        """For one attempt at a row."""
        return RowChunks(name, saved, self)

    def warn(self, name: str, error: Exception) -> None:
        """That chunks can't be kept, once."""
        if not self._warned:
            self._warned = True
            self.dispatch.warn(f"{name}: its chunks can't be kept, so that a lost clip begins anew: {said(error)}")


class RowChunks:
    """Checkpoints of one attempt at a row (`airshower.actors.checkpoints`)."""

    def __init__(self, name: str, saved: SavedChunks, kept: KeptChunks) -> None:
        self._name, self._saved, self._kept = name, saved, kept
        self._writes: list[Future[bool]] = []
        self._asked = self._refused = False

    def load(self) -> list[MadeChunk]:
        """Raises PostponedError where the row should not be begun here any more."""
        self._asked = True
        if self._kept.dispatch.asked_to_stop():
            raise PostponedError(f"{self._name}: not begun: its node leaves or the run ends")
        wait(self._writes)  # of a try that a network ended
        try:
            return self._saved.read(self._kept.dispatch.warn)
        except OSError as error:
            self._refused = True
            self._kept.warn(self._name, error)
            return []

    def save(self, number: int, made: MadeChunk) -> None:
        """Raises PostponedError where the row should go on elsewhere, and can."""
        self._writes.append(self._kept.writer.submit(self._write, number, made))
        if self._kept.dispatch.asked_to_stop() and all(write.result() for write in self._writes):
            raise PostponedError(f"{self._name}: stopped after chunk {number + 1}: its node leaves or the run ends")

    def forget(self) -> None:
        """The row is made: removes what was kept of it."""
        if not self._asked:  # a clip of one chunk
            return
        for write in self._writes:
            write.cancel()
        self._kept.writer.submit(self._remove).result()  # after the write that is under way

    def _write(self, number: int, made: MadeChunk) -> bool:
        """Whether the chunk is kept; after one that isn't, the next ones would be of no use."""
        if self._refused:
            return False
        try:
            self._saved.write(number, made)
        except Exception as error:  # noqa: BLE001 -- whatever it is, the clip itself can be made
            self._refused = True
            self._kept.warn(self._name, error)
        return not self._refused

    def _remove(self) -> None:
        try:
            self._saved.remove()
        except OSError as error:
            self._kept.warn(self._name, error)
