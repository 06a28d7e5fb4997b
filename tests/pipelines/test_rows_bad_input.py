"""Bad input: each case gets one line that names the row, the field or file, the rule and the remedy."""

import json

import pytest

from airshower.configs.presets import preset
from airshower.pipelines.rows import InputError, read_rows

TINY = preset("tiny-transfer")
GOOD = {"prompt": "a street", "video_path": "v.mp4", "edge": {}}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "v.mp4").write_bytes(b"video")
    (tmp_path / "zero.mp4").touch()
    (tmp_path / "blank.txt").write_text(" \n")
    (tmp_path / "words.json").write_text('{"text": "a street"}')
    (tmp_path / "long.txt").write_bytes(b"x" * (1 << 20) + b"x")
    (tmp_path / "latin.txt").write_bytes("größe".encode("latin-1"))
    return tmp_path


def read(*sources, **overrides):
    return read_rows([str(source) for source in sources], overrides=overrides, preset=TINY)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"promt": "x"}, "'promt' is not a field: did you mean 'prompt'?"),
        ({"edge": {"control_wieght": 1}}, "'edge.control_wieght' is not a field: did you mean 'edge.control_weight'?"),
        ({"control_weight": 1}, "'control_weight' is not a field: did you mean 'edge.control_weight'?"),
        ({"zzz": 1}, "'zzz' is not a field: remove it (`airshower spec schema` lists the fields)"),
        ({"seed": "3"}, 'seed "3" must be a whole number: write digits without quotes and decimal point'),
        ({"guidance": 9}, "guidance 9 must be less than or equal to 7: use 0..7"),
        ({"max_frames": 0}, "max_frames 0 must be greater than or equal to 1: use 1 or more"),
        ({"edge": {"control_weight": 2}}, "edge.control_weight 2 must be less than or equal to 1: use 0..1"),
        ({"edge": []}, "edge [] must be an object: write it as {"),
        ({"vis": {"preset_blur_strength": "hi"}}, "vis.preset_blur_strength \"hi\" must be 'very_low', 'low'"),
        ({"resolution": "721"}, 'resolution "721" is no size key: use one of 144, 480'),
        ({"name": "a/b"}, 'name "a/b" can\'t name files: use letters'),
        ({"video_path": "nope.mp4"}, "/nope.mp4 does not exist: fix the path (a relative one starts at"),
        ({"video_path": "zero.mp4"}, "/zero.mp4 is empty (0 bytes): write or copy it again"),
        ({"video_path": "."}, " is a folder, not a file"),
        ({"edge": {"control_path": "nope.mp4"}}, "edge.control_path: "),
        ({"edge": {"mask_path": "zero.mp4"}}, "edge.mask_path: "),
        ({"prompt": " "}, "prompt ' ' is blank: say what the video shows"),
        ({"prompt_path": "v.mp4"}, "prompt and prompt_path: both given: give exactly one"),
        ({"prompt": None}, "prompt and prompt_path: neither given: give exactly one"),
        ({"prompt": None, "prompt_path": "nope.txt"}, "prompt_path: "),
        ({"prompt": None, "prompt_path": "blank.txt"}, "/blank.txt holds a blank prompt: say what"),
        ({"prompt": None, "prompt_path": "words.json"}, '/words.json has no "prompt" text: write {'),
        ({"prompt": None, "prompt_path": "long.txt"}, "/long.txt is larger than 1 MiB, as no prompt is: fix the path"),
        ({"prompt": None, "prompt_path": "latin.txt"}, "/latin.txt can't be read as UTF-8 text or JSON"),
        ({"edge": None}, "no control: give at least one of edge, vis, depth, seg"),
        ({"video_path": None}, "video_path is missing and edge would be computed from it: give video_path or"),
        ({"depth": {}}, "depth without control_path: needs annotators, which tiny-transfer lacks: name a folder"),
    ],
    ids=lambda value: json.dumps(value) if isinstance(value, dict) else "",
)
def test_a_bad_row_fails_in_one_line_and_the_others_run(folder, change, message):
    lines = [json.dumps(GOOD), json.dumps(GOOD | change), json.dumps(GOOD)]
    (folder / "rows.jsonl").write_text("\n".join(lines))
    first, bad, last = read(folder / "rows.jsonl")
    assert first.error is None
    assert last.error is None
    assert (bad.spec, bad.error.stage) == (None, "read")
    assert message in bad.error.message
    assert bad.error.message.startswith(f"{folder}/rows.jsonl line 2 (")
    assert "\n" not in bad.error.message
    assert "pydantic" not in bad.error.message


def test_several_faults_of_a_row_share_its_line(folder):
    (folder / "a.json").write_text(
        json.dumps(GOOD | {"seed": -1, "guidance": 9, "max_frames": 0, "num_steps": 0, "x": 1})
    )
    (row,) = read(folder / "a.json")
    assert row.error.message.count(": use ") == 3
    assert row.error.message.endswith("; and 2 more")


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.json", b'{"prompt": "x",\n "edge" {}}', "is not valid JSON: 2:9: Expecting ':'"),
        ("a.json", b'{"prompt": "x", "prompt": "y"}', "is not valid JSON: 'prompt' is given twice: keep one"),
        ("a.json", b'"text"', '"text" is not an object: write a spec as'),
        ("a.json", b"", "is empty: write a row into it"),
        ("a.jsonl", b"\n\n", "is empty: write a row into it"),
        ("a.jsonl", b'\n{"prompt": "x"', "line 2 (a-2): is not valid JSON: 2:15: Expecting ','"),
        ("a.json", "größe".encode("latin-1"), "is not UTF-8 text (byte 2): save it as UTF-8"),
        ("a.csv", b"prompt,edge\nx,y,z\n", "line 2 (a-2): has 3 cells under a header of 2: put cells"),
        ("a.csv", b"prompt,prompt\nx,y\n", "is not valid CSV: two columns of the header have the same name"),
        ("a.csv", b"prompt,edge.control_wait\nx,1\n", "'edge.control_wait' is not a field: did you mean"),
        ("a.parquet", b"PAR1 not really PAR1", "is not valid Parquet: "),
    ],
)
def test_a_bad_file_fails_alone(folder, name, data, message):
    good = folder / "z.json"
    good.write_text(json.dumps(GOOD))
    (folder / name).write_bytes(data)
    bad, fine = read(folder / name, good)
    assert message in bad.error.message
    assert bad.error.message.startswith(f"{folder / name} ")
    assert fine.error is None


def test_names_belong_to_the_first_row_that_can_run(folder):
    rows = [GOOD | {"name": name} for name in ("a", "a", "a_control_edge", "b_input", "b", "c")]
    rows.insert(0, GOOD | {"name": "c", "seed": -1})
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    errors = [row.error and row.error.message.split(": ", 1)[1] for row in read(folder / "rows.jsonl")]
    assert errors == [
        "seed -1 must be greater than or equal to 0: use 0..4294967295",
        None,
        f"name 'a' is already used by {folder}/rows.jsonl line 2: give each row its own name",
        f"name 'a_control_edge' clashes with the files of 'a' from {folder}/rows.jsonl line 2: "
        "give each row its own name",
        None,
        f"name 'b' clashes with the files of 'b_input' from {folder}/rows.jsonl line 5: give each row its own name",
        None,
    ]


def test_a_failed_row_keeps_a_name_that_is_safe_in_paths(folder):
    (folder / "a.json").write_text(json.dumps(GOOD | {"name": "../../etc/x y"}))
    (row,) = read(folder / "a.json")
    assert row.name == "etc-x-y"


def test_a_setting_for_a_control_the_row_lacks(folder):
    (folder / "a.json").write_text(json.dumps(GOOD))
    (row,) = read(folder / "a.json", **{"seg.control_weight": 0.5})
    assert row.error.message.endswith(
        'seg.control_weight (command line) needs a seg control: add "seg": {} to the row, or --seg'
    )
    (row,) = read(folder / "a.json", guidance=9)
    assert row.error.message.endswith("guidance 9 (command line) must be less than or equal to 7: use 0..7")


@pytest.mark.parametrize(
    ("sources", "settings", "message"),
    [
        (["nope.json"], {}, "nope.json does not exist: give a spec file"),
        (["v.mp4"], {}, "v.mp4 is no spec file: its name must end in one of .json"),
        (["videos"], {}, "videos holds no spec file: a spec file ends in one of .json"),
        (["empty.jsonl"], {}, "empty.jsonl: no row to run: give a file with at least one row"),
        (["header.csv"], {}, "header.csv: no row to run: give a file with at least one row"),
        ([], {}, "no rows: give SPECS, or a row by flags: --video-path my.mp4"),
        (["teapot://x"], {}, "teapot://x can't be reached: Protocol not known: teapot"),
        (["good.json"], {"name": "x"}, "name can't be set for all rows: set it in each row"),
        (["good.json"], {"guidence": 3}, "'guidence' is not a field: did you mean 'guidance'?"),
    ],
)
def test_nothing_to_run(folder, monkeypatch, sources, settings, message):
    (folder / "good.json").write_text(json.dumps(GOOD))
    (folder / "empty.jsonl").touch()
    (folder / "header.csv").write_text("prompt,video_path\n")
    (folder / "videos" / "deeper").mkdir(parents=True)
    (folder / "videos" / "deeper" / "camera.json").write_text("{}")
    monkeypatch.chdir(folder)
    with pytest.raises(InputError) as caught:
        read(*sources, **settings)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
