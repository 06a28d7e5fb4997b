"""The JSON text of a row from outside into its fields: strict UTF-8 and JSON, and bounded in every direction.

Comments and the like, which files of rows may have, are none here. What fields mean is the row format's business; what
is checked here keeps the checks behind it cheap, whatever a client sends.
"""

import json
import math
import unicodedata
from collections.abc import Iterator
from typing import Any

from airshower.pipelines.row_values import given_fields

SPEC_LIMIT_BYTES = 256 << 10
_MOST_VALUES = 1000
_MOST_DEPTH = 8
_MOST_NAME = 100  # characters of a field's name
_MOST_TEXT = 4096  # characters; the longest path that Linux has
_MOST_PROMPT = 20_000
_MOST_DIGITS = 20  # of a whole number; the largest seed has 10
_PROMPTS = ("prompt", "negative_prompt", "other_views_prompt", "control_prompt", "mask_prompt")
_SHOWN = 40  # characters of what is refused


class BodyError(ValueError):
    """The body is not a spec, or not a form that holds one."""


def parse_spec(data: bytes) -> dict[str, Any]:
    """The fields that the JSON object in `data` gives, as files give them; raises BodyError."""
    try:
        spec = json.loads(
            data.decode("utf-8-sig"),
            object_pairs_hook=_unique,
            parse_constant=_no_number,
            parse_float=_finite,
            parse_int=_whole,
        )
    except UnicodeDecodeError as error:
        raise BodyError(f"spec: not UTF-8 text (byte {error.start}): send it in UTF-8") from error
    except json.JSONDecodeError as error:
        place = f"line {error.lineno} column {error.colno}"
        raise BodyError(f"spec: not JSON ({error.msg}, {place}): send one object, as RFC 8259 has it") from error
    except RecursionError as error:
        raise BodyError(f"spec: nested deeper than {_MOST_DEPTH}: send one row") from error
    if not isinstance(spec, dict):
        raise BodyError(f"spec: {_kind(spec)}, not a JSON object: send one row")
    for count, (name, value) in enumerate(_values("spec", spec, 1)):
        if count == _MOST_VALUES:
            raise BodyError(f"spec: holds more than {_MOST_VALUES} values: send one row")
        _check(name, value)
    try:
        return given_fields(spec)  # here, so that what is looked at for access is what will be read
    except ValueError as error:
        raise BodyError(f"spec: {error}") from error


def _values(name: str, value: Any, depth: int) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - any JSON
    """Every name and text in a value, each with the (dotted) field that it is in."""
    if depth > _MOST_DEPTH:
        raise BodyError(f"spec: nested deeper than {_MOST_DEPTH}: send one row")
    if isinstance(value, dict):
        for key, inner in value.items():
            if len(key) > _MOST_NAME or not key.isprintable():
                raise BodyError(f"spec: {_shown(key)} is no field's name: `airshower spec schema` lists the fields")
            yield from _values(key if depth == 1 else f"{name}.{key}", inner, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            yield from _values(name, inner, depth + 1)
    else:
        yield name, value


def _check(name: str, value: Any) -> None:  # noqa: ANN401
    """Raises BodyError for text that is too long, or that no prompt, name or path needs."""
    if not isinstance(value, str):
        return
    most = _MOST_PROMPT if name.rpartition(".")[2] in _PROMPTS else _MOST_TEXT
    if len(value) > most:
        raise BodyError(f"{name}: has {len(value)} characters, and {most} are the most: shorten it")
    odd = next(
        (letter for letter in value if unicodedata.category(letter) in ("Cc", "Cs") and letter not in "\t\n\r"), ""
    )
    if odd:
        raise BodyError(f"{name} holds {odd!a}, which is no text: remove it")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, value in pairs:
        if name in fields:
            raise BodyError(f"spec: {_shown(name)} is given twice: keep one")
        fields[name] = value
    return fields


def _no_number(text: str) -> None:
    raise BodyError(f"spec: {text} is no JSON: write a number, or leave the field out")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise BodyError(f"spec: {_shown(text)} is too large a number: write one that fits its field")
    return number


def _whole(text: str) -> int:
    if len(text) > _MOST_DIGITS:
        raise BodyError(f"spec: {_shown(text)} is too large a number: write one that fits its field")
    return int(text)


def _shown(text: str) -> str:
    return ascii(text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}...")


def _kind(value: Any) -> str:  # noqa: ANN401
    names = {list: "a list", str: "text", bool: "a truth value", int: "a number", float: "a number"}
    return names.get(type(value), "null")
