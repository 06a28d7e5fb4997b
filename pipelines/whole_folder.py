"""Local folders that appear with all their files or not at all, and what is there before one is written."""

import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """A folder to write to that gets its name when the block ends well, and vanishes otherwise.

    Raises OSError where something has the name by then.
    """
    part = folder.with_name(f".{uuid.uuid4().hex}.part")
    part.mkdir(parents=True)
    try:
        yield part
        os.rename(part, folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def content_of(path: Path) -> str | None:
    """The text of a file: None where nothing is, "" for what is no text."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        return ""


def json_of(path: Path) -> object:
    """What a file says as JSON; None where it says nothing."""
    try:
        return json.loads(content_of(path) or "null")
    except ValueError:
        return None
