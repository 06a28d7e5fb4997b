"""`airshower plan` as a user meets it: a table, exit codes, what is made already."""

import re

import numpy as np
import pytest

from airshower.cluster.store import open_store
from airshower.configs.model_source import ModelSource
from airshower.configs.presets import preset
from airshower.pipelines.ledger.keyed_rows import with_keys
from airshower.pipelines.ledger.ledger import Ledger
from airshower.pipelines.media import write_video
from airshower.pipelines.planning.kinds import kinds_of
from airshower.pipelines.rows import read_rows
from tests.benchmarks.ledger import make


@pytest.fixture
def rows(tmp_path):
    frames = np.zeros((50, 36, 64, 3), np.uint8)
    write_video(tmp_path / "long.mp4", frames, 10)
    write_video(tmp_path / "short.mp4", frames[:9], 10)
    lines = [f'{{"prompt": "rain", "video_path": "{name}.mp4", "edge": {{}}}}' for name in ("short", "long", "short")]
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(lines))
    return path


@pytest.fixture
def farm(tmp_path):
    path = tmp_path / "farm.yaml"
    path.write_text("nodes: [{count: 2, cpus: 96, gpus: 8, gpu: H200}]")
    return path


def plan(call, *arguments):
    code, out, errors = call("plan", *map(str, arguments))
    return code, " ".join(out.split()), errors


def test_a_declared_cluster_is_planned_with_its_bill(call, rows, farm):
    flags = ("--model", "transfer2.5-2b", "--cluster", farm, "--price-per-gpu-hour", "3")
    code, words, _ = plan(call, rows, *flags)
    assert code == 0
    assert "3 rows for transfer2.5-2b on 2 nodes, 192 CPUs, 16 x H200" in words
    assert re.search(r"3 1280x704, 93 frames, 35 steps, edge 29\d\.\d", words)  # published models make whole chunks
    bill = re.search(r"ends after (\S+) .* ([\d.]+) GPU-hours, ([\d.]+) at the given price", words)
    ends, hours, cost = bill.groups()
    assert float(cost) == pytest.approx(3 * float(hours), rel=0.1)
    assert re.fullmatch(r"7:\d\d", ends)  # pools start, and one clip is written


def test_this_machine_makes_tiny_clips_longest_first(call, rows):
    code, words, _ = plan(call, rows, "--device", "cpu")
    assert code == 0
    long, short = words.index("256x144, 33 frames x 2 chunks"), words.index("256x144, 9 frames, 12 steps")
    assert long < short
    assert "0.0 GPU-hours -" in words


def test_what_the_run_folder_has_is_taken_off(call, rows, tmp_path):
    found = read_rows([str(rows)], overrides={}, preset=None)
    keyed = with_keys(found, ModelSource(preset=preset("tiny-transfer")), salt="")
    ledger = Ledger(open_store(tmp_path / "run"))
    ledger.require()
    make(ledger, keyed[1])
    code, words, _ = plan(call, rows, "--device", "cpu", "--output", tmp_path / "run")
    assert code == 0
    assert words.startswith("2 rows for tiny-transfer")
    assert "1 are made already; the times of 1 of them correct the plan" in words
    for row in (keyed[0], keyed[2]):
        make(ledger, row)
    code, words, _ = plan(call, rows, "--device", "cpu", "--output", tmp_path / "run")
    assert (code, words) == (0, "nothing to plan: 3 rows made already")


def test_rows_that_cannot_be_planned_are_named(call, rows, farm):
    rows.write_text(rows.read_text() + '\n{"prompt": "rain", "video_path": "none.mp4", "edge": {}}')
    (rows.parent / "short.mp4").write_bytes(b"no video")
    code, words, _ = plan(call, rows, "--model", "transfer2.5-2b", "--cluster", farm)
    assert code == 1
    assert words.startswith("1 row for")
    assert "not planned: rows-4: " in words
    assert re.search(r"not planned: rows-1: .*short.mp4: not a video", words)


def test_that_no_row_can_be_read_is_said_with_the_reason(call, rows):
    rows.write_text('{"prompt": "rain", "video_path": "none.mp4", "edge": {}}')
    code, words, _ = plan(call, rows)
    assert code == 1
    assert words.startswith("nothing to plan: no row can be read not planned: rows-1: ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--device", "cuda", "--cluster", "cpus.yaml"], r"device cuda: there is no GPU \(1 node, 4 CPUs, no GPU\)"),
        (["--price-per-gpu-hour", "L4=cheap"], "L4=cheap: write a price such as 3.2"),
        (["--cluster", "nowhere.yaml"], "nowhere.yaml"),
        (["--cluster", "cpus.yaml", "--address", "auto"], "--cluster and --address are both given"),
    ],
)
def test_wrong_calls_end_with_2_and_one_line(call, rows, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cpus.yaml").write_text("nodes: [{cpus: 4}]")
    code, _, errors = call("plan", str(rows), *arguments)
    assert code == 2
    assert re.fullmatch(rf"airshower: .*{message}.*\n", errors), errors


def test_of_many_files_only_some_are_looked_at(rows):
    found = read_rows([str(rows)], overrides={}, preset=None)
    kinds = kinds_of(found, preset("tiny-transfer"), most_looked_at=1)
    assert kinds.assumed in (1, 2)
    assert len(kinds.of_row) == 3
