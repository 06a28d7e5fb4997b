"""The order of files that are one clip's frames."""

import re
from collections.abc import Iterable

_OF_WINDOWS = ("thumbs.db", "desktop.ini")


def in_name_order(paths: Iterable[str]) -> list[str]:
    """Paths of one folder by name, numbers in it by value: frame_2 before frame_10.

    Hidden files are left out, and those that Windows puts into folders.
    """
    shown = [path for path in paths if not _name(path).startswith(".") and _name(path).lower() not in _OF_WINDOWS]
    return sorted(shown, key=lambda path: [int(part) if part.isdecimal() else part for part in _parts(path)])


def _parts(path: str) -> list[str]:
    """A file's name cut before and after its numbers: text and numbers take turns."""
    return re.split(r"([0-9]+)", _name(path))


def _name(path: str) -> str:
    return path.rpartition("/")[2]
