"""What was read is what the key is made of: a file that is replaced meanwhile fails its row, and nothing else does."""

from dataclasses import replace
from pathlib import Path

import pytest

from airshower.configs.messages import Row
from airshower.configs.model_source import ModelSource
from airshower.configs.presets import tiny_transfer
from airshower.configs.row_formats import spec_of
from airshower.pipelines.dispatch.handle import Dispatch
from airshower.pipelines.dispatch.parcels import packed, unpacked
from airshower.pipelines.ledger.keyed_rows import with_keys
from airshower.pipelines.stages import prepare_stage
from airshower.pipelines.unchanged_inputs import InputChangedError, require_unchanged_inputs
from tests.quick_runs import prepared


def keyed(**fields: object) -> Row:
    spec = spec_of({"name": "a", "prompt": "rain", "edge": {}, **fields}).resolved(tiny_transfer())
    row = Row(index=0, name="a", source="rows.jsonl", spec=spec, model="tiny-transfer", prompt="rain")
    (row,) = with_keys([row], ModelSource(preset=tiny_transfer()), salt="")
    assert row.error is None
    return row


@pytest.fixture
def files(tmp_path) -> dict[str, Path]:
    paths = {"video_path": tmp_path / "in.mp4", "control": tmp_path / "edge.mp4"}
    for path in paths.values():
        path.write_bytes(b"content")
    masks = tmp_path / "masks"
    masks.mkdir()
    (masks / "0.png").write_bytes(b"mask")
    return {**paths, "guided_generation_mask": masks}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda files: files["video_path"].write_bytes(b"CONTENT"), "video_path"),
        (lambda files: files["control"].write_bytes(b"longer content"), r"edge\.control_path"),
        (lambda files: files["video_path"].rename(files["control"]), "in.mp4"),
        (lambda files: (files["guided_generation_mask"] / "0.png").write_bytes(b"MASK"), "guided_generation_mask"),
        (lambda files: (files["guided_generation_mask"] / "1.png").touch(), "guided_generation_mask"),
    ],
)
def test_a_replaced_file_is_named(files, change, field):
    paths = {name: str(path) for name, path in files.items()}
    row = keyed(edge={"control_path": paths.pop("control")}, **paths)
    require_unchanged_inputs(row)
    change(files)
    with pytest.raises(InputChangedError, match=rf"{field}.*: the same command again|{field} does not exist.*again"):
        require_unchanged_inputs(row)


def test_what_holds_the_same_is_the_same(files, tmp_path):
    (tmp_path / "prompt.txt").write_text("rain")
    row = keyed(video_path=str(files["video_path"]), prompt=None, prompt_path=str(tmp_path / "prompt.txt"))
    files["video_path"].unlink()
    files["video_path"].write_bytes(b"content")
    (tmp_path / "prompt.txt").write_text("snow")  # its text was read with the row
    require_unchanged_inputs(row)
    require_unchanged_inputs(replace(row, inputs={}))


def test_an_object_is_asked_for_its_version(bucket):
    bucket.put_object(Bucket="drives", Key="in.mp4", Body=b"content")
    row = keyed(video_path="s3://drives/in.mp4")
    require_unchanged_inputs(row)
    bucket.put_object(Bucket="drives", Key="in.mp4", Body=b"CONTENT")
    with pytest.raises(
        InputChangedError, match=r"video_path: s3://drives/in\.mp4 was replaced while this run was under"
    ):
        require_unchanged_inputs(row)


def test_a_row_is_prepared_of_the_files_that_its_key_names_or_fails_for_the_moment(files):
    row = keyed(video_path=str(files["video_path"]))

    def stage(prepare) -> Row:
        (done,) = unpacked(prepare_stage(packed([row]), prepare=prepare, dispatch=Dispatch()))
        return done

    def replaced_before_it_is_read(spec):
        files["video_path"].write_bytes(b"other content")
        return prepared()

    assert stage(lambda spec: prepared()).error is None
    error = stage(replaced_before_it_is_read).error
    assert (error.stage, error.type, error.transient) == ("prepare", "InputChangedError", True)
