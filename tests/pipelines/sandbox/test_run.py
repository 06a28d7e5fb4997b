"""A call in a sandbox answers, or fails alone with one line; it reads what it was given and can do nothing else."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from airshower.configs.camera_file import CameraTrack, Intrinsics
from airshower.configs.messages import PackedFrames, PreparedClip
from airshower.pipelines.decoding.errors import MediaError
from airshower.pipelines.sandbox.confinement import lacking
from airshower.pipelines.sandbox.limits import SandboxLimits
from airshower.pipelines.sandbox.messages import BLOB, FAILED, HEADER, VALUE, put_together, taken_apart
from airshower.pipelines.sandbox.run import SandboxError, StoppedError, sandboxed
from tests.pipelines.sandbox import calls
from tests.processes import commands_below, is_running

LIMITS = SandboxLimits(memory_bytes=256 << 20, timeout_s=60)
CHILD = "airshower.pipelines.sandbox.child"


def run(function, *arguments, limits=LIMITS, readable=(), **how):
    return sandboxed(function, *arguments, limits=limits, readable=readable, **how)


def children():
    return [process for process, command in commands_below() if CHILD in command]


@pytest.fixture
def file(tmp_path):
    (tmp_path / "video.mp4").write_text("frames")
    return str(tmp_path / "video.mp4")


def test_values_come_back_as_they_are():
    track = CameraTrack(
        width_px=4,
        height_px=2,
        intrinsics_px=Intrinsics(fx=1.5, fy=1, cx=2, cy=1),
        camera_to_world=[[[0.1, 0, 0, 1], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]],
    )
    packed = PackedFrames(data=b"\0\xff", frames=1, height=1, width=2)
    clip = PreparedClip(
        fps=29.97,
        frames=1,
        height=1,
        width=2,
        input_height=1,
        input_width=2,
        controls={"edge": packed},
        masks={},
        shown_input=b"mp4",
        camera_tracks={"camera": track},
        warnings=("a", "\ud800"),
    )
    for value in (clip, {"a": (1, 2.5, None, "é\n")}, packed):
        text, blobs = taken_apart(value)
        answer = json.loads(text)
        assert put_together(answer["value"], [bytes(blob) for blob in blobs]) == value
    whole = run(calls.frames)
    assert (whole.data[:13], len(whole.data)) == (bytes([*range(12), 0]), 1_200_000)


@pytest.mark.skipif(bool(lacking()), reason=f"this kernel can't bar {lacking()}")
def test_nothing_but_the_named_files_can_be_reached(file, tmp_path):
    other = tmp_path / "other.mp4"
    other.write_text("of somebody else")
    assert run(calls.read, file, readable=[file]) == "frames"
    assert run(calls.read, file, readable=[str(tmp_path)]) == "frames"
    became = run(calls.attempts, str(other), readable=[file])
    assert {name for name, end in became.items() if end == "done"} == set()
    assert became["files"] == "Too many open files"
    assert other.read_text() == "of somebody else"


def test_the_child_starts_with_nothing_of_its_parents(monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    there = run(calls.surroundings)
    assert "AWS_SECRET_ACCESS_KEY" not in there["environment"]
    assert there["heavy"] == ()
    assert there["threads"] == 1  # rights are given up by the one that there is


@pytest.mark.parametrize(
    ("kind", "raised", "message"),
    [
        ("MediaError", MediaError, "a.mp4: damaged"),
        ("FileNotFoundError", FileNotFoundError, "a.mp4 does not exist"),
        ("KeyError", RuntimeError, "the row's files: KeyError: 'a bug'"),
    ],
)
def test_errors_are_raised_here(kind, raised, message):
    with pytest.raises(raised) as error:
        run(calls.fail, kind, message.rpartition("KeyError: ")[2].strip("'"))
    assert (type(error.value), str(error.value)) == (raised, message)


@pytest.mark.parametrize(
    ("call", "limits", "message"),
    [
        (calls.fill_memory, LIMITS, "needs more memory than a row may take here: set max_frames, or make it smaller"),
        (calls.crash, LIMITS, r"ended the process that read it \(SIGSEGV\): it is damaged, or made to do harm: copy"),
        (calls.leave, LIMITS, r"ended the process that read it \(exit code 3\): it is damaged, or made to do harm"),
        (
            calls.spin,
            SandboxLimits(memory_bytes=1 << 30, timeout_s=2),
            "reading it took (longer|more CPU time) than the 2 s that a row may take here: set max_frames, or make it",
        ),
        (
            calls.sleep,
            SandboxLimits(memory_bytes=1 << 30, timeout_s=2),
            "reading it took longer than the 2 s that a row",
        ),
    ],
)
def test_what_it_may_not_take_is_one_line_that_names_the_file(file, call, limits, message):
    with pytest.raises(SandboxError, match=f"^{file}: {message}"):
        run(call, file, limits=limits, readable=[file])
    assert not children()


def message(kind, body, length=None):
    return HEADER.pack(kind, len(body) if length is None else length) + body


@pytest.mark.parametrize(
    "data",
    [
        b"\x80\x04cos\nsystem\n(S'touch /tmp/x'\ntR." * 9,  # a pickle
        message(VALUE, b'{"value": {"\\u0000record": "eval"}, "blobs": 0}'),
        message(VALUE, b'{"value": {"\\u0000blob": 9}, "blobs": 0}'),
        message(VALUE, b'{"value": 1, "blobs": 1}') + message(FAILED, b"[]"),
        message(VALUE, b"[" * 5000),
        message(FAILED, b'{"a": 1}'),
        message(BLOB, b"", length=1 << 60),
        message(VALUE, b"", length=1 << 60),
    ],
)
def test_an_answer_that_is_none_does_no_harm(data):
    with pytest.raises(
        SandboxError, match="the process that read it gave no answer: it is damaged, or made to do harm"
    ):
        run(calls.answer, data)


def test_it_ends_when_its_caller_needs_it_no_longer(file):
    with pytest.raises(StoppedError):
        run(calls.sleep, file, readable=[file], stopped=lambda: bool(children()))
    assert not children()


def test_it_ends_with_its_parent(file):
    code = f"""
from tests.pipelines.sandbox import calls, test_run
test_run.run(calls.sleep, {file!r}, readable=[{file!r}])
"""
    parent = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    deadline_s = time.monotonic() + 60
    while not children():
        assert time.monotonic() < deadline_s
        time.sleep(0.05)
    (child,) = children()
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    while is_running(child.pid):
        assert time.monotonic() < deadline_s
        time.sleep(0.05)
