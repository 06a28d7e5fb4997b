"""Stages without Ray: what becomes of a row, of its errors and of the process."""

import multiprocessing
import os
from dataclasses import replace

import pytest

from airshower.configs.messages import PackedFrames, PreparedClip, Row, RowError
from airshower.pipelines import stages
from airshower.pipelines.monitor import Reporter
from airshower.pipelines.stages import (
    MAX_ATTEMPTS,
    GenerateStage,
    LoadError,
    isolated,
    load_patiently,
    row_table,
    rows_of,
    write_stage,
)

NOBODY = Reporter()


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
        input_frames=packed,
        controls={"edge": packed},
        masks={},
    )
    return Row(index=3, name="a", source="s.json", spec=None, prompt="rain", prepared=clip, seconds={"prepare": 1.0})


def test_an_exception_becomes_a_small_error_row_with_one_line(row):
    def fail(row: Row) -> Row:
        raise OSError("disk\n  on fire")

    failed = isolated("write", row, fail, NOBODY)
    assert failed.error == RowError(stage="write", type="OSError", message="disk on fire")
    assert failed.prepared is None
    assert failed.seconds["prepare"] == 1.0
    assert failed.seconds["write"] > 0
    assert isolated("next", failed, fail, NOBODY) is failed


def test_trouble_of_a_network_is_waited_out_and_said_or_at_last_no_fault_of_the_row(row):
    tries = []

    def reset_twice(row):
        tries.append(row.name)
        if len(tries) <= 2:
            raise ConnectionResetError("connection reset by peer")
        return row

    warnings = Told()
    assert isolated("write", row, reset_twice, warnings).error is None
    assert len(warnings.messages) == 2
    assert f"{row.name} in write: connection reset by peer: try 2 of 4 in" in warnings.messages[0]

    def refused(row):
        raise TimeoutError("no answer")

    assert isolated("write", row, refused, Told()).error.transient
    assert not isolated("write", row, lambda row: os.stat("/nowhere"), NOBODY).error.transient


class Told(Reporter):
    """Keeps what the user would be warned of."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []

    def warn(self, message: str) -> None:
        self.messages.append(message)


def test_work_adds_its_result_and_its_time(row):
    done = isolated("text", row, lambda row: replace(row, prompt="snow"), NOBODY)
    assert (done.prompt, done.error, list(done.seconds)) == ("snow", None, ["prepare", "text"])


def test_a_row_that_was_begun_too_often_is_not_tried_again(row):
    class Counted(Reporter):
        def attempt(self, index: int, stage: str) -> int:
            return MAX_ATTEMPTS + 1

    failed = isolated("generate", row, lambda row: pytest.fail("was tried"), Counted())
    assert failed.error is not None
    assert failed.error.type == "WorkerLostError"


def test_a_device_fault_ends_the_process_and_running_out_of_memory_does_not(row):
    def fault(message: str) -> int | None:
        def fail(row: Row) -> Row:
            raise RuntimeError(message)

        process = multiprocessing.get_context("fork").Process(target=isolated, args=("generate", row, fail, NOBODY))
        process.start()
        process.join(timeout=30)
        return process.exitcode

    assert fault("CUDA error: an illegal memory access was encountered") == 1
    assert fault("CUDA out of memory. Tried to allocate 2 GiB") == 0


def test_what_a_model_cannot_load_is_data_and_passing_trouble_is_waited_out(row, monkeypatch):
    monkeypatch.setattr(stages, "_LOAD_RETRY_S", 0)
    troubles = [RuntimeError("GPU busy"), RuntimeError("GPU busy")]

    def busy_at_first() -> str:
        if troubles:
            raise troubles.pop()
        return "model"

    def bad_file():
        raise ValueError("weights:\nbad")

    assert load_patiently("replica", busy_at_first) == "model"
    failure = load_patiently("replica", bad_file)
    assert isinstance(failure, LoadError)
    assert str(failure) == "replica: weights: bad"
    (failed,) = rows_of(GenerateStage(bad_file, NOBODY)(row_table(row)))
    assert (failed.error.type, failed.error.message) == ("LoadError", "replica: weights: bad")


def test_the_last_stage_hands_on_an_entry_without_frames(row):
    rejected = row.failed("prepare", ValueError("no frames"))
    table = write_stage(row_table(rejected), write=lambda row: pytest.fail("was written"), reporter=NOBODY)
    (entry,) = rows_of(table)
    assert (entry.index, entry.error.message, entry.video) == (3, "no frames", None)
    assert table.nbytes < 1000
