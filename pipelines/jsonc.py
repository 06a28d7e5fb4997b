"""JSON with comments and trailing commas, as the published specs are written.

Comments and commas are blanked before the standard parser reads the text, so its line and column numbers stay true.
Stricter than the standard parser where a spec would suffer in silence: a key given twice and Infinity are errors. NaN,
which Python writes for a table's gaps, is null. Single quotes, bare keys and the rest of JSON5 are not read.
"""

import json
import re
from typing import Any

_STRING = r'"(?:\\.|[^"\\\n])*"'
_COMMENT = re.compile(rf"{_STRING}|//[^\n]*|/\*.*?\*/|/\*", re.DOTALL)
_VALUE_END = re.compile(rf"({_STRING}|[\w}}\]])(?:(\s*),(?=\s*[}}\]]))?")


def parse_jsonc(text: str, first_line: int = 1) -> Any:  # noqa: ANN401 - JSON holds anything
    """The value written in `text`; raises ValueError with line:column and the reason in one line.

    `first_line` is the number of the text's first line in its file.
    """
    try:
        return json.loads(_without_extras(text), object_pairs_hook=_unique_keys, parse_constant=_constant)
    except json.JSONDecodeError as error:
        raise ValueError(f"{first_line + error.lineno - 1}:{error.colno}: {error.msg}") from None
    except RecursionError:
        raise ValueError(f"{first_line}:1: nested too deep for a spec") from None


def is_comment(line: str) -> bool:
    """Whether there is no value in a line: it is blank, or a comment; one that begins with # counts as well."""
    text = line.strip()
    return text == "" or text.startswith(("#", "//")) or (text.startswith("/*") and text.find("*/", 2) == len(text) - 2)


def _without_extras(text: str) -> str:
    """`text` with comments and trailing commas turned into spaces, every other character in its place."""
    bare = _COMMENT.sub(_blank_comment, text)
    return _VALUE_END.sub(lambda end: end[1] if end[2] is None else f"{end[1]}{end[2]} ", bare)


def _blank_comment(match: re.Match[str]) -> str:
    token = match[0]
    if token.startswith('"'):
        return token
    if token == "/*":
        raise json.JSONDecodeError("comment opened by /* is never closed", match.string, match.start())
    return re.sub(r"[^\n]", " ", token)


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice!r} is given twice: keep one")
    return fields


def _constant(name: str) -> None:
    if name != "NaN":
        raise ValueError(f"{name} is not a JSON number: write digits, or null")
