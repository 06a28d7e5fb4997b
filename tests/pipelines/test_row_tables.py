"""One table is the same rows in every kind of file, as the programs write it that tables come from."""

import json
import random
from decimal import Decimal

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airshower.configs.model_source import ModelSource
from airshower.configs.presets import preset
from airshower.pipelines.ledger.keyed_rows import with_keys
from airshower.pipelines.row_values import given_fields, typed
from airshower.pipelines.rows import read_rows

TINY = preset("tiny-transfer")
STRENGTHS = ("very_low", "low", "medium", "high", "very_high")
FILES = ("rows.json", "lines.json", "rows.jsonl", "rows.csv", "semicolons.csv", "utf16.csv", "rows.tsv", "rows.parquet")


def written(table: pd.DataFrame, folder) -> list[str]:
    """The table in every kind of file, with pandas' index where the kind has one."""
    table.to_json(folder / "rows.json", orient="records")
    table.to_json(folder / "lines.json", orient="records", lines=True)
    table.to_json(folder / "rows.jsonl", orient="records", lines=True)
    table.to_csv(folder / "rows.csv")
    excel = {"sep": ";", "decimal": ",", "encoding": "utf-8-sig", "lineterminator": "\r\n"}
    table.to_csv(folder / "semicolons.csv", index=False, **excel)
    table.to_csv(folder / "utf16.csv", encoding="utf-16")
    table.to_csv(folder / "rows.tsv", sep="\t")
    table.to_parquet(folder / "rows.parquet")
    return [str(folder / name) for name in FILES]


def read(file):
    return read_rows([str(file)], overrides={}, preset=TINY)


def said(file):
    """What is read of each row, wherever it is from."""
    return [(row.spec, row.prompt, row.error and row.error.message.rpartition("): ")[2]) for row in read(file)]


@pytest.fixture
def folder(tmp_path):
    for name in ("in.mp4", "mask.mp4"):
        (tmp_path / name).write_bytes(name.encode())
    return tmp_path


PERCENTS = st.integers(0, 100).map(lambda percent: percent / 100)
CHARACTERS = st.characters(codec="utf-8", exclude_characters="\0\r")  # pandas writes \r into CSV without quotes
TEXTS = st.text(CHARACTERS, min_size=1, max_size=12).filter(lambda text: text not in ("nan", "NaN", "<NA>"))


def gaps(values):
    return st.none() | values


def controls(strength):
    masks = {"mask_path": gaps(st.just("mask.mp4")), strength: gaps(st.sampled_from(STRENGTHS))}
    return gaps(st.fixed_dictionaries({"control_weight": PERCENTS, **masks}))


TABLE_ROWS = st.fixed_dictionaries(
    {
        "prompt": TEXTS,
        "negative_prompt": gaps(TEXTS),
        "video_path": st.just("in.mp4"),
        "seed": gaps(st.integers(0, 2**32 - 1)),
        "max_frames": gaps(st.integers(1, 500)),
        "resolution": gaps(st.sampled_from([144, 480, 720])),
        "show_input": gaps(st.booleans()),
        "edge": controls("preset_edge_threshold"),
        "vis": controls("preset_blur_strength"),
    }
)


def plain(row):
    """A row as it would be written by hand."""
    cells = {name: plain(cell) if isinstance(cell, dict) else cell for name, cell in row.items() if cell is not None}
    return cells | {"resolution": str(cells["resolution"])} if "resolution" in cells else cells


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(TABLE_ROWS, min_size=1, max_size=4))
def test_a_table_is_the_same_rows_in_every_kind_of_file(folder, rows):
    rows = [{"name": f"r{number}", **row} for number, row in enumerate(rows)]
    (folder / "plain.jsonl").write_text("\n".join(json.dumps(plain(row)) for row in rows))
    meant = said(folder / "plain.jsonl")
    for file in written(pd.DataFrame(rows), folder):
        assert said(file) == meant, file


def test_a_thousand_rows_have_the_same_keys_in_every_kind_of_file(folder):
    draw = random.Random(0)

    def maybe(value):
        return value if draw.random() < 0.7 else None

    def some_control(strength):
        mask = maybe("mask.mp4")
        return {
            "control_weight": maybe(draw.randrange(101) / 100),
            "mask_path": mask,
            strength: maybe(draw.choice(STRENGTHS)),
        }

    rows = [
        {
            "name": f"r{number}",
            "prompt": f'"Street" {draw.randrange(10**6)}, at night;\nrain',
            "negative_prompt": maybe("fog"),
            "video_path": "in.mp4",
            "seed": maybe(draw.randrange(2**32)),
            "guidance": maybe(draw.randrange(8)),
            "max_frames": maybe(draw.randrange(1, 500)),
            "show_input": maybe(draw.random() < 0.5),
            "exact_reference": maybe(draw.random() < 0.5),
            "edge": some_control("preset_edge_threshold"),
            "vis": maybe(some_control("preset_blur_strength")),
        }
        for number in range(1000)
    ]
    found = {}
    for file in written(pd.DataFrame(rows), folder):
        keyed = with_keys(read(file), ModelSource(preset=TINY), salt="")
        assert [row.error for row in keyed] == [None] * 1000, file
        found[file] = [row.key for row in keyed]
    first, *others = found.values()
    assert len(set(first)) == 1000
    assert all(keys == first for keys in others)


LABELS = "guided_generation_foreground_labels"
REFUSED = {"seed": "3", "edge": True, "vis": [], "depth": '"{}"', "seg": "cars", "show_input": 2, "max_frames": 7.5}


@pytest.mark.parametrize(
    ("cells", "fields"),
    [
        ({"seed": None, "edge": {"control_weight": None, "mask_path": float("nan")}, "vis": None}, {"edge": {}}),
        ({"seed": 7.0, "guidance": Decimal("3.00"), "name": 7}, {"seed": 7, "guidance": 3, "name": "7"}),
        ({"edge": '{"control_weight": 1}', "vis": "null", "depth": " "}, {"edge": {"control_weight": 1}}),
        ({"edge": "{'mask_path': \"it's\\xfc\", 'control_weight': nan}"}, {"edge": {"mask_path": "it's\xfc"}}),
        ({"seg": "{'control_prompt': '\"car\"\\n\\\\'}"}, {"seg": {"control_prompt": '"car"\n\\'}}),
        ({LABELS: "[1, 2.0]"}, {LABELS: [1, 2]}),
        ({LABELS: [1.0]}, {LABELS: [1]}),
        ({"show_input": 1.0, "exact_reference": 0}, {"show_input": True, "exact_reference": False}),
        ({"resolution": 720, "prompt": b"gr\xc3\xbcn"}, {"resolution": "720", "prompt": "grün"}),
        ({"prompt_path": "", "negative_prompt": ""}, {"negative_prompt": ""}),
        ({"edge.control_weight": 1, "vis.mask_path": None, "edge": "{}"}, {"edge": {"control_weight": 1}}),
        ({"": 0, "Unnamed: 0": 3.0, "Unnamed: 0.1": None, "__index_level_0__": "2024-01-01"}, {}),
        (REFUSED, REFUSED),  # what is none of these stays as it is, for the format to refuse
    ],
)
def test_what_cells_say(cells, fields):
    assert given_fields(cells) == fields


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({"Unnamed: 0": "x"}, "'x' is in a column without a name: name it, or write the table without its index"),
        ({"": True, "edge": "{control_weight: 1}"}, "edge is text that is not valid JSON: 1:2"),
        ({"edge": '{"control_weight": 1, "control_weight": 2}'}, "edge is text .* 'control_weight' is given twice"),
        ({"edge": "{'mask_path': 'a', 'mask_path': 'b'}"}, "edge is text .* 'mask_path' is given twice"),
        ({"edge": {"mask_path": "a\0b"}}, r"edge.mask_path holds '\\x00', which is no text"),
        ({"prompt": b"gr\xfcn"}, r"prompt holds '\\udcfc', which is no text"),
    ],
)
def test_cells_that_say_nothing_that_can_be_read(cells, message):
    with pytest.raises(ValueError, match=message):
        given_fields(cells)


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4)
NAMES = st.sampled_from(["edge", "edge.mask_path", "seed", "prompt", "show_input", "Unnamed: 0", "a.b", "vis"])
JSON = st.sampled_from(['{"seed": 1}', '"{}"', "{'a': '{}'}", '{"mask_path": "{}"}', "[1]", "null", '"null"', "{}"])
CELLS = st.dictionaries(NAMES, SCALARS | JSON | st.dictionaries(NAMES, SCALARS | JSON, max_size=2), max_size=4)


@given(CELLS)
def test_fields_that_are_given_again_stay_the_same(cells):
    """The service checks which files they name before it hands them on."""
    try:
        fields = given_fields(cells)
    except ValueError:
        return
    assert given_fields(fields) == fields


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("seed", "7.0", 7),
        ("seed", " 7 ", 7),
        ("seed", "7,0", 7),
        ("seed", "1,000", "1,000"),
        ("seed", "seven", "seven"),
        ("seed", "N/A", None),
        ("edge.control_weight", "0,25", 0.25),
        ("edge.control_weight", "None", None),
        ("show_input", "TRUE", True),
        ("show_input", "no", False),
        ("show_input", "1.0", True),
        ("prompt", "7", "7"),
        ("prompt", "None", "None"),
        ("nothing", "7", "7"),
    ],
)
def test_text_becomes_a_value_of_its_field(name, text, value):
    assert typed(name, text) == value
    assert type(typed(name, text)) is type(value)


def test_parquet_as_other_programs_write_it(folder):
    columns = {
        "prompt": pa.array(["a", "b"]).dictionary_encode(),
        "video_path": pa.array(["in.mp4"] * 2, pa.large_string()),
        "seed": pa.array([Decimal(3), None], pa.decimal128(12, 2)),
        "guidance": pa.array([3, None], pa.uint8()),
        "show_input": pa.array([1, 0], pa.int8()),
        "edge": pa.array([{"control_weight": 0.5}, {"control_weight": None}]),
        "depth": pa.nulls(2),
        "__index_level_0__": pa.array([10, 11]),
    }
    pq.write_table(pa.table(columns), folder / "rows.parquet")
    one, two = read(folder / "rows.parquet")
    assert (one.error, two.error) == (None, None)
    assert (one.spec.seed, one.spec.guidance, one.spec.show_input, one.spec.edge.control_weight) == (3, 3, True, 0.5)
    assert (two.spec.seed, two.spec.show_input, two.spec.edge.control_weight, two.spec.depth) == (
        2025,
        False,
        1.0,
        None,
    )


def test_a_text_that_is_no_utf_8_costs_its_row_of_parquet(folder):
    prompts = pa.array([b"a", b"gr\xfcn", b"c"], pa.binary())
    texts = pa.Array.from_buffers(pa.string(), 3, prompts.buffers())
    table = pa.table({"prompt": texts, "video_path": ["in.mp4"] * 3, "edge": ["{}"] * 3})
    pq.write_table(table, folder / "rows.parquet")
    one, two, three = read(folder / "rows.parquet")
    assert (one.error, three.error) == (None, None)
    assert "rows.parquet row 2 (rows-2): can't be read: 'utf-8' codec" in two.error.message


def test_a_table_with_two_columns_of_one_name_is_refused(folder):
    pq.write_table(pa.table([["a"], ["b"]], names=["prompt", "prompt"]), folder / "rows.parquet")
    (row,) = read(folder / "rows.parquet")
    assert row.error.message.endswith("is not valid Parquet: two columns have the same name 'prompt': keep one")
