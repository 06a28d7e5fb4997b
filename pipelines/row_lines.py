"""The lines of a text file, read as they are needed, each of which can be wrong by itself.

UTF-8, or UTF-16 and UTF-32 where the file begins with their mark, as Excel and PowerShell write it. A byte that is no
UTF-8 stays in the line as a lone surrogate, so that it costs that line and no other.
"""

import codecs
import io
import re
from collections.abc import Iterator
from typing import IO

_HEAD_BYTES = 4
_MARKS = (  # those of UTF-32 first: they begin with those of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_UNDECODED = re.compile("[\udc80-\udcff]")


def encoding_of(head: bytes) -> str:
    """The encoding of a file that begins with these bytes."""
    return next((name for mark, name in _MARKS if head.startswith(mark)), "utf-8-sig")


def lines_of(file: IO[bytes]) -> Iterator[str]:
    """The lines with their ends, whichever these are; the file can be sought."""
    encoding = encoding_of(file.read(_HEAD_BYTES))
    file.seek(0)
    errors = "surrogateescape" if encoding == "utf-8-sig" else "surrogatepass"
    yield from io.TextIOWrapper(file, encoding, errors, newline="")


def fault_of(line: str) -> str | None:
    """What is wrong with a line's bytes."""
    undecoded = _UNDECODED.search(line)
    if undecoded is None:
        return None
    return f"holds the byte {ord(undecoded[0]) - 0xDC00:#x}, which is not UTF-8: save the file as UTF-8"
