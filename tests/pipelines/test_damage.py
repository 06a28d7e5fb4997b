"""Damage to a run folder, kind by kind: it is told, never believed, and mended by the next run of the same command."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from airshower.cluster.store import open_store
from airshower.pipelines.ledger.damage import damaged_by_content
from airshower.pipelines.ledger.ledger import Ledger
from airshower.pipelines.ledger.run_records import RunRecords
from airshower.pipelines.own_files import InTheWayError
from tests.quick_runs import Outcome, QuickRuns, lines

ROWS = ("a", "b", "bad")


@dataclass(kw_only=True)
class Whole:
    """A folder in order, made once, and what makes its rows again."""

    folder: Path
    quick: QuickRuns

    def again(self, output: Path, **settings: object) -> Outcome:
        return self.quick.run(output, *ROWS, **settings)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Iterator[Whole]:
    place = tmp_path_factory.mktemp("damage")
    (place / "inputs").mkdir()
    quick = QuickRuns(inputs=place / "inputs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("airshower.pipelines.generate._make", quick.make)
        quick.run(place / "run", "a")
        quick.run(place / "run", *ROWS, fresh=True)  # so that a fresh start can be lost
        yield Whole(folder=place / "run", quick=quick)


@pytest.fixture
def run(whole, tmp_path) -> Path:
    """A copy of it, at another place."""
    return Path(shutil.copytree(whole.folder, tmp_path / "moved", symlinks=True))


def commit_of(run: Path, name: str) -> Path:
    (path,) = (path for path in run.glob("ledger/commits/1/*/*.json") if json.loads(path.read_text())["name"] == name)
    return path


def made_of(run: Path, file: str) -> Path:
    """A committed file, not the link to it."""
    return (run / file).resolve()


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def garbage(path: Path) -> None:
    path.write_bytes(b"\xff\x00 garbage {")


def flip(path: Path) -> None:
    """One byte in its middle."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def the_manifest(damage: Callable[[Path], None]) -> Callable[[Path], None]:
    return lambda run: damage(run / "manifest.parquet")


def a_file(name: str, damage: Callable[[Path], None]) -> Callable[[Path], None]:
    return lambda run: damage(made_of(run, name))


def a_commit(damage: Callable[[Path], None]) -> Callable[[Path], None]:
    return lambda run: damage(commit_of(run, "a"))


def the_only(pattern: str, damage: Callable[[Path], None]) -> Callable[[Path], None]:
    def do(run: Path) -> None:
        (path,) = run.glob(pattern)
        damage(path)

    return do


def moved_within(run: Path) -> None:
    video = made_of(run, "a.mp4")
    video.rename(video.with_name("other.mp4"))


def others_record(run: Path) -> None:
    made_of(run, "a.json").write_bytes(made_of(run, "b.json").read_bytes() + b"\n" * 99)


def others_commit(run: Path) -> None:
    commit_of(run, "a").write_bytes(commit_of(run, "b").read_bytes())


def all_data(run: Path) -> None:
    shutil.rmtree(run / "data")


def all_runs(run: Path) -> None:
    shutil.rmtree(run / "ledger" / "runs")
    shutil.rmtree(run / "ledger" / "epochs")
    (run / "ledger" / "epochs").mkdir()
    (run / "ledger" / "epochs" / "1").touch()
    (run / "ledger" / "epochs" / "one").touch()


LAST_RUN = "ledger/runs/1/*/run.json"

# What is done to a folder; which rows are made again by it; what is told.
KINDS: dict[str, tuple[Callable[[Path], None], tuple[str, ...], str]] = {
    "manifest deleted": (the_manifest(Path.unlink), (), "manifest.parquet is missing: it is written again"),
    "manifest cut": (the_manifest(cut), (), "manifest.parquet is damaged: it is written again"),
    "manifest of garbage": (the_manifest(garbage), (), "manifest.parquet is damaged: it is written again"),
    "manifest empty": (the_manifest(empty), (), "manifest.parquet is damaged: it is written again"),
    "manifest flipped": (the_manifest(flip), (), ""),
    "record cut": (a_file("a.json", cut), ("a",), r"a\.json has \d+ bytes, \d+ were committed"),
    "record of garbage": (a_file("a.json", garbage), ("a",), r"a\.json has \d+ bytes, \d+ were committed"),
    "record deleted": (a_file("a.json", Path.unlink), ("a",), r"a\.json is missing: this clip is made again"),
    "record of another row": (others_record, ("a",), r"a\.json has \d+ bytes, \d+ were committed"),
    "video cut": (a_file("a.mp4", cut), ("a",), r"a\.mp4 has \d+ bytes, \d+ were committed"),
    "video deleted": (a_file("a.mp4", Path.unlink), ("a",), r"a\.mp4 is missing: this clip is made again"),
    "video moved": (moved_within, ("a",), r"a\.mp4 is missing: this clip is made again"),
    "video flipped": (a_file("a.mp4", flip), ("a",), r"a\.mp4 has other content than was committed"),
    "all data deleted": (all_data, ("a", "b"), r"b\.mp4 is missing|b\.json is missing"),
    "links deleted": (lambda run: [(run / name).unlink() for name in ("a.mp4", "a.json")], (), ""),
    "head deleted": (lambda run: (run / "ledger/ledger.json").unlink(), (), ""),
    "head of garbage": (
        lambda run: garbage(run / "ledger/ledger.json"),
        (),
        r"ledger\.json was damaged: it is written",
    ),
    "head empty": (lambda run: empty(run / "ledger/ledger.json"), (), r"ledger\.json was damaged: it is written again"),
    "commit deleted": (a_commit(Path.unlink), ("a",), ""),
    "commit cut": (a_commit(cut), ("a",), r"\.0\.json: is damaged, no commit of this ledger"),
    "commit of garbage": (a_commit(garbage), ("a",), r"\.0\.json: is damaged, no commit of this ledger"),
    "commit empty": (a_commit(empty), ("a",), r"\.0\.json: is damaged, no commit of this ledger"),
    "commit of another row": (others_commit, ("a",), r"\.0\.json: is damaged, the commit of another key"),
    "failure deleted": (the_only("ledger/failed/1/*/*.json", Path.unlink), (), ""),
    "failure of garbage": (the_only("ledger/failed/1/*/*.json", garbage), (), r"\.1\.json: is damaged, no failure of"),
    "run deleted": (the_only(LAST_RUN, Path.unlink), (), ""),
    "run of garbage": (the_only(LAST_RUN, garbage), (), ""),
    "runs and epochs": (all_runs, (), ""),
    "keys cut": (the_only("ledger/runs/1/*/keys", cut), (), ""),
    "fresh start lost": (lambda run: (run / "ledger/epochs/1").unlink(), (), ""),
    "superseded of garbage": (lambda run: garbage(run / "ledger/superseded"), (), ""),
}

SAME_SIZE = ("video flipped", "commit of another row")  # which only reading tells


@pytest.mark.parametrize("kind", KINDS)
def test_damage_is_told_never_believed_and_mended(whole, run, kind):
    damage, made_again, told = KINDS[kind]
    damage(run)
    outcome = whole.again(run, verify=kind in SAME_SIZE)
    assert outcome.done == list(made_again)
    assert re.search(told, "\n".join(outcome.warnings)), outcome.warnings
    assert [line for line in outcome.warnings if not told] == []
    assert sorted(lines(run)) == [("a", "done"), ("b", "done"), ("bad", "failed")]
    ledger = Ledger(open_store(run))
    assert damaged_by_content(ledger, ledger.committed()) == {}
    assert len(ledger.committed()) == 2
    for name in ("a.mp4", "a.json", "b_control_edge.mp4"):
        assert made_of(run, name).is_file()
    assert json.loads((run / "a.json").read_text())["name"] == "a"
    settled = whole.again(run)
    assert (settled.done, settled.warnings, settled.summary.kept) == ([], [], 2)
    RunRecords(ledger).all(lambda line: None)  # is no traceback


def test_clips_that_no_command_asks_for_are_not_shown_once_they_are_damaged(whole, run):
    made_of(run, "b.mp4").unlink()
    outcome = whole.quick.run(run, "a")
    assert [re.sub(".*/", "", line) for line in outcome.warnings] == [
        "b.mp4 is missing: this clip is left out until its command is run again"
    ]
    assert lines(run) == [("a", "done"), ("b", "failed"), ("bad", "failed")]
    assert whole.again(run).done == ["b"]
    assert lines(run) == [("a", "done"), ("b", "done"), ("bad", "failed")]


def test_a_clip_whose_files_come_back_counts_again(whole, run):
    video = made_of(run, "b.mp4")
    video.rename(run / "elsewhere")
    whole.quick.run(run, "a")
    (run / "elsewhere").rename(video)
    assert whole.again(run).summary.kept == 2
    assert lines(run) == [("a", "done"), ("b", "done"), ("bad", "failed")]


def test_the_manifest_of_another_folder_is_not_believed(whole, run, tmp_path):
    whole.quick.run(tmp_path / "other", "a", "c", "bad", "bad-too")
    shutil.copy(tmp_path / "other" / "manifest.parquet", run / "manifest.parquet")
    assert whole.again(run).summary.kept == 2
    assert lines(run) == [("a", "done"), ("b", "done"), ("bad", "failed")]


def test_a_folder_on_object_storage(whole, bucket):
    run = "s3://drives/run"
    whole.again(run)
    keys = [item["Key"] for item in bucket.list_objects_v2(Bucket="drives")["Contents"]]
    (video,) = (key for key in keys if key.endswith("/a.mp4"))
    (commit,) = (key for key in keys if "/commits/" in key and b'"name":"b"' in read(bucket, key))
    bucket.put_object(Bucket="drives", Key=video, Body=b"cut")
    bucket.put_object(Bucket="drives", Key=commit, Body=b"garbage")
    bucket.put_object(Bucket="drives", Key="run/manifest.parquet", Body=b"garbage")
    outcome = whole.again(run)
    assert (outcome.done, len(outcome.warnings)) == (["a", "b"], 3)
    settled = whole.again(run)
    assert (settled.done, settled.warnings, settled.summary.kept) == ([], [], 2)
    bucket.put_object(Bucket="drives", Key="mine/index.html", Body=b"mine")
    bucket.put_object(Bucket="drives", Key="mine/data/a.mp4", Body=b"mine")
    with pytest.raises(InTheWayError, match=r"s3://drives/mine: holds data/, index.html, which no run wrote"):
        whole.again("s3://drives/mine")
    assert len(bucket.list_objects_v2(Bucket="drives", Prefix="mine/")["Contents"]) == 2


def read(bucket, key: str) -> bytes:
    return bucket.get_object(Bucket="drives", Key=key)["Body"].read()


def test_two_runs_that_meet_one_damage_mend_it_once(whole, run):
    made_of(run, "a.mp4").unlink()

    def other_run(row):
        whole.quick.on_row = lambda row: None
        assert whole.again(run).done == ["a"]

    whole.quick.on_row = other_run
    whole.again(run)
    ledger = Ledger(open_store(run))
    assert sorted(file.edition for file in ledger.committed().values()) == [0, 1]
    assert damaged_by_content(ledger, ledger.committed()) == {}
    assert lines(run) == [("a", "done"), ("b", "done"), ("bad", "failed")]
