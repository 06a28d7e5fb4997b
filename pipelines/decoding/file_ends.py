"""Whether a file of a container that says how long it is was cut off: by the lengths of its parts, nothing is decoded.

MP4 and its like are boxes, Matroska and WebM elements, AVI chunks, each with a length that a finished file has. What
was written live says none, and nothing is known of it.
"""

import os
import struct
from typing import IO

_SLACK_BYTES = 16  # that writers are wrong by
_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"


def missing_bytes(file: IO[bytes]) -> int:
    """How many bytes of a file are missing at its end, as far as it says; 0 where it doesn't. Moves the position."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    head = file.read(12)
    if head[:4] == _EBML:
        missing = _segment_end(file) - size
    elif head[:4] == b"RIFF" and head[8:] == b"AVI ":
        missing = _chunks_end(file, size) - size
    elif head[4:8] in (b"ftyp", b"styp", b"moov", b"mdat", b"wide", b"free", b"skip"):
        missing = _boxes_end(file, size) - size
    else:
        return 0
    return missing if missing > _SLACK_BYTES else 0


def _boxes_end(file: IO[bytes], size: int) -> int:
    """Where the last box of an ISO base media file ends."""
    place = 0
    while place + 8 <= size:
        file.seek(place)
        length, kind = struct.unpack(">I4s", file.read(8))
        if length == 1:
            (length,) = struct.unpack(">Q", file.read(8).rjust(8, b"\0"))
        if length < 8 or not kind.isascii():  # 0: to the end of the file; else padding
            return size
        place += length
    return place


def _chunks_end(file: IO[bytes], size: int) -> int:
    """Where the last RIFF chunk of an AVI file ends; a length of 0 was never filled in."""
    place = 0
    while place + 8 <= size:
        file.seek(place)
        kind, length = struct.unpack("<4sI", file.read(8))
        if kind != b"RIFF" or length in (0, 0xFFFFFFFF):
            return size if kind == b"RIFF" else place
        place += 8 + length + length % 2
    return place


def _segment_end(file: IO[bytes]) -> int:
    """Where the segment of a Matroska file ends, 0 where its length is unknown."""
    file.seek(4)
    header_bytes = _length(file)
    if header_bytes is None:
        return 0
    file.seek(header_bytes, os.SEEK_CUR)
    if file.read(4) != _SEGMENT:
        return 0
    length = _length(file)
    return 0 if length is None else file.tell() + length


def _length(file: IO[bytes]) -> int | None:
    """The EBML length at the position; None for one that is not known."""
    first = file.read(1)
    if not first or not first[0]:
        return None
    more = 8 - first[0].bit_length()
    value = int.from_bytes(bytes([first[0] ^ (0x80 >> more)]) + file.read(more), "big")
    return None if value == (1 << 7 * (more + 1)) - 1 else value
