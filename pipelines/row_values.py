"""What a row's cells say, in the row format's types, so that one table means the same rows in every kind of file.

Null, NaN and empty text are fields not given, at every depth. What tables make of a value is taken for it where that is
what belongs there: 1.0 is 1 (a column of whole numbers with gaps is one of floats), 0 and 1 are false and true, JSON
text, or Python's as pandas writes it to CSV, is the object or list, a number is its text. `edge.control_weight` is a
field of `edge`. Text is a number or a truth only where a source knows no types (`typed`). Whatever else a cell holds
stays as it is: the row format refuses it.
"""

import json
import math
import re
from collections.abc import Mapping
from contextlib import suppress
from decimal import Decimal
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from airshower.configs.row_formats import WORDLESS, field_type, plain_type
from airshower.pipelines.jsonc import parse_jsonc

_GAPS = {"nan", "na", "n/a", "<na>", "null", "none"}  # what programs write for no value, in small letters
_NAMELESS = re.compile(r"(Unnamed: \d+(\.\d+)*)?")  # a column without a name, as it is or as pandas reads it
_PARQUET_INDEX = re.compile(r"__index_level_\d+__")  # as pandas writes it
_DECIMAL_COMMAS = {float: re.compile(r"\s*[+-]?\d*,\d+\s*"), int: re.compile(r"\s*[+-]?\d+,0\s*")}
_PYTHON = re.compile(r"\s*[\[{]\s*'")  # how an object begins that Python has printed
_PYTHON_TOKEN = re.compile(r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|\b(?:True|False|None|nan)\b""")
_PYTHON_ESCAPE = re.compile(r"\\(x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8}|.)", re.DOTALL)
_PYTHON_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}
_JSON_WORDS = {"True": "true", "False": "false", "None": "null", "nan": "null"}
_NO_TEXT = re.compile("[\0\ud800-\udfff]")


def given_fields(cells: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that are given, in the format's types where that is possible; given again they stay the same.

    Raises ValueError for text that can't be handed on, for broken JSON in a cell, and for a column without a name that
    is more than an index.
    """
    named = {name: cell for name, cell in cells.items() if not _is_index(name, cell)}
    return _nested({name: value for name, cell in named.items() if (value := _value(name, cell)) is not None})


def typed(name: str, text: str) -> Any:  # noqa: ANN401 - as many types as fields
    """`text` as a value of the field's type, for sources that know only text; unchanged where it is no such value."""
    kind = plain_type(name)
    if kind in (None, str):
        return text
    if text.strip().lower() in _GAPS:
        return None
    if kind in (dict, list):
        return text
    if kind in _DECIMAL_COMMAS and _DECIMAL_COMMAS[kind].fullmatch(text):
        text = text.replace(",", ".")
    adapter = _adapter(name)
    for parse in (adapter.validate_strings, adapter.validate_json):
        with suppress(ValidationError):
            return parse(text)
    return text


def require_text(name: str, text: str) -> None:
    """Raises ValueError for what neither a path nor UTF-8 can hold."""
    if found := _NO_TEXT.search(text):
        raise ValueError(f"{name} holds {found[0]!a}, which is no text: remove it, and save the file as UTF-8")


@cache
def _adapter(name: str) -> TypeAdapter[Any]:
    return TypeAdapter(field_type(name))


def _value(name: str, cell: Any) -> Any:  # noqa: ANN401
    """What a cell says; None where it says nothing."""
    if isinstance(cell, Decimal):
        cell = float(cell)
    if isinstance(cell, float) and math.isnan(cell):
        return None
    kind = plain_type(name)
    if isinstance(cell, bytes):
        cell = cell.decode("utf-8", "surrogateescape")
    if isinstance(cell, str):
        return _from_text(name, kind, cell)
    if kind is dict and isinstance(cell, Mapping):
        return {key: value for key, inner in cell.items() if (value := _value(f"{name}.{key}", inner)) is not None}
    if kind is list and isinstance(cell, list):
        return [_whole(one) for one in cell]
    if kind is int:
        return _whole(cell)
    if kind is bool and not isinstance(cell, bool) and isinstance(cell, int | float) and cell in (0, 1):
        return bool(cell)
    if kind is str and not isinstance(cell, bool) and isinstance(cell, int | float):
        return _from_text(name, kind, str(cell))
    return cell


def _from_text(name: str, kind: type | None, text: str) -> Any:  # noqa: ANN401
    require_text(name, text)
    if name == "resolution":  # a column of 720 and gaps is one of 720.0
        text = re.sub(r"[.,]0$", "", text)
    if kind is str or kind is None:
        return None if text == "" and name not in WORDLESS else text
    if not text.strip():
        return None
    if kind in (dict, list):
        return _from_json(name, kind, text)
    return text


def _from_json(name: str, kind: type, text: str) -> Any:  # noqa: ANN401
    """The object or list that a text holds; the text where it is something else."""
    if text.strip() == "null":
        return None
    if not text.lstrip().startswith(("{", "[")):
        return text
    try:
        value = parse_jsonc(_PYTHON_TOKEN.sub(_as_json, text) if _PYTHON.match(text) else text)
    except ValueError as error:
        raise ValueError(f"{name} is text that is not valid JSON: {error}") from None
    return _value(name, value) if isinstance(value, kind) else text


def _as_json(token: re.Match[str]) -> str:
    """A text or word of Python as JSON. Not by `ast`, which fails now and then where several threads use it."""
    if token[0] in _JSON_WORDS:
        return _JSON_WORDS[token[0]]
    return json.dumps(_PYTHON_ESCAPE.sub(_unescaped, token[0][1:-1]))


def _unescaped(escape: re.Match[str]) -> str:
    code = escape[1]
    return chr(int(code[1:], 16)) if len(code) > 1 else _PYTHON_ESCAPES.get(code, code)


def _whole(cell: Any) -> Any:  # noqa: ANN401
    return int(cell) if isinstance(cell, float) and cell.is_integer() else cell


def _is_index(name: str, cell: Any) -> bool:  # noqa: ANN401
    """Whether a cell only numbers its row, or is of no column at all; raises ValueError for one that says something."""
    if _PARQUET_INDEX.fullmatch(name):
        return True
    if not _NAMELESS.fullmatch(name.strip()):
        return False
    with suppress(TypeError, ValueError):
        number = float(cell or 0)
        if number.is_integer() or math.isnan(number):
            return True
    raise ValueError(f"{cell!r:.60} is in a column without a name: name it, or write the table without its index")


def _nested(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Fields with dotted names put into the objects they belong to: {"edge.control_weight": 1} -> {"edge": {...}}."""
    result: dict[str, Any] = {}
    for name, value in fields.items():
        control, dot, key = name.partition(".")
        inner = result.setdefault(control, {}) if dot else None
        if isinstance(inner, dict):
            inner[key] = value
        elif isinstance(value, dict):
            result[name] = {**value, **result.get(name, {})}
        else:
            result[name] = value
    return result
