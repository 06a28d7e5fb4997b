"""Writing rows and the manifest to real folders: complete files or none, and one line that says what is wrong."""

import hashlib
import json
import resource
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from airshower.cluster.packing import pack_frames
from airshower.cluster.store import open_store
from airshower.configs.messages import GeneratedClip, PreparedClip, Row, RowError
from airshower.configs.presets import tiny_transfer
from airshower.configs.spec import ClipSpec, EdgeSpec
from airshower.pipelines.events import STAGES
from airshower.pipelines.folder_manifest import Manifest
from airshower.pipelines.ledger.ledger import Ledger
from airshower.pipelines.manifest import ManifestEntry, entry_of
from airshower.pipelines.media import read_video, shown_file
from airshower.pipelines.shown_clip import shown_frames
from airshower.pipelines.write import OutputError, open_run_folder, write_row

FRAMES = np.random.default_rng(0).integers(0, 256, (5, 32, 48, 3), dtype=np.uint8)
EDGES = np.zeros_like(FRAMES)


@pytest.fixture
def row() -> Row:
    spec = ClipSpec(name="street", prompt="rain", video_path="in.mp4", seed=7, edge=EdgeSpec())
    prepared = PreparedClip(
        fps=10,
        frames=5,
        height=32,
        width=48,
        input_height=65,
        input_width=96,
        input_frames=pack_frames(255 - FRAMES),
        shown_input=shown_file(255 - FRAMES, 10),
        controls={"edge": pack_frames(EDGES)},
        masks={},
    )
    model = {"name": "tiny-transfer", "sha256": "f00"}
    generated = GeneratedClip(frames=pack_frames(FRAMES), model=model, chunks=1, seconds={"denoise_s": 0.25})
    return Row(
        index=0,
        name="street",
        source="street.json",
        spec=spec.resolved(tiny_transfer()),
        prompt="rain",
        prepared=prepared,
        generated=generated,
        seconds={"prepare": 0.5},
    )


def test_a_row_becomes_videos_and_a_record_of_everything_that_shaped_them(tmp_path, row):
    written = write_row(row, str(tmp_path))
    assert written.outputs == {
        "video": "street.mp4",
        "control_edge": "street_control_edge.mp4",
        "input": "street_input.mp4",
        "record": "street.json",
    }
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(written.outputs.values())
    video = read_video(str(tmp_path / "street.mp4"))
    assert video.frames.shape == FRAMES.shape
    assert video.fps == 10
    assert read_video(str(tmp_path / "street_control_edge.mp4")).frames.max() < 10

    record = json.loads((tmp_path / "street.json").read_text())
    assert record["frames_sha256"] == hashlib.sha256(FRAMES.tobytes()).hexdigest()
    assert ClipSpec.model_validate(record["spec"]) == row.spec
    assert (record["seed"], record["frames"], record["height"], record["width"]) == (7, 5, 32, 48)
    assert record["model"] == row.generated.model
    assert record["seconds"]["denoise_s"] == 0.25
    assert record["seconds"]["write"] > 0
    assert set(record["versions"]) == {"airshower", "torch", "ray", "diffusers", "transformers", "python"}


def test_a_clip_of_one_frame_is_an_image(tmp_path, row):
    smooth = np.full_like(FRAMES[:1], (200, 60, 20))
    packed = pack_frames(smooth)
    prepared = replace(
        row.prepared, frames=1, input_frames=packed, shown_input=shown_file(smooth, 10), controls={"edge": packed}
    )
    spec = row.spec.model_copy(update={"keep_input_resolution": True, "show_input": True})
    image = replace(row, spec=spec, prepared=prepared, generated=replace(row.generated, frames=packed))
    written = write_row(image, str(tmp_path))
    shown = {"video": "street.jpg", "control_edge": "street_control_edge.jpg", "input": "street_input.jpg"}
    assert written.outputs == shown | {"record": "street.json"}
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(written.outputs.values())
    picture = read_video(str(tmp_path / "street.jpg")).frames
    assert picture.shape == (1, 64, 2 * 96, 3)
    assert np.abs(picture.astype(int) - smooth[0, 0, 0]).max() <= 3
    assert entry_of(written).video == "street.jpg"


def test_writing_again_gives_the_same_bytes(tmp_path, row):
    write_row(row, str(tmp_path))
    first = {path.name: path.read_bytes() for path in tmp_path.glob("*.mp4")}
    write_row(row, str(tmp_path))
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*.mp4")} == first


def test_a_file_that_cannot_be_written_leaves_the_old_one_and_no_part(tmp_path, row):
    write_row(row, str(tmp_path))
    old = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))  # the nearest to a full disk that needs no mount
    try:
        with pytest.raises(OSError, match=r"street\.mp4: can't write .* free space there"):
            write_row(row, str(tmp_path))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == old


def test_the_record_is_the_last_file_and_names_what_is_in_its_way(tmp_path, row):
    (tmp_path / "street.json").mkdir()
    with pytest.raises(OutputError, match=r"street\.json: can't be written \(Is a directory\): .* --output"):
        write_row(row, str(tmp_path))
    assert not list(tmp_path.glob(".*"))


def test_a_row_may_ask_for_its_inputs_beside_the_output_and_for_the_inputs_size(row):
    asked = row.spec.model_copy(update={"show_input": True, "show_control_condition": True})
    panels = np.split(shown_frames(asked, row.prepared, FRAMES), 3, axis=2)
    for panel, expected in zip(panels, (255 - FRAMES, EDGES, FRAMES), strict=True):
        np.testing.assert_array_equal(panel, expected)
    sized = row.spec.model_copy(update={"keep_input_resolution": True})
    assert shown_frames(sized, row.prepared, FRAMES).shape == (5, 64, 96, 3)  # 65 is odd


@pytest.mark.parametrize(
    ("output", "message"),
    [("s3://bucket/run", "local folder"), ("{file}", "File exists"), ("{file}/run", "Not a directory")],
)
def test_a_run_folder_that_cannot_be_used_is_one_line(tmp_path, output, message):
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(OutputError, match=message) as caught:
        open_run_folder(output.format(file=file))
    assert "\n" not in str(caught.value)


def test_the_manifest_is_whole_and_sorted_at_every_moment(tmp_path):
    manifest = Manifest(Ledger(open_store(tmp_path, probe=False)), "run", flush_interval_s=0)
    made = {"index": 0, "name": "a", "key": "k", "source": "a.json", "prompt": "rain"}
    error = RowError(stage="text", type="ValueError", message="no words")
    failed = {"index": 1, "name": "b", "key": "", "source": "b.json", "prompt": "", "error": error}
    manifest.add(ManifestEntry(**failed, seconds={"prepare": 2.0}))
    assert pq.read_table(manifest.path)["name"].to_pylist() == ["b"]
    for _ in range(2):
        manifest.add(ManifestEntry(**made, outputs={"video": "data/a-1/a.mp4"}, frames=5))
    manifest.write()
    table = pq.read_table(manifest.path)
    assert table["name"].to_pylist() == ["a", "b"]
    assert table["status"].to_pylist() == ["done", "failed"]
    assert table["error_stage"].to_pylist() == [None, "text"]
    assert table["video"].to_pylist() == ["data/a-1/a.mp4", None]
    assert table["key"].to_pylist() == ["k", None]
    assert table["seconds_total"].to_pylist() == [0.0, 2.0]
    assert {f"seconds_{stage}" for stage in STAGES} <= set(table.column_names)
    assert [path.name for path in tmp_path.iterdir()] == ["manifest.parquet"]
    assert [failure.name for failure in manifest.failures()] == ["b"]
