import json
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airshower.configs.row_formats import fields_of
from airshower.pipelines.row_errors import one_line
from airshower.platform.posted_spec import BodyError, parse_spec


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b"", "spec: not JSON (Expecting value, line 1 column 1): send one object, as RFC 8259 has it"),
        (b"{,}", "spec: not JSON (Expecting property name enclosed in double quotes, line 1 column 2)"),
        (b'{"seed": 1} x', "spec: not JSON (Extra data, line 1 column 13)"),
        (b'{"seed": 1, /* no */ }', "spec: not JSON"),
        (b"[1]", "spec: a list, not a JSON object: send one row"),
        (b'"text"', "spec: text, not a JSON object"),
        (b"null", "spec: null, not a JSON object"),
        (b'{"seed": NaN}', "spec: NaN is no JSON: write a number, or leave the field out"),
        (b'{"edge": {"control_weight": -Infinity}}', "spec: -Infinity is no JSON"),
        (b'{"seed": 1e400}', "spec: '1e400' is too large a number: write one that fits its field"),
        (b'{"seed": ' + b"9" * 5000 + b"}", "spec: '" + "9" * 37 + "...' is too large a number"),
        (b'{"seed": 1, "seed": 2}', "spec: 'seed' is given twice: keep one"),
        (b'{"edge": {"a": 1, "a": 1}}', "spec: 'a' is given twice"),
        (rb'{"prompt": "\ud800"}', r"prompt holds '\ud800', which is no text: remove it"),
        (rb'{"prompt": "a\u0000b"}', r"prompt holds '\x00', which is no text"),
        (rb'{"edge": {"mask_prompt": "\u001b[31m"}}', r"edge.mask_prompt holds '\x1b', which is no text"),
        (b'{"prompt": "a\x01b"}', "spec: not JSON (Invalid control character at, line 1 column 14)"),
        (rb'{"\ud800": 1}', r"spec: '\ud800' is no field's name: `airshower spec schema` lists the fields"),
        (b'{"' + b"x" * 200 + b'": 1}', "spec: '" + "x" * 37 + "...' is no field's name"),
        ('{"prompt": "é"}'.encode("latin-1"), "spec: not UTF-8 text (byte 12): send it in UTF-8"),
        ('{"prompt": "rain"}'.encode("utf-16"), "spec: not UTF-8 text (byte 0): send it in UTF-8"),
        (b'{"prompt": "' + b"x" * 20_001 + b'"}', "prompt: has 20001 characters, and 20000 are the most: shorten it"),
        (b'{"video_path": "' + b"x" * 5000 + b'"}', "video_path: has 5000 characters, and 4096 are the most"),
        (b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "spec: nested deeper than 8: send one row"),
        (b'{"a": ' + b"[" * 9 + b"]" * 9 + b"}", "spec: nested deeper than 8: send one row"),
        (b'{"a": [' + b"1," * 1000 + b"1]}", "spec: holds more than 1000 values: send one row"),
        (b'{"": 3.5}', "spec: 3.5 is in a column without a name"),
        (b'{"edge": "{\\"a\\": 1, \\"a\\": 2}"}', "spec: edge is text that is not valid JSON: 'a' is given twice"),
    ],
)
def test_what_is_no_spec_is_one_line(data, line):
    with pytest.raises(BodyError) as error:
        parse_spec(data)
    assert str(error.value).startswith(line)
    assert one_line(str(error.value)) == str(error.value)


def test_what_is_one_is_taken_as_files_say_it():
    spec = {"prompt": "Régen\n雨", "edge": {"control_weight": 0.5}, "seed": 2**32 - 1, "negative_prompt": ""}
    assert parse_spec(json.dumps(spec).encode()) == spec
    assert parse_spec(b"\xef\xbb\xbf" + json.dumps(spec, ensure_ascii=False).encode()) == spec
    assert parse_spec(b'{"seed": 1.0, "edge.control_weight": 1, "video_path": null}') == {
        "seed": 1,
        "edge": {"control_weight": 1},
    }


@pytest.mark.parametrize(
    "text",
    [
        '{"edge": ' + json.dumps('"' + '\\"' * 2000) + "}",
        '{"edge": ' + json.dumps("{'" + "\\'" * 2000) + "}",
        "{" + ",".join(f'"edgf{number}": 1' for number in range(999)) + "}",
        '{"a": 1, ' + ",".join(f'"b{number}": 1' for number in range(20_000)) + ', "a": 1}',
    ],
)
@pytest.mark.timeout(60)  # what grows with the square of a text takes minutes
def test_no_text_takes_long(text):
    with suppress(BodyError):
        assert parse_spec(text.encode())


NAMES = st.sampled_from([*fields_of(), "edge.control_weight", "edge", "rear", "", "Unnamed: 0", "prompt.x", "a.b.c"])
TEXTS = st.text(st.characters(codec=None), max_size=30) | st.sampled_from(
    ["NaN", "{", "{'a': nan}", "[1,", "null", "1e999"]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES | TEXTS, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(spec=st.dictionaries(NAMES | TEXTS, VALUES, max_size=6))
def test_any_json_is_a_spec_or_one_line(spec):
    try:
        fields = parse_spec(json.dumps(spec).encode())
    except BodyError as error:
        assert "\n" not in str(error)  # noqa: PT017 - there need not be an error
    else:
        json.dumps(fields, allow_nan=False).encode()


@settings(max_examples=300, deadline=None)
@given(data=st.binary(max_size=60))
def test_any_bytes_are_a_spec_or_one_line(data):
    try:
        parse_spec(b'{"prompt": "' + data + b'"}')
    except BodyError as error:
        assert "\n" not in str(error)  # noqa: PT017
