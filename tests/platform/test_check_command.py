"""`airshower check` and what it shares with other commands: a limit, a row by flags, rows on standard input."""

import io
import json
import re
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from airshower.pipelines import row_files
from airshower.pipelines.media import write_video
from tests.pipelines.decoding.numbered import write


@pytest.fixture
def rows(tmp_path, monkeypatch):
    """A table of four rows: fine, two faults, no video, a stray quote; in the working directory."""
    write_video(tmp_path / "in.mp4", np.zeros((5, 36, 64, 3), np.uint8), 10)
    (tmp_path / "words.mp4").write_text("no video")
    (tmp_path / "rows.csv").write_text(
        "name,prompt,video_path,edge,seed\n"
        "a,rain,in.mp4,{},1\n"
        "b,rain,no.mp4,{},-1\n"
        "c,rain,words.mp4,{},3\n"
        'd,"rain" on,in.mp4,{},4\n'
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path / "rows.csv"


def test_every_fault_of_every_row_is_said(call, rows):
    code, out, errors = call("check", "rows.csv")
    lines = out.splitlines()
    assert (code, errors) == (1, "")
    assert [line.partition(":")[0] for line in lines] == [
        f"{rows} line 3 (b)",
        f"{rows} line 4 (c)",
        f"{rows} line 5 (rows-5)",
        "1 of 4 rows are fine",
    ]
    assert "seed -1 must be" in lines[0]
    assert f"; video_path: {rows.parent}/no.mp4 does not exist" in lines[0]
    assert "video_path: " in lines[1]
    assert "words.mp4" in lines[1].partition("): ")[2]
    code, out, _ = call("check", "rows.csv", "--no-headers", "--json")
    found = json.loads(out)
    assert (code, found["rows"], found["fine"]) == (1, 4, 2)
    assert [(row["index"], row["name"]) for row in found["errors"]] == [(1, "b"), (3, "rows-5")]
    assert found["errors"][1]["source"] == f"{rows} line 5"
    assert found["errors"][1]["message"].startswith("has a quote that is not closed")


def test_a_row_that_keeps_damaged_frames_is_fine_with_a_damaged_first_one(call, tmp_path):
    write(tmp_path / "in.avi", codec="mjpeg", pixel_format="yuvj420p")
    content = bytearray((tmp_path / "in.avi").read_bytes())
    scan = content.index(b"\xff\xda", content.index(b"movi"))
    content[scan + 30 : scan + 60] = bytes(30)
    (tmp_path / "in.avi").write_bytes(content)
    row = ("check", "--video-path", str(tmp_path / "in.avi"), "--prompt", "rain", "--edge")
    assert call(*row)[0] == 1
    code, out, _ = call(*row, "--keep-damaged-frames")
    assert (code, out) == (0, "1 of 1 row is fine\n")


@pytest.mark.parametrize(
    ("arguments", "code", "out"),
    [
        (["rows.csv", "--limit", "1"], 0, "1 of 1 row is fine"),
        (["rows.csv", "--limit", "1", "--max-frames", "3", "--vis"], 0, "1 of 1 row is fine"),
        (["rows.csv", "--limit", "1", "--depth"], 1, "depth without control_path: needs annotators"),
        (["rows.csv", "--limit", "1", "--model", "tiny-multiview"], 1, "makes clips of several cameras"),
        (["--video-path", "in.mp4", "--prompt", "rain", "--edge"], 0, "1 of 1 row is fine"),
        (["--video-path", "no.mp4", "--prompt", "rain", "--edge"], 1, "command line (no): video_path: "),
    ],
)
def test_flags_are_those_of_generate(call, rows, arguments, code, out):
    found = call("check", *arguments)
    assert found[0] == code
    assert out in found[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], 'no rows: give SPECS, or a row by flags: --video-path my.mp4 --prompt "a street" --edge'),
        (["nowhere.json"], "nowhere.json does not exist: give a spec file"),
        (["rows.csv", "--limit", "0"], "'--limit'.*greater than or equal to 1"),
        (["rows.csv", "--annotators", "nowhere"], "annotators 'nowhere' is no folder"),
        (["rows.csv", "views.json", "--no-headers"], "rows are for different models"),
    ],
)
def test_wrong_calls_end_with_2_and_one_line(call, rows, arguments, message):
    views = {"prompt": "rain", "front_wide": {"control_path": "in.mp4"}, "num_conditional_frames": 0}
    (rows.parent / "views.json").write_text(json.dumps(views))
    code, _, errors = call("check", *arguments)
    assert code == 2
    assert re.fullmatch(rf"airshower: .*{message}.*\n", errors), errors


def test_rows_are_piped_into_every_command_that_takes_rows(call, rows, monkeypatch):
    def piped(*arguments):
        text = json.dumps({"prompt": "rain", "video_path": "in.mp4", "edge": {}})
        monkeypatch.setattr(row_files.sys, "stdin", SimpleNamespace(buffer=io.BytesIO(text.encode())))
        return call(*arguments)

    assert piped("check", "-")[:2] == (0, "1 of 1 row is fine\n")
    assert piped("plan", "-", "--device", "cpu")[1].startswith("1 row")
    assert "(stdin)" in piped("memory", "-", "--gpu-gib", "24")[1]
    code, _, errors = piped("submit", "--address", "http://nowhere", "--", "generate", "-", "--output", "s3://b/run")
    assert (code, errors) == (
        2,
        "airshower: rows on standard input don't reach a job: write them to a file, and name it\n",
    )


def test_neither_ray_nor_torch_is_loaded(rows):
    code = (
        "import sys; from airshower.platform.cli import _run; print(_run(['check', 'rows.csv', '--limit', '1']));"
        "print([name for name in ('ray', 'torch', 'transformers') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=rows.parent, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["1 of 1 row is fine", "0", "[]"]
