"""Running rows again: what the ledger has is kept, what it lacks is made, through changes, faults and lost drivers."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import ray

from airshower.cluster.packing import pack_frames, unpack_frames
from airshower.cluster.session import ray_session
from airshower.cluster.store import open_store
from airshower.configs.gang_layout import GangLayout
from airshower.configs.messages import GeneratedClip, PreparedClip, Row, TextEmbedding
from airshower.configs.model_source import ModelSource
from airshower.configs.presets import tiny_transfer
from airshower.configs.spec import ClipSpec, EdgeSpec
from airshower.pipelines.events import RowDone
from airshower.pipelines.follow import RunError
from airshower.pipelines.generate import GenerateSettings, generate
from airshower.pipelines.graph import GraphParts
from airshower.pipelines.ledger.cleaning import orphans
from airshower.pipelines.ledger.ledger import Ledger
from airshower.pipelines.ledger.run_records import RunRecords
from airshower.pipelines.run import RunSummary

pytestmark = pytest.mark.cluster
ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers can't import test files

SETTINGS = GenerateSettings(source=ModelSource(preset=tiny_transfer()), replicas=1, stall_timeout_s=60)


class Replica:
    """Inverts its input, unless the input's first byte says that it can't be done."""

    def generate(self, spec, prepared, text, negative_text, on_progress=None, checkpoints=None) -> GeneratedClip:
        if Path(spec.video_path).read_text().startswith("bad"):
            raise RuntimeError("can't make that")
        if spec.name.startswith("late"):
            Path(spec.video_path).write_text("replaced after it was read")
        if spec.name.startswith("raced"):
            wait_for_another(Path(spec.video_path).parent)
        frames = pack_frames(255 - unpack_frames(prepared.controls["edge"]))
        return GeneratedClip(frames=frames, model={"name": "inverter"}, chunks=1, seconds={"denoise_s": 0.5})


def wait_for_another(folder: Path) -> None:
    """Until two processes have come here."""
    (folder / f"{os.getpid()}.here").touch()
    deadline_s = time.monotonic() + 120
    while len(list(folder.glob("*.here"))) < 2:
        assert time.monotonic() < deadline_s, "no other run came"
        time.sleep(0.01)


class Encoder:
    def encode(self, prompt, controls) -> TextEmbedding:
        return TextEmbedding(data=b"0000", shape=(1, 1))


def prepare(spec: ClipSpec) -> PreparedClip:
    import numpy as np

    if spec.name.startswith("early"):
        Path(spec.video_path).write_text("replaced before it is read")
    packed = pack_frames(np.random.default_rng(spec.seed).integers(0, 256, (2, 16, 16, 3), dtype=np.uint8))
    size = {"height": 16, "width": 16, "input_height": 16, "input_width": 16}
    return PreparedClip(fps=10, frames=2, **size, input_frames=None, controls={"edge": packed}, masks={})


def stand_ins(device: str, gang: GangLayout) -> GraphParts:
    return GraphParts(
        prepare=prepare, load_annotator=Encoder, load_text_encoder=lambda warn: Encoder(), load_replica=Replica
    )


def rows_of(folder: Path, *names: str, seeds: dict[str, int] | None = None) -> list[Row]:
    rows = []
    for index, name in enumerate(names):
        video = folder / f"{name}.mov"
        if not video.exists():
            video.write_text("bad" if name.startswith("bad") else name)
        spec = ClipSpec(name=name, prompt="a", video_path=str(video), edge=EdgeSpec(), seed=(seeds or {}).get(name, 0))
        rows.append(Row(index=index, name=name, source="s", spec=spec.resolved(tiny_transfer()), prompt="a"))
    return rows


def run(rows: list[Row], output: str | Path, **changes: object) -> tuple[RunSummary, list[str]]:
    events = []
    summary = generate(rows, str(output), replace(SETTINGS, **changes), events.append, parts=stand_ins)
    return summary, sorted(event.name for event in events if isinstance(event, RowDone))


def test_only_what_is_missing_is_made(cluster, tmp_path):
    output = tmp_path / "run"
    summary, done = run(rows_of(tmp_path, "a", "b", "bad"), output)
    assert (done, summary.kept, summary.failed, summary.not_retried) == (["a", "b"], 0, 1, 0)
    before = (output / "a.mp4").resolve()

    summary, done = run(rows_of(tmp_path, "new", "a", "b", "bad"), output)
    assert (done, summary.kept, summary.failed, summary.not_retried) == (["new"], 2, 1, 1)
    assert (output / "a.mp4").resolve() == before
    assert summary.failures[0].stage == "generate"

    summary, done = run(rows_of(tmp_path, "a", "b", "bad", seeds={"b": 7}), output, retry_failed=True)
    assert (done, summary.kept, summary.not_retried) == (["b"], 1, 0)

    (tmp_path / "bad.mov").write_text("good now")
    summary, done = run(rows_of(tmp_path, "a", "bad"), output)
    assert (done, summary.kept, summary.failed) == (["bad"], 1, 0)

    summary, done = run(rows_of(tmp_path, "a", "bad"), output, fresh=True)
    assert (done, summary.kept) == (["a", "bad"], 0)
    assert [record.epoch for record in RunRecords(Ledger(open_store(output))).all(pytest.fail)] == [0, 0, 0, 0, 1]
    assert (output / "a.mp4").resolve() != before


def test_a_clip_is_of_what_its_key_names_whenever_its_input_is_replaced(cluster, tmp_path):
    output = tmp_path / "run"
    summary, done = run(rows_of(tmp_path, "early", "late"), output)
    assert (done, summary.failed) == (["late"], 1)
    assert summary.failures[0].message.startswith(f"video_path: {tmp_path}/early.mov was replaced while this run was")
    summary, done = run(rows_of(tmp_path, "early", "late"), output)
    assert (done, summary.kept, summary.failed) == (["early", "late"], 0, 0)


def test_a_row_under_another_name_is_the_same_row_and_equal_rows_are_all_made(cluster, tmp_path):
    output = tmp_path / "run"
    row = rows_of(tmp_path, "a")[0]
    twin = replace(row, index=1, name="twin", spec=row.spec.model_copy(update={"name": "twin"}))
    assert run([row, twin], output)[1] == ["a", "twin"]
    made = (output / "a.mp4").read_bytes()
    renamed = replace(row, name="z", spec=row.spec.model_copy(update={"name": "z"}))
    summary, done = run([renamed], output)
    assert (done, summary.kept) == ([], 1)
    assert (output / "z.mp4").read_bytes() == made
    assert not (output / "a.mp4").is_symlink()
    assert json.loads((output / "z.json").read_text())["name"] == "a"


def test_a_commit_names_all_its_files_and_a_second_attempt_leaves_none(cluster, tmp_path):
    output = tmp_path / "run"
    run(rows_of(tmp_path, "a"), output)
    ledger = Ledger(open_store(output))
    (key,) = ledger.committed()
    commit = ledger.commit_of(key)
    written = {path.name: path.stat().st_size for path in (output / commit.folder).iterdir()}
    assert {name: file.size_bytes for name, file in commit.files.items()} == written
    assert ledger.commit(commit.model_copy(update={"nonce": "second"})) == commit
    assert [run.rows for run in RunRecords(ledger).all(pytest.fail)] == [1]


def test_output_on_object_storage(no_cluster, bucket, tmp_path):
    with ray_session(address="local", local_cpus=2):
        summary, done = run(rows_of(tmp_path, "a", "bad"), "s3://drives/run")
        assert (done, summary.failed) == (["a"], 1)
        keys = [item["Key"] for item in bucket.list_objects_v2(Bucket="drives")["Contents"]]
        assert sum(key.startswith("run/ledger/commits/") for key in keys) == 1
        assert sum(key.startswith("run/data/a-") and key.endswith("/a.mp4") for key in keys) == 1
        assert "run/manifest.parquet" in keys
        summary, done = run(rows_of(tmp_path, "a", "b"), "s3://drives/run")
        assert (done, summary.kept) == (["b"], 1)

        gone = []

        def vanish(event: object) -> None:
            if isinstance(event, RowDone) and not gone:
                gone.append(event)
                while not emptied_and_deleted(bucket):  # workers write meanwhile
                    pass

        names = [f"row{number}" for number in range(12)]
        with pytest.raises(RunError, match=r"can't be written: s3://drives/.*: there is no such bucket: create it"):
            generate(rows_of(tmp_path, *names), "s3://drives/run", SETTINGS, vanish, parts=stand_ins)


def emptied_and_deleted(bucket) -> bool:
    for page in bucket.get_paginator("list_objects_v2").paginate(Bucket="drives"):
        names = [{"Key": item["Key"]} for item in page.get("Contents", [])]
        if names:
            bucket.delete_objects(Bucket="drives", Delete={"Objects": names})
    try:
        bucket.delete_bucket(Bucket="drives")
    except bucket.exceptions.ClientError as error:
        if error.response["Error"]["Code"] != "BucketNotEmpty":
            raise
        return False
    return True


DRIVER = """
import sys
from pathlib import Path
sys.path.insert(0, {here!r})
import test_resume
from airshower.cluster.session import ray_session
folder, *names = sys.argv[1:]
with ray_session(address="local", local_cpus=2):
    test_resume.run(test_resume.rows_of(Path(folder), *names), folder + "/run")
"""


def driver_that_made(count: int, names: list[str], folder: Path, ledger: Ledger) -> "subprocess.Popen[bytes]":
    """A process that makes rows on a cluster of its own, once so many are made."""
    script = DRIVER.format(here=str(Path(__file__).parent))
    driver = subprocess.Popen([sys.executable, "-c", script, str(folder), *names], start_new_session=True)
    deadline_s = time.monotonic() + 120
    while len(ledger.committed()) < count and driver.poll() is None and time.monotonic() < deadline_s:
        time.sleep(0.02)
    return driver


def test_two_runs_on_one_output_make_every_row_once(cluster, tmp_path):
    names = [f"raced{number}" for number in range(16)]
    ledger = Ledger(open_store(tmp_path / "run"))
    other = driver_that_made(0, names, tmp_path, ledger)
    summary, _ = run(rows_of(tmp_path, *reversed(names)), tmp_path / "run")
    assert other.wait(timeout=120) == 0
    assert (summary.kept + summary.done, summary.failed) == (16, 0)
    commits = list(ledger.commits(ledger.committed()))
    assert sorted(commit.name for commit in commits) == sorted(names)
    assert len({commit.run for commit in commits}) == 2  # each began with another row
    assert orphans(ledger) == []  # who came second has removed its own
    assert pq.read_table(tmp_path / "run" / "manifest.parquet")["status"].to_pylist() == ["done"] * 16


def test_a_killed_driver_loses_only_what_was_in_flight(cluster, tmp_path):
    names = [f"row{number}" for number in range(12)]
    ledger = Ledger(open_store(tmp_path / "run"))
    driver = driver_that_made(3, names, tmp_path, ledger)
    os.killpg(driver.pid, signal.SIGKILL)
    driver.wait()
    made = ledger.committed()
    assert 3 <= len(made) < 12
    links = {key: ledger.commit_of(key).nonce for key in made}
    summary, _ = run(rows_of(tmp_path, *names), tmp_path / "run")
    assert summary.kept >= len(made)
    assert (summary.kept + summary.done, summary.failed) == (12, 0)
    assert {key: ledger.commit_of(key).nonce for key in made} == links
