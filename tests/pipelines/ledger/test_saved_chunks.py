"""Chunks of clips that are not made yet: what is kept of them, and what of that is used."""

import threading
from pathlib import Path

import numpy as np
import pytest

from airshower.actors.checkpoints import MadeChunk
from airshower.cluster.local_store import LocalStore
from airshower.pipelines.dispatch.handle import Dispatch
from airshower.pipelines.events import LiveEvent
from airshower.pipelines.kept_chunks import KeptChunks, RowChunks
from airshower.pipelines.ledger.saved_chunks import SavedChunks
from airshower.pipelines.stages import PostponedError

KEY = "ab" * 32


class Heard(Dispatch):
    """Of a node that may be about to leave."""

    def __init__(self, *, stop: bool = False) -> None:
        super().__init__()
        self.stop, self.warnings = stop, []

    def asked_to_stop(self) -> bool:
        return self.stop

    def report(self, *events: LiveEvent) -> None:
        self.warnings += [event.message for event in events]


def chunk(seed: int, *, cameras: int = 2, passed_on: int = 1) -> MadeChunk:
    frames = np.random.default_rng(seed).integers(0, 256, (cameras, 5, 4, 6, 3), dtype=np.uint8)
    return MadeChunk(frames=frames, passed_on=frames[:, 5 - passed_on :] // 2)


def equal(one: MadeChunk, other: MadeChunk) -> bool:
    return np.array_equal(one.frames, other.frames) and np.array_equal(one.passed_on, other.passed_on)


def row(store: LocalStore, heard: Heard) -> RowChunks:
    return KeptChunks(heard).of("a", SavedChunks(store, KEY))


@pytest.fixture
def store(tmp_path) -> LocalStore:
    return LocalStore(tmp_path)


def test_chunks_come_back_as_they_were_until_the_row_is_made(store, tmp_path):
    heard, chunks = Heard(), [chunk(0), chunk(1, passed_on=0), chunk(2)]
    first = row(store, heard)
    assert first.load() == []
    for number, made in enumerate(chunks[:2]):
        first.save(number, made)
    heard.stop = True
    with pytest.raises(PostponedError, match="a: stopped after chunk 3"):
        first.save(2, chunks[2])
    with pytest.raises(PostponedError, match="a: not begun"):
        row(store, heard).load()
    heard.stop = False
    second = row(store, heard)
    assert [equal(*pair) for pair in zip(second.load(), chunks, strict=True)] == [True] * 3
    second.forget()
    assert not list(store.names("ledger/chunks"))
    assert heard.warnings == []


def files(folder: Path) -> list[Path]:
    return [folder / "ledger" / "chunks" / KEY / str(number) for number in range(3)]


@pytest.mark.parametrize("damage", ["cut", "empty", "changed", "other attempt"])
def test_what_is_not_whole_or_of_another_attempt_is_said_and_not_used(store, tmp_path, damage):
    for attempt in range(2 if damage == "other attempt" else 1):
        saved = SavedChunks(store, KEY)
        for number in range(3 - 2 * attempt):  # the second one comes to the first chunk alone
            saved.write(number, chunk(10 * attempt + number))
    place = files(tmp_path)[1]
    data = bytearray(place.read_bytes())
    if damage in ("cut", "empty"):
        place.write_bytes(data[: -1 if damage == "cut" else 0])
    elif damage == "changed":
        data[-3] ^= 1
        place.write_bytes(data)
    heard = Heard()
    again = row(store, heard)
    (kept,) = again.load()
    assert equal(kept, chunk(10 if damage == "other attempt" else 0))
    (warning,) = heard.warnings
    assert str(place) in warning
    assert "this chunk is made again" in warning
    again.save(1, chunk(21))
    again.save(2, chunk(22))
    heard.stop = True
    with pytest.raises(PostponedError):
        again.save(3, chunk(23))
    assert len(SavedChunks(store, KEY).read(heard.warn)) == 4


def test_storage_that_refuses_is_said_once_and_the_clip_goes_on_without(store, tmp_path):
    (tmp_path / "ledger").write_text("in the way")
    heard = Heard()
    kept = KeptChunks(heard)
    for _ in range(2):
        made = kept.of("a", SavedChunks(store, KEY))
        assert made.load() == []
        made.save(0, chunk(0))
        heard.stop = True
        made.save(1, chunk(1))  # is not stopped: it would have to begin anew
        heard.stop = False
        made.forget()
    (warning,) = heard.warnings
    assert "a: its chunks can't be kept" in warning


def test_the_device_does_not_wait_for_storage(store):
    class Slow(SavedChunks):
        def write(self, number: int, made: MadeChunk) -> None:
            assert go_on.wait(60)
            super().write(number, made)

    go_on = threading.Event()
    made = KeptChunks(Heard()).of("a", Slow(store, KEY))
    made.load()
    made.save(0, chunk(0))
    made.save(1, chunk(1))
    go_on.set()
    made.forget()
    assert not list(store.names("ledger/chunks"))
