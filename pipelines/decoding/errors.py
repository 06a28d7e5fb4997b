"""What is raised for a file that can't be used, and words of its message."""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class MediaError(ValueError):
    """A file that can't be used as a video; the message is one line with the path, what is wrong and the remedy."""


def memory_named(read: Callable[Concatenate[str, P], T]) -> Callable[Concatenate[str, P], T]:
    """`read(path, ...)` that raises MediaError where the memory doesn't suffice: FFmpeg asks for what headers say."""

    @wraps(read)
    def reading(path: str, *arguments: P.args, **options: P.kwargs) -> T:
        try:
            return read(path, *arguments, **options)
        except MemoryError as error:
            raise MediaError(
                f"{path}: takes more memory than there is here: make it smaller, or set max_frames"
            ) from error

    return reading


def counted(number: int, what: str) -> str:
    """A number of things in words."""
    return f"{number} {what}{'s' * (number != 1)}"
