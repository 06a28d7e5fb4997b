"""JSON with comments: what is read, and where an error is found."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airshower.pipelines.jsonc import parse_jsonc

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(VALUES)
def test_plain_json_is_unchanged(value):
    assert parse_jsonc(json.dumps(value)) == value
    assert parse_jsonc(json.dumps(value, indent=1, ensure_ascii=False)) == value


@given(st.lists(VALUES, min_size=1), st.text(alphabet='ab"/,]}', max_size=8))
def test_comments_and_trailing_commas_mean_nothing(values, noise):
    text = ",\n".join(f"// {noise}\n{json.dumps(value)} /* {noise.replace('*/', '')} \n */" for value in values)
    assert parse_jsonc(f"[{text} , // end\n ]") == values


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1,\n "b" 2}', "2:6: Expecting ':'"),
        ('{"a": 1, /* one\ntwo */ "b" 2}', "2:12: Expecting ':'"),
        ('{"a": 1}\n/* open', "2:1: comment opened by /[*] is never closed"),
        ('{"a": "open}', "1:7: Unterminated string"),
        ("[1,,]", "1:4: Expecting value"),
        ("[,]", "1:2: Expecting value"),
        ("", "1:1: Expecting value"),
        ('{"a": 1, "a": 2}', "'a' is given twice"),
        ('{"a": -Infinity}', "-Infinity is not a JSON number"),
        ("[" * 100_000, "nested too deep"),
    ],
)
def test_errors_say_line_and_column(text, message):
    with pytest.raises(ValueError, match=message):
        parse_jsonc(text)


def test_nan_is_how_python_writes_the_gap_of_a_table():
    assert parse_jsonc('{"a": NaN, "b": ["NaN"]}') == {"a": None, "b": ["NaN"]}


def test_lines_count_from_the_first_line_in_the_file():
    with pytest.raises(ValueError, match=r"^8:3: "):
        parse_jsonc("{ x}", first_line=8)
