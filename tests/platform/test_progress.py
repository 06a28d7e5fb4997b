"""Progress under a real pseudo-terminal and through a pipe, and the figures behind it."""

import io
import os
import pty
import subprocess
import sys
import time

import pytest

from airshower.pipelines.events import (
    Expected,
    Loaded,
    Planned,
    PoolsStarted,
    RowDone,
    RowFailed,
    RowProgress,
    RunStarted,
    StageFinished,
    Working,
)
from airshower.platform.progress import RunProgress, clock_words, printable, show_progress

RUN = """
import sys, time
from airshower.pipelines.events import *
from airshower.platform.progress import RunProgress, show_progress
with show_progress(RunProgress(), sys.stderr, interval_s=0.1) as on_event:
    on_event(RunStarted(rows=3))
    on_event(RowFailed(index=2, name="bad", stage="read", message="bad: seed\\x1b[31m is too large"))
    on_event(PoolsStarted(replicas=1, device="cpu"))
    for stage in ("prepare", "text", "generate", "write"):
        on_event(StageFinished(index=0, name="good", stage=stage, seconds=0.1))
    time.sleep(0.4)
    on_event(RowDone(index=0, name="good", video="good.mp4", seconds={}))
    time.sleep(0.4)
"""


def run_under_terminal(code: str) -> str:
    """What a terminal of 100 columns gets on stderr."""
    master, slave = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "30"}
    process = subprocess.Popen([sys.executable, "-c", code], stderr=slave, env=environment)
    os.close(slave)
    chunks = []
    while True:
        try:
            chunk = os.read(master, 65536)
        except OSError:  # Linux's way to say that the other end is closed
            break
        if not chunk:
            break
        chunks.append(chunk)
    os.close(master)
    assert process.wait(timeout=30) == 0
    return b"".join(chunks).decode()


def test_a_terminal_shows_a_live_display_and_keeps_failures():
    shown = run_under_terminal(RUN)
    assert "\x1b[" in shown
    assert "1 of 3 done" in shown
    assert "generate" in shown
    assert "failed in read: bad: seed\\x1b[31m is too large" in shown.replace("\x1b[31m", "").replace("\x1b[0m", "")


def test_a_pipe_gets_plain_lines_without_control_codes():
    result = subprocess.run([sys.executable, "-c", RUN], capture_output=True, text=True, timeout=30, check=True)
    assert result.stdout == ""
    assert "\x1b" not in result.stderr
    assert "\r" not in result.stderr
    lines = result.stderr.splitlines()
    assert lines[0] == "3 clips to make"
    assert "failed in read: bad: seed\\x1b[31m is too large" in lines
    assert "loading 1 replica on cpu" in lines
    assert any(line.startswith("1 of 3 done, 1 failed, loading 1 replica on cpu, prepare ") for line in lines)


def test_figures_follow_the_events():
    now = [0.0]
    progress = RunProgress(clock=lambda: now[0])
    progress.add(RunStarted(rows=5))
    progress.add(RowFailed(index=4, name="e", stage="read", message="bad"))
    now[0] = 10.0
    progress.add(PoolsStarted(replicas=2, device="cpu"))
    assert progress.eta_s is None
    now[0] = 20.0
    for index in range(2):
        progress.add(StageFinished(index=index, name="row", stage="generate", seconds=4))
    progress.add(RowDone(index=0, name="row", video="row.mp4", seconds={}))
    progress.add(RowProgress(index=2, name="row", fraction=0.5))
    assert progress.in_flight == 2
    assert progress.generating == (0.5,)
    assert progress.rate("generate") == "5.0 s per row"
    assert progress.rate("write") == ""
    assert progress.eta_s == pytest.approx(1.5 * 10 / 2.5)  # 1.5 clips are left, 2.5 took the 10 s since the start


def test_the_start_is_told_and_counts():
    file, now = io.StringIO(), [0.0]
    progress = RunProgress(clock=lambda: now[0])
    with show_progress(progress, file) as on_event:
        on_event(RunStarted(rows=5))
        on_event(Working(words="starting Ray"))
        assert progress.state == "starting Ray"
        now[0] = 8.0
        end = Expected(seconds=42, low_s=12, high_s=92)
        on_event(Planned(pools="2 replicas on CPUs", end=end, gpu_hours=0.0))
        on_event(PoolsStarted(replicas=2, device="cpu"))
        assert progress.eta_s == 42
        now[0] = 20.0
        for loader in "abc":  # one in the place of another
            on_event(Loaded(loader=loader, what="replica"))
        on_event(Loaded(loader="d", what="text encoder"))
    assert progress.state == "2 replicas on cpu"
    assert file.getvalue().splitlines() == [
        "5 clips to make",
        "starting Ray",
        "planned: 2 replicas on CPUs, the end after about 0:50 (0:20 to 1:40)",
        "loading 2 replicas on cpu",
        "1 of 2 replicas loaded after 0:20",
        "2 of 2 replicas loaded after 0:20",
    ]


def test_an_end_that_is_near_is_not_now_and_one_that_is_over_is_not_told():
    now = [0.0]
    progress = RunProgress(clock=lambda: now[0])
    progress.add(RunStarted(rows=1))
    progress.add(Expected(seconds=30, low_s=10, high_s=90))
    now[0] = 30.4
    assert progress.eta_s == 1.0
    now[0] = 36.0
    assert progress.eta_s is None


def test_a_flood_of_failures_is_cut_short():
    file = io.StringIO()
    with show_progress(RunProgress(), file) as on_event:
        for index in range(1000):
            on_event(RowFailed(index=index, name=f"row{index}", stage="read", message="bad"))
    lines = file.getvalue().splitlines()
    assert len(lines) < 30
    assert "manifest.parquet" in lines[-1]


def test_rows_of_a_stopped_run_are_not_told_one_by_one():
    file = io.StringIO()
    progress = RunProgress()
    with show_progress(progress, file) as on_event:
        on_event(RowFailed(index=0, name="row", stage="run", message="row: not generated: stopped"))
    assert file.getvalue() == ""
    assert progress.failed == 1


def test_an_unknown_event_is_an_error():
    with pytest.raises(TypeError, match="float is no event"):
        RunProgress().add(time.time())  # type: ignore[arg-type]


def test_words():
    assert [clock_words(seconds) for seconds in (7, 754, 3723)] == ["0:07", "12:34", "1:02:03"]
    assert printable("rain\x1b[2J\n雨") == "rain\\x1b[2J\\n雨"
