"""Errors of files that say which field of the row the file is from."""

from collections.abc import Iterator
from contextlib import contextmanager

from airshower.pipelines.decoding.errors import MediaError


@contextmanager
def named(field: str) -> Iterator[None]:
    """Puts the field in front of what goes wrong with its file."""
    try:
        yield
    except MediaError as error:
        raise MediaError(f"{field}: {error}") from error
    except OSError as error:
        raise type(error)(f"{field}: {error}") from error
