"""Rows are read from every kind of source, with paths, names, prompts and settings as promised."""

import json

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airshower.configs.presets import preset
from airshower.configs.spec import ClipSpec, DepthSpec, EdgeSpec, SegSpec, VisSpec
from airshower.pipelines.rows import InputError, output_folder, read_rows

TINY = preset("tiny-transfer")

OLDER_FORM = """{
    // a file with the prompt; "prompt" would give it here
    "prompt_path": "prompts/street.json",
    "output_dir": "outputs/street",   /* older form of --output */
    "video_path": "../videos/input.mp4",
    "guidance": 3,
    "depth": {"control_path": "depth.mp4", "control_weight": 0.5},
    "edge": {
        // its weight is 1.0 by default
        "control_path": "edge.mp4",
    },
    "vis": {"control_weight": 0.5},
}
"""


def rows_of(*sources, **overrides):
    rows = read_rows([str(source) for source in sources], overrides=overrides, preset=TINY)
    assert [row.index for row in rows] == list(range(len(rows)))
    return rows


def specs_of(*sources, **overrides):
    rows = rows_of(*sources, **overrides)
    assert [row.error for row in rows] == [None] * len(rows)
    return [row.spec for row in rows]


@pytest.fixture
def folder(tmp_path):
    """An empty specs folder beside videos/input.mp4."""
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "input.mp4").write_bytes(b"video")
    specs = tmp_path / "specs"
    specs.mkdir()
    return specs


def fields(**more):
    return {"prompt": "a street", "video_path": "../videos/input.mp4", "edge": {}} | more


def test_the_older_published_form(folder):
    (folder / "prompts").mkdir()
    (folder / "prompts" / "street.json").write_text('{"prompt": " A wet street.\\n"}')
    for name in ("depth.mp4", "edge.mp4"):
        (folder / name).write_bytes(b"video")
    (folder / "street.json").write_text(OLDER_FORM)
    (row,) = rows_of(folder / "street.json")
    assert (row.name, row.prompt, row.error) == ("street", "A wet street.", None)
    assert row.spec.video_path == str(folder.parent / "videos" / "input.mp4")
    assert row.spec.depth.control_path == str(folder / "depth.mp4")
    assert (row.spec.guidance, row.spec.num_steps) == (3, TINY.num_steps)
    assert {key: control.control_weight for key, control in row.spec.controls.items()} == {
        "edge": 1.0,
        "vis": 0.5,
        "depth": 0.5,
    }
    assert output_folder([row], None) == str(folder / "outputs" / "street")
    assert output_folder([row], "/elsewhere") == "/elsewhere"


def test_a_folder_is_read_at_its_own_level_in_order_without_its_prompt_files(folder):
    (folder / "c.json").write_text(json.dumps([fields(), fields(seed=1)]))
    (folder / "b.jsonl").write_text(f"\n{json.dumps(fields(name='named'))}\n\n{json.dumps(fields())}\n")
    (folder / "a.json").write_text(json.dumps(fields(prompt_path="words.json", prompt=None)))
    (folder / "words.json").write_text('{"prompt": "a road"}')
    (folder / "a.mp4").write_bytes(b"video")
    (folder / "world").mkdir()
    (folder / "world" / "camera.json").write_text('{"fx": 1}')
    assert [spec.name for spec in specs_of(folder)] == ["a", "named", "b-4", "c-1", "c-2"]
    assert [spec.name for spec in specs_of(folder / "c.json", f"{folder}/a*.json")] == ["c-1", "c-2", "a"]


def test_csv_cells_become_values_of_their_field(folder):
    (folder / "m.csv").write_text(
        "name, prompt,video_path,seed,show_input,guided_generation_mask,guided_generation_foreground_labels,"
        "edge.control_weight,depth.control_path,seg\n"
        'one,"wet, ""dark"" street",../videos/input.mp4,7,true,,,0.25,,\n'
        ',7,../videos/input.mp4,,,,,,../videos/input.mp4,"{""control_path"": ""../videos/input.mp4""}"\n'
    )
    one, two = specs_of(folder / "m.csv")
    assert (one.name, one.prompt, one.seed, one.show_input) == ("one", 'wet, "dark" street', 7, True)
    assert (one.edge, one.depth) == (EdgeSpec(control_weight=0.25), None)
    assert (two.name, two.prompt, two.seed, two.edge) == ("m-3", "7", 2025, None)
    assert two.depth.control_path == two.seg.control_path == str(folder.parent / "videos" / "input.mp4")


def test_parquet_with_structs_dotted_columns_and_gaps(folder):
    columns = {
        "prompt": ["a", "b"],
        "video_path": ["../videos/input.mp4"] * 2,
        "seed": [7.0, float("nan")],  # what a table makes of whole numbers with a gap
        "edge": pa.array([{"control_weight": 0.5, "mask_path": None}, None]),
        "vis.control_weight": [None, 1.0],
    }
    pq.write_table(pa.table(columns), folder / "m.parquet")
    one, two = specs_of(folder / "m.parquet")
    assert (one.name, one.seed, one.edge, one.vis) == ("m-1", 7, EdgeSpec(control_weight=0.5), None)
    assert (two.name, two.seed, two.edge, two.vis) == ("m-2", 2025, None, VisSpec())


def test_a_bucket_is_a_folder():
    fs = fsspec.filesystem("memory")
    fs.pipe_file("/bucket-of-rows/videos/input.mp4", b"video")
    fs.pipe_file("/bucket-of-rows/prompt.txt", "\ufeff größe\n".encode())
    fs.pipe_file("/bucket-of-rows/specs/a.json", json.dumps(fields(prompt=None, prompt_path="../prompt.txt")).encode())
    fs.pipe_file("/bucket-of-rows/specs/b.json", json.dumps(fields(video_path="nope.mp4")).encode())
    good, bad = rows_of("memory://bucket-of-rows/specs")
    assert (good.error, good.prompt) == (None, "größe")
    assert good.spec.video_path == "memory:///bucket-of-rows/videos/input.mp4"
    assert "memory:///bucket-of-rows/specs/nope.mp4 does not exist" in bad.error.message
    fs.rm("/bucket-of-rows", recursive=True)


def test_the_command_line_wins_over_every_row(folder, monkeypatch):
    (folder / "p.txt").write_text("a road")
    (folder / "a.jsonl").write_text(
        "\n".join(json.dumps(row) for row in [fields(seed=1), fields(prompt=None, prompt_path="p.txt")])
    )
    monkeypatch.chdir(folder.parent / "videos")
    settings = {"seed": 5, "prompt": "fog", "video_path": "input.mp4", "edge.control_weight": "0.5", "guidance": None}
    for spec in specs_of(folder / "a.jsonl", **settings):
        assert (spec.seed, spec.prompt, spec.prompt_path, spec.edge.control_weight) == (5, "fog", None, 0.5)
        assert spec.guidance == TINY.guidance


def test_rows_have_to_agree_on_the_folder(folder):
    (folder / "a.jsonl").write_text("\n".join(json.dumps(fields(output_dir=name)) for name in ("x", "y")))
    with pytest.raises(InputError, match=r"different folders .* give --output DIR"):
        output_folder(rows_of(folder / "a.jsonl"), None)
    (folder / "a.jsonl").write_text(json.dumps(fields()))
    with pytest.raises(InputError, match="no folder to write to: give --output DIR"):
        output_folder(rows_of(folder / "a.jsonl"), None)


LETTERS = st.characters(exclude_characters="\0", exclude_categories=["Cs"])  # all that UTF-8 and paths can hold
TEXT = st.text(LETTERS, min_size=1, max_size=12).filter(str.strip)


@st.composite
def specs(draw, file):
    """Any valid spec that the tiny model serves and whose files are all there."""

    def control(kind, **more):
        mask = {"mask_path": st.none() | st.just(file)}
        return st.builds(kind, control_path=st.just(file), control_weight=st.floats(0, 1), **mask, **more)

    strengths = st.sampled_from(["very_low", "low", "medium", "high", "very_high"])
    controls = {
        "edge": control(EdgeSpec, preset_edge_threshold=strengths),
        "vis": control(VisSpec, preset_blur_strength=strengths),
        "depth": control(DepthSpec),
        "seg": control(SegSpec),
    }
    keys = draw(st.sets(st.sampled_from(sorted(controls)), min_size=1))
    return draw(
        st.builds(
            ClipSpec,
            name=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True),
            prompt=TEXT,
            negative_prompt=st.none() | st.text(LETTERS, max_size=8),
            video_path=st.none() | st.just(file),
            output_dir=st.none() | st.just("/out"),
            max_frames=st.none() | st.integers(1, 1000),
            num_conditional_frames=st.integers(0, 2),
            num_video_frames_per_chunk=st.none() | st.integers(0, 30).map(lambda k: 4 * k + 1),
            resolution=st.none() | st.sampled_from(["144", "720"]),
            num_steps=st.none() | st.integers(1, 1000),
            guidance=st.none() | st.integers(0, 7),
            seed=st.integers(0, 2**32 - 1),
            show_input=st.booleans(),
            **{key: controls[key] for key in keys},
        )
    )


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_valid_spec_comes_back_unchanged_from_every_kind_of_file(data, tmp_path):
    video = tmp_path / "v.mp4"
    video.write_bytes(b"video")
    spec = data.draw(specs(str(video)))
    (tmp_path / "s.json").write_text(spec.model_dump_json(indent=2))
    (tmp_path / "s.jsonl").write_text(spec.model_dump_json())
    pq.write_table(pa.Table.from_pylist([spec.model_dump()]), tmp_path / "s.parquet")
    for file in ("s.json", "s.jsonl", "s.parquet"):
        assert specs_of(tmp_path / file) == [spec.resolved(TINY)], file
