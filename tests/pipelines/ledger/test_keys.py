"""Keys: what changes a clip changes its key, and nothing else does."""

from dataclasses import replace
from pathlib import Path

import pytest

from airshower.cluster.content_identity import ContentIdentities
from airshower.configs.messages import Row
from airshower.configs.model_source import ModelSource
from airshower.configs.presets import tiny_transfer
from airshower.configs.row_formats import spec_of
from airshower.pipelines.ledger.keyed_rows import with_keys
from airshower.pipelines.ledger.keys import row_key

SOURCE = ModelSource(preset=tiny_transfer())


@pytest.fixture
def row(tmp_path):
    (tmp_path / "in.mp4").write_bytes(b"input")
    fields = {"name": "a", "prompt": "rain", "video_path": str(tmp_path / "in.mp4"), "edge": {}, "seed": 1}
    spec = spec_of(fields).resolved(tiny_transfer())
    return Row(index=0, name="a", source="rows.jsonl", spec=spec, model="tiny-transfer", prompt="rain")


def key(row: Row, weights: str = "w", salt: str = "") -> str:
    return row_key(row, content=ContentIdentities().of, weights=weights, salt=salt)


def with_spec(row: Row, **changes: object) -> Row:
    return replace(row, spec=row.spec.model_copy(update=changes))


def test_what_shapes_the_clip_is_in_the_key(row, tmp_path):
    before = key(row)
    assert key(row) == before
    others = [
        key(with_spec(row, seed=2)),
        key(with_spec(row, edge=row.spec.edge.model_copy(update={"control_weight": 0.5}))),
        key(replace(row, prompt="snow")),
        key(replace(row, model="transfer2.5-2b")),
        key(row, weights="others"),
        key(row, salt="epoch 1"),
    ]
    (tmp_path / "in.mp4").write_bytes(b"other input")
    assert len({before, key(row), *others}) == 8


def test_names_and_places_are_not_in_the_key(row, tmp_path):
    (tmp_path / "moved").mkdir()
    (tmp_path / "moved" / "copy.mp4").write_bytes(b"input")
    moved = with_spec(row, name="b", output_dir="/elsewhere", video_path=str(tmp_path / "moved" / "copy.mp4"))
    assert key(replace(moved, index=7, name="b", source="others.csv line 9")) == key(row)
    assert key(with_spec(row, prompt=None, prompt_path=str(tmp_path / "in.mp4"))) == key(row)


def test_a_camera_file_counts_by_its_content_and_only_where_there_is_one(row, tmp_path):
    (tmp_path / "cameras.json").write_text("{}")
    filmed = with_spec(row, camera_path=str(tmp_path / "cameras.json"))
    keys = {key(row), key(filmed)}
    (tmp_path / "cameras.json").write_text("{ }")
    assert len(keys | {key(filmed)}) == 3


def test_a_new_field_leaves_older_rows_their_keys(row, monkeypatch):
    monkeypatch.setattr("airshower.pipelines.ledger.keys.MATHEMATICS", 1)
    before = "117deb458550b8f8c32a7ba8d18e38619b5e86933529a5832750d8052c3f0f40"
    assert row_key(row, content=lambda path: "c", weights="w") == before


def test_equal_rows_have_keys_of_their_own_in_every_run(row):
    rows = [row, replace(row, index=1, name="twin"), with_spec(replace(row, index=2), seed=2)]
    keys = [keyed.key for keyed in with_keys(rows, SOURCE, salt="")]
    assert len(set(keys)) == 3
    assert [keyed.key for keyed in with_keys(rows, SOURCE, salt="")] == keys


def test_a_row_whose_input_is_gone_fails_alone(row, tmp_path):
    gone = with_spec(replace(row, index=1, name="gone"), video_path=str(tmp_path / "gone.mp4"))
    made, failed = with_keys([row, gone], SOURCE, salt="")
    assert made.error is None
    assert (failed.key, failed.error.stage) == ("", "read")
    assert failed.error.message == f"rows.jsonl (gone): {tmp_path / 'gone.mp4'} does not exist"


def test_a_local_file_is_read_once_until_it_changes(tmp_path, monkeypatch):
    file = tmp_path / "in.mp4"
    file.write_bytes(b"input")
    first = ContentIdentities().of(str(file))
    read = []
    monkeypatch.setattr("hashlib.file_digest", lambda *_: read.append(1))
    assert ContentIdentities().of(str(file)) == first
    assert not read


def test_remote_files_are_known_by_what_their_store_says(bucket):
    bucket.put_object(Bucket="drives", Key="a.mp4", Body=b"one")
    first = ContentIdentities().of("s3://drives/a.mp4")
    bucket.put_object(Bucket="drives", Key="b.mp4", Body=b"one")
    assert ContentIdentities().of("s3://drives/b.mp4") == first
    bucket.put_object(Bucket="drives", Key="a.mp4", Body=b"two")
    assert ContentIdentities().of("s3://drives/a.mp4") != first


def test_a_folder_is_known_by_its_files(tmp_path):
    for name, content in {"a/1.png": b"1", "a/2.png": b"2", "b/1.png": b"1", "b/2.png": b"2"}.items():
        Path(tmp_path / name).parent.mkdir(exist_ok=True)
        Path(tmp_path / name).write_bytes(content)
    of = ContentIdentities().of
    assert of(str(tmp_path / "a")) == of(str(tmp_path / "b"))
    (tmp_path / "b" / "2.png").write_bytes(b"3")
    assert ContentIdentities().of(str(tmp_path / "b")) != of(str(tmp_path / "a"))
