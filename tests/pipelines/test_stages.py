"""Stages without Ray: what becomes of a row, of its errors and of the process."""

import errno
import multiprocessing
import os
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from airshower.cluster.packing import pack_frames
from airshower.configs.messages import PackedFrames, PreparedClip, Row, RowError, TextEmbedding
from airshower.configs.presets import preset
from airshower.configs.spec import ClipSpec, EdgeSpec
from airshower.pipelines import loading
from airshower.pipelines.dispatch.dispatcher import Standing
from airshower.pipelines.dispatch.handle import Dispatch
from airshower.pipelines.dispatch.parcels import packed, unpacked
from airshower.pipelines.dispatch.queue import MOST_DEATHS
from airshower.pipelines.events import LiveEvent, Loaded, LoadFailed, StageFinished, Warned
from airshower.pipelines.loading import load_patiently
from airshower.pipelines.make_stage import MakeStage
from airshower.pipelines.stages import worked
from airshower.pipelines.write import OutputError


class Told(Dispatch):
    """Keeps what is reported; every row was begun so often before."""

    def __init__(self, deaths: int = 0, *, elsewhere: bool = False) -> None:
        super().__init__()
        self.events: list[LiveEvent] = []
        self.begun: list[tuple[tuple[int, ...], bool]] = []
        self._deaths, self._elsewhere = deaths, elsewhere

    def report(self, *events: LiveEvent) -> None:
        self.events += events

    def begin(self, indices: Sequence[int], stage: str, *, alone: bool = False) -> Standing:
        self.begun.append((tuple(indices), alone))
        return Standing(deaths=dict.fromkeys(indices, self._deaths), elsewhere=self._elsewhere)

    @property
    def warnings(self) -> list[str]:
        return [event.message for event in self.events if isinstance(event, Warned)]


class NoWriter:
    """Of rows that never get so far."""

    def made(self, row):
        pytest.fail("was looked for")

    def saved_chunks(self, row):
        return None

    def write(self, row):
        pytest.fail("was written")


def one(stage: str, row: Row, work, dispatch: Dispatch | None = None) -> Row:
    (done,) = worked(stage, [row], work, dispatch or Told())
    return done


@pytest.fixture
def row() -> Row:
    packed = PackedFrames(data=b"x" * 1000, frames=1, height=2, width=2)
    clip = PreparedClip(
        fps=10,
        frames=1,
        height=2,
        width=2,
        input_height=2,
        input_width=2,
        controls={"edge": packed},
        masks={},
    )
    return Row(index=3, name="a", source="s.json", spec=None, prompt="rain", prepared=clip, seconds={"prepare": 1.0})


def test_an_exception_becomes_a_small_error_row_with_one_line(row):
    def fail(row: Row) -> Row:
        raise OSError("disk\n  on fire")

    failed = one("text", row, fail)
    assert failed.error == RowError(stage="text", type="OSError", message="disk on fire")
    assert failed.prepared is None
    assert failed.seconds["prepare"] == 1.0
    assert failed.seconds["text"] > 0
    assert one("next", failed, fail) is failed


def test_trouble_of_a_network_is_waited_out_and_said_or_at_last_no_fault_of_the_row(row):
    tries = []

    def reset_twice(row):
        tries.append(row.name)
        if len(tries) <= 2:
            raise ConnectionResetError("connection reset by peer")
        return row

    told = Told()
    assert one("write", row, reset_twice, told).error is None
    assert len(told.warnings) == 2
    assert f"{row.name} in write: connection reset by peer: try 2 of 4 in" in told.warnings[0]

    def refused(row):
        raise TimeoutError("no answer")

    def disk_is_full(row):
        raise OutputError("run/a.mp4: can't be written (No space left)") from OSError(errno.ENOSPC, "No space left")

    def name_is_too_long(row):
        raise OutputError("run/a.mp4: can't be written") from OSError(errno.ENAMETOOLONG, "File name too long")

    assert not one("write", row, name_is_too_long).error.transient
    assert one("write", row, refused).error.transient
    assert one("write", row, disk_is_full).error.transient
    assert not one("prepare", row, disk_is_full).error.transient
    assert not one("prepare", row, lambda row: os.stat("/nowhere")).error.transient


def test_work_adds_its_result_and_its_time(row):
    done = one("text", row, lambda row: replace(row, prompt="snow"))
    assert (done.prompt, done.error, list(done.seconds)) == ("snow", None, ["prepare", "text"])


def test_a_row_that_ended_too_many_processes_is_not_tried_again(row):
    failed = one("generate", row, lambda row: pytest.fail("was tried"), Told(deaths=MOST_DEATHS))
    assert failed.error.type == "WorkerLostError"
    assert not failed.error.transient


def test_rows_that_were_together_in_a_process_that_died_are_begun_one_by_one(row):
    rows = [replace(row, index=index) for index in range(3)]
    told = Told(deaths=1)
    assert [done.error for done in worked("text", rows, lambda row: row, told)] == [None] * 3
    assert told.begun == [((0, 1, 2), False), ((0,), True), ((1,), True), ((2,), True)]


def test_a_row_is_postponed_where_the_node_leaves(row):
    failed = one("generate", row, lambda row: pytest.fail("was begun"), Told(elsewhere=True))
    assert (failed.error.type, failed.error.transient) == ("PostponedError", True)


def test_a_device_fault_ends_the_process_and_running_out_of_memory_does_not(row):
    def fault(message: str) -> int | None:
        def fail(row: Row) -> Row:
            raise RuntimeError(message)

        process = multiprocessing.get_context("fork").Process(target=one, args=("generate", row, fail))
        process.start()
        process.join(timeout=30)
        return process.exitcode

    assert fault("CUDA error: an illegal memory access was encountered") == 1
    assert fault("CUDA out of memory. Tried to allocate 2 GiB") == 0


def test_a_model_is_loaded_when_it_can_be_and_the_driver_hears_of_every_try(monkeypatch):
    monkeypatch.setattr(loading, "_WAITS_S", (0.0, 0.0))
    troubles: list[Exception] = [ValueError("weights:\nbad"), RuntimeError("GPU busy")]

    def load() -> str:
        if troubles:
            raise troubles.pop()
        return "model"

    told = Told()
    assert load_patiently("replica", load, told) == "model"
    busy, bad, ready = told.events
    assert isinstance(busy, LoadFailed)
    assert (busy.what, busy.message, busy.final) == ("replica", "GPU busy", False)
    assert isinstance(bad, LoadFailed)
    assert (bad.message, bad.final, bad.loader) == ("weights: bad", True, busy.loader)
    assert ready == Loaded(loader=busy.loader, what="replica")


def test_what_leaves_the_last_stage_is_an_entry_without_frames(row):
    rejected = row.failed("prepare", ValueError("no frames"))
    table = MakeStage(lambda: None, NoWriter(), Told())(packed([rejected]))
    (entry,) = unpacked(table)
    assert (entry.index, entry.error.message, entry.video) == (3, "no frames", None)
    assert table.nbytes < 1000


def test_a_gang_encodes_the_texts_of_its_rows_itself(row):
    class Encoder:
        def encode(self, prompt, controls):
            return TextEmbedding(data=bytes(4 * len(prompt)), shape=(len(prompt), 1))

    class Replica:
        def generate(self, spec, prepared, text, negative_text, **_):
            self.texts = text, negative_text
            raise ValueError("no frames either")

    replica, told = Replica(), Told()
    spec = ClipSpec(name="a", prompt="rain", negative_prompt="sun", video_path="a.mp4", edge=EdgeSpec())
    prepared = replace(row.prepared, controls={"edge": pack_frames(np.zeros((1, 2, 2, 3), np.uint8))})
    asked = replace(row, prepared=prepared, spec=spec.resolved(preset("tiny-transfer")))
    stage = MakeStage(lambda: replica, NoWriter(), told, load_text_encoder=lambda warn: Encoder())
    (entry,) = unpacked(stage(packed([asked])))
    assert [text.shape for text in replica.texts] == [(4, 1), (3, 1)]
    assert (entry.error.stage, set(entry.seconds)) == ("generate", {"prepare", "text", "generate"})
    assert [event.stage for event in told.events if isinstance(event, StageFinished)] == ["text"]


def test_frames_that_cannot_be_unpacked_fail_their_row(row):
    (entry,) = unpacked(MakeStage(lambda: None, NoWriter(), Told())(packed([row])))
    assert (entry.error.stage, entry.error.type) == ("generate", "OSError")
