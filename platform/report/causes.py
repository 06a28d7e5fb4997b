"""Failures grouped by cause: messages that differ in names, paths and numbers alone are one cause."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from airshower.pipelines.folder_state import FailedRow

_SHOWN_NAMES = 5
_PATTERNS = (
    (re.compile(r"\b[a-z][a-z0-9+.]*://[^\s,;'\")]+"), "URL"),
    (re.compile(r"(?<![\w/])(?:~|\.{1,2})?/[^\s,;:'\")]+"), "PATH"),
    (re.compile(r"\b[\w.-]+\.(?:mp4|mov|jpg|jpeg|png|json|jsonl|csv|parquet|npz|safetensors|pt)\b"), "FILE"),
    (re.compile(r"\b(?=[0-9a-f]*\d)[0-9a-f]{8,}\b"), "ID"),
    (re.compile(r"\d+(?:[.,]\d+)*"), "N"),
)


@dataclass(kw_only=True)
class Cause:
    """Rows that failed alike; `message` is that of the first."""

    stage: str
    type: str
    message: str
    rows: int = 0
    names: list[str] = field(default_factory=list)  # of the first few


def causes(failures: Iterable[FailedRow]) -> list[Cause]:
    """Most rows first."""
    found: dict[tuple[str, str, str], Cause] = {}
    for failure in failures:
        key = failure.stage, failure.type, pattern(failure.message, failure.name)
        cause = found.setdefault(key, Cause(stage=failure.stage, type=failure.type, message=failure.message))
        cause.rows += 1
        if len(cause.names) < _SHOWN_NAMES:
            cause.names.append(failure.name)
    return sorted(found.values(), key=lambda cause: (-cause.rows, cause.stage, cause.message))


def pattern(message: str, name: str) -> str:
    """The message without what belongs to one row."""
    if name:
        message = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", "NAME", message)
    for expression, word in _PATTERNS:
        message = expression.sub(word, message)
    return message
