"""Where rows come from: files of JSON whatever their name, standard input, the command line alone; and a limit."""

import io
import json
import os
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from airshower.configs.presets import preset
from airshower.pipelines import row_files
from airshower.pipelines.rows import InputError, read_rows

TINY = preset("tiny-transfer")
ROW = {"prompt": "a street", "video_path": "v.mp4", "edge": {}}
LINE = json.dumps(ROW)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "v.mp4").write_bytes(b"video")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read(*sources, limit=None, most_faults=3, **overrides):
    return read_rows(list(sources), overrides=overrides, preset=TINY, limit=limit, most_faults=most_faults)


def told(rows):
    """The name of every row that is fine, what is wrong with the others."""
    return [row.name if row.error is None else row.error.message.partition(": ")[2] for row in rows]


def test_hidden_files_in_a_folder_are_no_specs(folder):
    (folder / "r.json").write_text(LINE)
    for name in ("._r.json", "._rows.jsonl", ".r.csv"):
        (folder / name).write_bytes(b"\0\5\26\7\0\2\0\0Mac OS X        ")
    assert told(read(str(folder))) == ["r"]


@pytest.mark.parametrize("name", ["r.json", "r.jsonl", "r.jsonc", "r.ndjson"])
def test_json_is_one_row_a_list_or_a_row_per_line_whatever_the_file_is_called(folder, name):
    def names(text):
        (folder / name).write_text(text)
        return told(read(name))

    pretty = json.dumps(ROW, indent=2)
    assert names(LINE) == (["r"] if name in ("r.json", "r.jsonc") else ["r-1"])
    assert names(f"// a comment\n{pretty}\n") == ["r"]
    assert names(f"// a comment\n[{pretty},\n {LINE}, // another\n]") == ["r-1", "r-2"]
    assert names(f"{LINE}\n# off: {LINE}\n\n// {LINE}\r\n/* off */\n{LINE}\r\n") == ["r-1", "r-6"]
    assert names(f"{LINE}\n{LINE[:-1]}\n{LINE}") == ["r-1", "is not valid JSON: 2:57: Expecting ',' delimiter", "r-3"]


def test_lines_of_json_may_have_a_mark_and_bytes_that_cost_their_line(folder):
    (folder / "two.jsonl").write_bytes(f"\ufeff{LINE}\n\ufeff{LINE}\n".encode())
    (folder / "wide.jsonl").write_bytes(f"{LINE}\n{LINE}\n".encode("utf-16"))
    (folder / "bad.jsonl").write_bytes(f"{LINE}\n".encode() + LINE.encode().replace(b"street", b"stra\xdfe"))
    assert told(read("two.jsonl", "wide.jsonl")) == ["two-1", "two-2", "wide-1", "wide-2"]
    assert told(read("bad.jsonl")) == ["bad-1", "holds the byte 0xdf, which is not UTF-8: save the file as UTF-8"]


def test_text_that_no_file_can_hold_is_a_rows_error_in_one_printable_line(folder):
    rows = [{"prompt": "a\ud800"}, {"video_path": "v\0.mp4"}, {"edge": {"mask_path": "\ud800"}}, {"\x1b[31m\n": 1}]
    (folder / "r.jsonl").write_text("\n".join(json.dumps(ROW | row) for row in rows))
    assert told(read("r.jsonl")) == [
        r"prompt holds '\ud800', which is no text: remove it, and save the file as UTF-8",
        r"video_path holds '\x00', which is no text: remove it, and save the file as UTF-8",
        r"edge.mask_path holds '\ud800', which is no text: remove it, and save the file as UTF-8",
        r"'\x1b[31m\n' is not a field: remove it (`airshower spec schema` lists the fields)",
    ]


def test_folders_and_prompts_that_are_no_text_fail_their_row_alone(folder):
    remedy = "remove it, and save the file as UTF-8"
    latin = os.fsencode(folder) + b"/gr\xfcn"
    os.mkdir(latin)
    with open(latin + b"/r.json", "w") as file:
        file.write(LINE)
    with open(latin + b"/v.mp4", "w") as file:
        file.write("video")
    (folder / "words.json").write_text(r'{"prompt": "a\ud800"}')
    (folder / "words.txt").write_text("a\0")
    rows = [ROW | {"prompt": None, "prompt_path": path} for path in ("words.json", "words.txt")]
    (folder / "r.jsonl").write_text("\n".join(map(json.dumps, rows)))
    found = read(os.fsdecode(latin), "r.jsonl")
    path, json_prompt, text_prompt = told(found)
    assert path.endswith("must be Unicode text: write it, and the folders of a path, in UTF-8")
    assert json_prompt == rf"prompt_path: {folder}/words.json holds '\ud800', which is no text: {remedy}"
    assert text_prompt == rf"prompt_path: {folder}/words.txt holds '\x00', which is no text: {remedy}"
    assert all(row.source.isprintable() for row in found)


def test_a_row_names_all_its_faults_if_asked(folder):
    bad = {"seed": -1, "guidance": 9, "edge": {"control_path": "no.mp4", "mask_path": "neither.mp4"}, "x": 1}
    (folder / "r.json").write_text(json.dumps(ROW | bad))
    (row,) = read("r.json", most_faults=None)
    faults = row.error.message.split("; ")
    assert [fault.split(": ")[-2].split()[-1] for fault in faults[:2]] == ["7", "0"]
    assert "'x' is not a field" in faults[2]
    assert faults[3].startswith(f"edge.control_path: {folder}/no.mp4 does not exist")
    assert faults[4].startswith(f"edge.mask_path: {folder}/neither.mp4 does not exist")
    (row,) = read("r.json")
    assert row.error.message.endswith("; and 2 more")


@pytest.fixture
def typed_in(monkeypatch):
    """Puts something on standard input."""

    def put(data):
        data = data.encode() if isinstance(data, str) else data
        monkeypatch.setattr(row_files.sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data)))

    return put


def parquet():
    file = io.BytesIO()
    pq.write_table(pa.table({"prompt": ["a"], "video_path": ["v.mp4"], "edge": ["{}"]}), file)
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "names"),
    [
        (f"{LINE}\n{LINE}\n", ["stdin-1", "stdin-2"]),
        (f"# by hand\n// for a test\n{json.dumps(ROW, indent=1)}", ["stdin"]),
        (f"[{LINE}]", ["stdin-1"]),
        ("# by hand\nprompt;video_path;edge\na;v.mp4;{}\n", ["stdin-3"]),
        (LINE.encode("utf-16"), ["stdin"]),
        (parquet(), ["stdin-1"]),
    ],
    ids=["lines", "object", "list", "CSV", "UTF-16", "Parquet"],
)
def test_standard_input_is_what_it_looks_like(folder, typed_in, data, names):
    typed_in(data)
    rows = read("-")
    assert told(rows) == names
    assert {row.spec.video_path for row in rows} == {str(folder / "v.mp4")}


def test_standard_input_without_a_row_or_with_a_bad_one(folder, typed_in):
    typed_in("\n")
    with pytest.raises(InputError, match="standard input: no row to run"):
        read("-")
    typed_in("neither this\nnor that")
    (row,) = read("-")
    assert row.error.message.startswith("standard input (stdin): is not valid JSON, CSV or Parquet: its first line")
    typed_in(json.dumps(ROW | {"video_path": "no.mp4"}))
    (row,) = read("-")
    assert row.error.message.endswith("fix the path (a relative one starts at the working directory)")


def test_a_row_by_flags_is_named_after_its_video_and_reads_from_here(folder):
    (folder / "my clip.mp4").write_bytes(b"video")
    flags = {"video_path": "my clip.mp4", "prompt": "a street", "edge": {}, "edge.control_weight": 0.5}
    (row,) = read(**flags)
    assert (row.name, row.source, row.error) == ("my-clip", "command line", None)
    assert row.spec.video_path == str(folder / "my clip.mp4")
    assert row.spec.edge.control_weight == 0.5
    (row,) = read(**{"prompt": "a street", "seg": {}, "seg.control_path": "v.mp4"})
    assert (row.name, row.error) == ("v", None)
    (row,) = read(**flags | {"video_path": "no.mp4"})
    assert "command line (no): video_path: " in row.error.message
    assert row.error.message.endswith("(a relative one starts at the working directory)")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({}, 'no rows: give SPECS, or a row by flags: --video-path my.mp4 --prompt "a street" --edge'),
        ({"seed": 3}, "no rows: give SPECS"),
        ({"video_path": "v.mp4", "prompt": "a"}, "a row by flags needs a control: add --edge, --vis, --depth or --seg"),
        ({"video_path": "v.mp4", "edge.control_weight": 1.0}, "a row by flags needs a control"),
        ({"front_wide": {}}, "front_wide can't be set for all rows"),
    ],
)
def test_flags_that_are_no_row(folder, flags, message):
    with pytest.raises(InputError) as caught:
        read(**flags)
    assert str(caught.value).startswith(message)


def test_a_control_by_flag_is_for_rows_that_have_none_of_its_kind(folder):
    rows = [ROW | {"edge": {"control_weight": 0.25}}, ROW | {"edge": None}, ROW | {"edge": {}, "vis": {}}]
    (folder / "r.jsonl").write_text("\n".join(map(json.dumps, rows)))
    found = read("r.jsonl", edge={}, **{"vis.control_weight": 0.5})
    assert [list(row.spec.controls) if row.spec else row.error.message.partition(": ")[2] for row in found] == [
        'vis.control_weight (command line) needs a vis control: add "vis": {} to the row, or --vis',
        'vis.control_weight (command line) needs a vis control: add "vis": {} to the row, or --vis',
        ["edge", "vis"],
    ]
    assert [row.spec.edge.control_weight for row in read("r.jsonl", edge={})] == [0.25, 1.0, 1.0]


def test_a_limit_reads_no_further_than_it_has_to(folder, monkeypatch):
    (folder / "a.csv").write_text("prompt,video_path,edge\n")
    (folder / "b.jsonl").write_text(f"{LINE}\n" * 2 + "{\n" * 10_000)
    pq.write_table(pa.Table.from_pylist([ROW | {"edge": "{}"}] * 30_000), folder / "c.parquet")
    parsed = []
    monkeypatch.setattr(row_files, "parse_jsonc", lambda text, **more: parsed.append(text) or json.loads(text))
    assert told(read(".", limit=2)) == ["is empty: write a row into it", "b-1", "b-2"]
    assert len(parsed) < 10
    assert told(read("c.parquet", limit=3)) == ["c-1", "c-2", "c-3"]
    with pytest.raises(InputError, match="no row to run"):
        read("a.csv", limit=1)
