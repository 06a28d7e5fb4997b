"""Names of rows: those that are given by default, and those that can't be told apart by their files."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airshower.cluster.store import open_store
from airshower.configs.cameras import RIG
from airshower.configs.presets import preset
from airshower.configs.row_formats import spec_of
from airshower.configs.row_spec import MOST_NAME_BYTES, names_files
from airshower.configs.spec import CONTROLS
from airshower.pipelines.ledger.shown_names import show
from airshower.pipelines.manifest import ManifestEntry
from airshower.pipelines.media import write_video
from airshower.pipelines.row_names import usable_name
from airshower.pipelines.rows import read_rows
from airshower.pipelines.write import final_file

TINY = preset("tiny-transfer")
ROW = {"prompt": "a street", "video_path": "v.mp4", "edge": {}}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "v.mp4").write_bytes(b"video")
    return tmp_path


def read(*sources, **more):
    return read_rows([str(source) for source in sources], overrides={}, preset=TINY, **more)


@pytest.mark.parametrize(
    ("stem", "name"),
    [
        ("street_edge", "street_edge"),
        ("name with space", "name-with-space"),
        ("Größe (1)", "Gro-e-1"),
        ("_.private", "private"),
        ("a" * 240, f"{'a' * 191}-9b304390"),
        ("東京", "row-130016b2"),
        ("大阪", "row-6df97746"),
    ],
)
def test_a_file_names_its_row_as_far_as_files_can(folder, stem, name):
    (folder / f"{stem}.json").write_text(json.dumps(ROW))
    (row,) = read(folder / f"{stem}.json")
    assert (row.name, row.error) == (name, None)


@given(st.text(), st.sampled_from(["", "-1", "-1000000"]))
def test_a_default_name_is_always_one(text, end):
    name = usable_name(text, end)
    assert names_files(name)
    assert name.endswith(end)


def test_rows_of_one_file_are_numbered_within_the_length_that_names_have(folder):
    file = folder / f"{'x y' * 80}.jsonl"
    file.write_text(f"{json.dumps(ROW)}\n{json.dumps(ROW)}\n")
    assert [(len(row.name), row.name[-2:], row.error) for row in read(file)] == [(200, "-1", None), (200, "-2", None)]


def test_names_that_differ_in_case_alone_are_one_file_on_some_disks(folder):
    rows = [ROW | {"name": name} for name in ("Street", "street", "STREET_INPUT", "other")]
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    errors = [row.error and row.error.message.partition("): ")[2] for row in read(folder / "rows.jsonl")]
    place, remedy = f"from {folder}/rows.jsonl line 1", "give each row its own name"
    assert errors == [
        None,
        f"name 'street' is one file with 'Street' {place} on disks that don't tell A from a: {remedy}",
        f"name 'STREET_INPUT' clashes with the files of 'Street' {place}: {remedy}",
        None,
    ]


COMMON = {"name": "n" * MOST_NAME_BYTES, "prompt": "p", "camera_path": "c.json"}
MASKED = {key: {"mask_prompt": "car"} for key in CONTROLS}
VIEWS = {camera: {"control_path": "m.mp4"} for camera in RIG}


@pytest.mark.parametrize(
    "fields",
    [
        COMMON | MASKED | {"video_path": "v.mp4"},
        COMMON | VIEWS | {"save_combined_views": False, "num_conditional_frames": 0},
    ],
    ids=["one camera", "several"],
)
def test_every_file_of_the_longest_name_can_be_written(tmp_path, fields):
    """By all that writes such files: hidden names must not be longer than they are."""
    spec, store = spec_of(fields), open_store(tmp_path / "run", probe=False)
    longest = max(spec.video_stems(), key=len)
    place = f"data/{spec.name}-{'0' * 32}"
    folder = store.local_path(place)
    folder.mkdir(parents=True)
    for stem in spec.video_stems():
        with final_file(folder / f"{stem}.json") as part:
            part.write_bytes(b"file")
    write_video(folder / f"{longest}.mp4", np.zeros((2, 16, 16, 3), np.uint8), 10)
    store.put(f"copy/{longest}.json", folder / f"{longest}.json")
    outputs = {stem: f"{place}/{stem}.json" for stem in spec.video_stems()} | {"record": f"{place}/{spec.name}.json"}
    show(store, ManifestEntry(index=0, name=spec.name, key="k", source="s", prompt="p", outputs=outputs))
    shown = {path.name for path in store.local_path("").iterdir() if path.is_symlink()}
    assert shown == {f"{stem}.json" for stem in spec.video_stems()}
