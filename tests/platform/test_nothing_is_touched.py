"""Every command leaves every byte that it didn't write: checksums before and after, through the command line."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from airshower.pipelines.world.dataset import write_dataset
from tests.quick_runs import lines

SPEC = {"prompt": "rain", "video_path": "drive.mp4", "edge": {}}


def everything(folder: Path) -> dict[str, bytes | str]:
    """All files with what they hold, links with where they point to."""
    paths = {
        str(path.relative_to(folder)): path for path in folder.rglob("*") if not path.is_dir() or path.is_symlink()
    }
    return {name: os.readlink(path) if path.is_symlink() else path.read_bytes() for name, path in paths.items()}


@pytest.fixture
def sources(tmp_path) -> Path:
    """A folder of specs and their video."""
    folder = tmp_path / "sources"
    folder.mkdir()
    (folder / "drive.mp4").write_bytes(b"source")
    (folder / "drive.json").write_text(json.dumps(SPEC))
    (folder / "rows.jsonl").write_text(json.dumps({**SPEC, "name": "night"}))
    return folder


def a_file(name: str) -> Callable[[Path], object]:
    def make(folder: Path) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"mine")

    return make


@pytest.mark.parametrize(
    ("given", "put", "named"),
    [
        (("drive.json",), lambda folder: None, "drive.json, drive.mp4,"),
        ((".",), lambda folder: None, "drive.json, drive.mp4,"),
        (("rows.jsonl",), a_file("night.jpg"), "night.jpg,"),
        (("rows.jsonl",), a_file("night_control_edge.mp4"), "night_control_edge.mp4,"),
        (("rows.jsonl",), lambda folder: (folder / "night.mp4").symlink_to("drive.mp4"), "night.mp4,"),
        (("rows.jsonl",), lambda folder: (folder / "night.mp4").symlink_to("data/mine/night.mp4"), "night.mp4,"),
        (("rows.jsonl",), lambda folder: (folder / "night.json").mkdir(), "night.json,"),
        (("rows.jsonl",), a_file("index.html"), "index.html,"),
        (("rows.jsonl",), a_file("report.html"), "report.html,"),
        (("rows.jsonl",), a_file("manifest.parquet"), "manifest.parquet,"),
        (("rows.jsonl",), a_file("data/a.mp4"), "data/,"),
        (("rows.jsonl",), a_file("ledger/ledger.json"), "unknown|ledger/,"),
        (("rows.jsonl",), a_file("ledger/accounts.csv"), "ledger/,"),
        (("rows.jsonl",), a_file("telemetry/log"), "telemetry/,"),
        (("rows.jsonl",), a_file("service.lock"), "is the work folder of a service"),
    ],
)
def test_generate_refuses_a_folder_in_which_it_would_replace_something(call, sources, monkeypatch, given, put, named):
    monkeypatch.chdir(sources)
    put(sources)
    before = everything(sources)
    code, _, errors = call("generate", *given, "--output", ".")
    assert code == 2
    assert re.fullmatch(rf"airshower: .*({named}).*another --output\n", errors), errors
    assert everything(sources) == before


def test_generate_into_the_folder_of_its_sources_where_nothing_clashes(quick, call, sources, monkeypatch):
    monkeypatch.chdir(sources)
    before = everything(sources)
    for _ in range(2):
        assert call("generate", "rows.jsonl", "--output", ".")[0] == 0
        assert {name: data for name, data in everything(sources).items() if name in before} == before
    assert lines(sources) == [("night", "done")]
    code, _, errors = call("generate", ".", "--output", "elsewhere")
    assert code == 0, errors  # drive.json and rows.jsonl: what the run wrote is no spec
    assert lines(sources / "elsewhere") == [("drive", "done"), ("night", "done")]
    assert "is what a run wrote of a clip, no spec" in call("generate", "night.json", "--output", "third")[1]
    (sources / "drive.json").write_text(json.dumps({**SPEC, "name": "night", "seed": 5}))
    (sources / "night.json").unlink()
    (sources / "night.json").write_text("mine")
    before = everything(sources)
    code, _, errors = call("generate", "drive.json", "--output", ".")
    assert (code, "holds night.json, where clips" in errors) == (2, True)
    assert everything(sources) == before


def test_what_was_put_in_the_place_of_a_runs_files_is_kept(quick, call, sources, tmp_path):
    output = tmp_path / "run"
    again = ("generate", str(sources / "rows.jsonl"), "--output", str(output))
    assert call(*again)[0] == 0
    for name in ("night.json", "night.mp4"):
        (output / name).unlink()
        (output / name).write_text("mine")
    for name in ("index.html", "report.html"):
        (output / name).write_text((output / name).read_text().replace("night", "mine"))
    mine = {name: everything(output)[name] for name in ("night.json", "night.mp4", "index.html", "report.html")}
    code, _, errors = call(*again)
    assert code == 0
    assert "night.json, night.mp4: no longer what a run wrote there: kept as they are" in errors
    for page in ("gallery", "report"):
        assert re.search(rf"no {page}: .*was not written by a run, or changed since: it is kept: move it away", errors)
    assert call("report", str(output))[0] == 2
    assert call("report", str(output), "--output", str(output / "night.json"))[0] == 2
    assert {name: everything(output)[name] for name in mine} == mine
    (output / "manifest.parquet").write_bytes((output / "manifest.parquet").read_bytes()[:100])
    assert call(*again)[0] == 0
    (kept,) = (output / "ledger" / "damaged").iterdir()
    assert kept.stat().st_size == 100
    (output / "index.html").unlink()
    assert call(*again)[0] == 0
    assert "night" in (output / "index.html").read_text()


def test_what_comes_while_a_run_is_under_way_is_kept(quick, call, sources, tmp_path):
    output = tmp_path / "run"
    quick.on_row = lambda row: (output / "night.mp4").write_text("mine")
    code, _, errors = call("generate", str(sources / "rows.jsonl"), "--output", str(output))
    assert code == 0
    assert re.search(r"night.mp4: no run wrote that: it is kept, and the clip is data/night-\w+/night.mp4", errors)
    assert (output / "night.mp4").read_text() == "mine"


def test_data_sample(call, tmp_path):
    shape = {"frames": 1, "fps": 10, "height": 48, "width": 64, "supersample": 1}
    list(write_dataset(tmp_path, clips=1, seed=5, **shape))
    (tmp_path / "street_00006").mkdir()
    before = everything(tmp_path)
    code, _, errors = call("data", "sample", str(tmp_path), "--clips", "2", "--seed", "5", "--size", "64x48")
    assert code == 2
    assert "holds street_00005/, street_00006/, not as this call writes it: nothing is made: give another DIR" in errors
    assert everything(tmp_path) == before


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (("train", "tiny-autoencoder"), "model/config.json"),
        (("train", "tiny-transfer"), "autoencoder/notes.txt"),
        (("train", "tiny-transfer"), "clips/mine.json"),
        (("evaluate",), "evaluation.md"),
        (("evaluate",), "data/scene.mp4"),
        (("evaluate",), "clips/mine.mp4"),
    ],
)
def test_train_and_evaluate(call, tmp_path, command, name):
    a_file(name)(tmp_path)
    before = everything(tmp_path)
    code, _, errors = call(*command, "--output", str(tmp_path))
    assert code == 2
    taken = name.split("/")[0]
    assert f"holds {taken}, which this command would write and didn't, or which changed since" in errors
    assert everything(tmp_path) == before
