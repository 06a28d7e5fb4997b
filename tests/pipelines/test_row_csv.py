"""CSV as people and programs write it: what sets cells apart, quotes, comments, bytes, and what a bad line costs."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airshower.pipelines.row_csv import read_csv
from airshower.pipelines.row_lines import lines_of


def rows_of(text: str | bytes):
    """(line, fields or what is wrong) of every row."""
    data = text.encode() if isinstance(text, str) else text
    return [(row.line, row.fields or row.error) for row in read_csv(lines_of(io.BytesIO(data)))]


WANTED = [(2, {"name": "a", "prompt": "wet, dark", "seed": 1}), (3, {"name": "b", "prompt": "x;y"})]


@pytest.mark.parametrize(
    "text",
    [
        'name,prompt,seed\na,"wet, dark",1\nb,x;y,\n',
        'name, prompt ,seed\r\na,"wet, dark",1.0\r\nb,x;y\r\n',
        'name;prompt;seed;;\na;wet, dark;1;;\nb;"x;y";;;\n;;;;\n\n',
        '"name"\t"prompt"\t"seed"\na\twet, dark\t1,0\nb\tx;y\tnan',
        '\ufeffname,prompt,seed\na,"wet, dark",1\nb,x;y,NaN\n \n',
    ],
    ids=["commas", "spaces and CRLF", "semicolons and empty columns", "tabs", "a mark"],
)
def test_cells_are_set_apart_by_what_names_most_fields(text):
    assert rows_of(text) == WANTED
    assert rows_of(text.removeprefix("\ufeff").encode("utf-16")) == WANTED
    assert rows_of(text.removeprefix("\ufeff").encode("utf-32")) == WANTED


def test_excel_says_what_sets_cells_apart():
    assert rows_of("sep=|\nname|prompt\na|x, y; z\n") == [(3, {"name": "a", "prompt": "x, y; z"})]


def test_an_index_is_a_column_without_a_name():
    assert rows_of(",name\n0,a\n1,b\n") == [
        (2, {"Unnamed: 0": "0", "name": "a"}),
        (3, {"Unnamed: 0": "1", "name": "b"}),
    ]


BAD = 'has a quote that is not closed, or text behind a closing one: write a quote inside quotes twice ("")'


@pytest.mark.parametrize("bad", ['c,"p" x,1', 'c,"never closed,1', '"c,p,1', 'c,p,"', 'c,"p""', 'c,"p"x"y",1'])
def test_a_stray_quote_costs_its_line_and_no_other(bad):
    text = f'name,prompt,seed\na,"two\nlines, ""quoted""",1\n{bad}\nd,q,4\n\n"e","r, s",5\n'
    assert rows_of(text) == [
        (2, {"name": "a", "prompt": 'two\nlines, "quoted"', "seed": 1}),
        (4, BAD),
        (5, {"name": "d", "prompt": "q", "seed": 4}),
        (7, {"name": "e", "prompt": "r, s", "seed": 5}),
    ]


@given(st.text(st.sampled_from('",;\t #\\x'), max_size=12))
def test_whatever_a_line_holds_the_rows_around_it_are_read(line):
    text = f"name,prompt,seed\na,p,1\n{line}\nb,q,2\nc,r,3\n"
    rows = [row for row in rows_of(text) if row[0] != 3]
    assert rows == [
        (2, {"name": "a", "prompt": "p", "seed": 1}),
        (4, {"name": "b", "prompt": "q", "seed": 2}),
        (5, {"name": "c", "prompt": "r", "seed": 3}),
    ]


def test_a_quote_in_the_middle_of_a_cell_is_a_letter():
    assert rows_of('name,prompt\na,a 5" pipe\n') == [(2, {"name": "a", "prompt": 'a 5" pipe'})]


def test_a_cell_has_a_length_and_a_line_its_own_bytes():
    long = "x" * 200_000
    rows = rows_of(f"name,prompt\na,p\nb,{long}\nc,gr".encode() + b"\xfcn\nd,q\0\n")
    assert rows[0] == (2, {"name": "a", "prompt": "p"})
    assert rows[1][1].startswith("has a cell of more than 131072 characters, or a quote that is not closed")
    assert rows[2] == (4, "holds the byte 0xfc, which is not UTF-8: save the file as UTF-8")
    assert rows[3] == (5, {"name": "d", "prompt": "q\0"})  # refused where the row is read


def test_comments_are_passed_over_and_texts_that_look_alike_are_not():
    assert rows_of("# made by hand\n\nname,prompt\n#a,off\nb,on\n# end, of it\n") == [
        (5, {"name": "b", "prompt": "on"})
    ]
    assert rows_of("prompt,seed\n#1 street,1\n# none\nroad,2\n") == [
        (2, {"prompt": "#1 street", "seed": 1}),
        (4, {"prompt": "road", "seed": 2}),
    ]


def test_cells_beyond_the_header_have_to_be_empty():
    assert rows_of("name,prompt\na,p,,\nb,p,x\n") == [
        (2, {"name": "a", "prompt": "p"}),
        (3, "has 3 cells under a header of 2: put cells that hold ',' in quotes"),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a street,in.mp4\n", r"its first line names no field \(a street,in.mp4\): begin with one such as prompt"),
        ("prompt, prompt\n", "two columns of the header have the same name 'prompt': keep one"),
        (b"prompt,gr\xfcn\n", "its header holds the byte 0xfc, which is not UTF-8"),
    ],
)
def test_a_header_that_is_none(text, message):
    with pytest.raises(ValueError, match=message):
        rows_of(text)


def test_a_header_alone_or_a_comment_alone_has_no_rows():
    assert rows_of("name,prompt\n") == rows_of("# nothing\n") == rows_of("") == []
