"""Errors of files that say which field of the row the file is from, and errors of memory that say which file it is."""

from collections.abc import Iterator
from contextlib import contextmanager

from airshower.pipelines.decoding.errors import MediaError


@contextmanager
def named(field: str, path: str) -> Iterator[None]:
    """Puts the field in front of what goes wrong with its file, and both where the memory doesn't suffice for it."""
    try:
        yield
    except MediaError as error:
        raise MediaError(f"{field}: {error}") from error
    except MemoryError as error:
        raise MediaError(
            f"{field}: {path} takes more memory than there is here: make it smaller, or set max_frames"
        ) from error
    except OSError as error:
        raise type(error)(f"{field}: {error}") from error
