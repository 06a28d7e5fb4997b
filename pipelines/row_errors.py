"""What is wrong with a row, in words: one line from a validation error, naming field, value, rule and remedy.

Knows the fields' names, bounds and types from the row format; decides nothing about validity itself.
"""

import difflib
import json
from collections.abc import Collection, Sequence
from typing import Any

from annotated_types import Ge, Le
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from airshower.configs.row_formats import OBJECTS, fields_of

SHOWN_FAULTS = 3  # of a row
_SHOWN_CHARACTERS = 60
_RULES = {
    "int_type": ("must be a whole number", "write digits without quotes and decimal point"),
    "float_type": ("must be a number", "write it without quotes"),
    "string_type": ("must be text", "write it in quotes"),
    "string_unicode": ("must be Unicode text", "write it, and the folders of a path, in UTF-8"),
    "bool_type": ("must be true or false", "write it without quotes"),
    "list_type": ("must be a list", "write it as [1, 2]"),
    "string_too_short": ("must not be empty", "fill it in or leave the field out"),
    "model_type": ("must be an object", 'write it as {"control_weight": 1.0}, or {} for the defaults'),
}


def describe(error: ValidationError, overridden: Collection[str] = ()) -> str:
    """The error as one line; `overridden` holds the (dotted) fields that were set on the command line."""
    return joined(faults_of(error, overridden), SHOWN_FAULTS)


def faults_of(error: ValidationError, overridden: Collection[str] = ()) -> list[str]:
    """Every fault that the error names, each as a line."""
    return [_line(detail, overridden) for detail in error.errors(include_url=False)]


def joined(faults: Sequence[str], most: int | None) -> str:
    """Several faults as one line, at most so many of them."""
    hidden = 0 if most is None else len(faults) - most
    return "; ".join(faults[:most]) + (f"; and {hidden} more" if hidden > 0 else "")


def one_line(text: str) -> str:
    """The text without line breaks, and with escapes for what a terminal or a file would choke on."""
    line = " ".join(text.split())
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in line)


def unknown_field(name: str) -> str:
    """That there is no field of that (dotted) name, with the name that was probably meant."""
    control, dot, key = name.rpartition(".")
    known = [f"{control}{dot}{field}" for field in fields_of(control or None)]
    known += [f"{control}.{field}" for control in OBJECTS for field in fields_of(control)] if not dot else []
    nested = [field for field in known if field.endswith(f".{key}")]
    if name in known and not nested:
        return f"{name!r} is not a field of this kind of row (one camera and several differ): remove it"
    close = nested or difflib.get_close_matches(name, known, n=1)
    remedy = f"did you mean {close[0]!r}?" if close else "remove it (`airshower spec schema` lists the fields)"
    return f"{name!r} is not a field: {remedy}"


def _line(detail: ErrorDetails, overridden: Collection[str]) -> str:
    name = ".".join(str(part) for part in detail["loc"])
    if detail["type"] == "extra_forbidden":
        return unknown_field(name)
    value, at_field = detail["input"], not isinstance(detail["input"], dict)
    if detail["type"] == "value_error" and not at_field:  # a rule over several fields names them itself
        return f"{name}: {detail['ctx']['error']}" if name else str(detail["ctx"]["error"])
    given = f"{name} {_shown(value)}{' (command line)' if name in overridden else ''}"
    if detail["type"] == "value_error":
        return f"{given} {detail['ctx']['error']}"
    default = (detail["msg"].replace("Input should be", "must be"), _allowed(name))
    rule, remedy = _RULES.get(detail["type"], default)
    return f"{given} {rule}: {remedy}"


def _allowed(name: str) -> str:
    """The values that a field allows, as a remedy."""
    control, dot, key = name.partition(".")
    field = fields_of(control).get(key) if dot else fields_of().get(name)
    bounds = field.metadata if field is not None else []
    low = next((bound.ge for bound in bounds if isinstance(bound, Ge)), None)
    high = next((bound.le for bound in bounds if isinstance(bound, Le)), None)
    if low is None:
        return "use one of these"
    return f"use {low} or more" if high is None else f"use {low}..{high}"


def _shown(value: Any) -> str:  # noqa: ANN401 - whatever the user wrote
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[: _SHOWN_CHARACTERS - 3]}..."
