"""What a file is, by its first bytes: a video, a picture, an array, or something else, which is named.

Names say nothing here: uploads have none, and people's files the wrong ones. What is healthy but not read is told apart
from what is damaged, since its remedy is another one.
"""

import re
from collections.abc import Callable
from typing import Literal

from airshower.pipelines.decoding.errors import MediaError

Kind = Literal["video", "picture", "array"]
HEAD_BYTES = 4096  # that are looked at
NPY, ZIP = b"\x93NUMPY", b"PK\x03\x04"
EXR = b"v/1\x01"

_PICTURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM", b"II*\0", b"MM\0*", b"\0\0\0\x0cjP  ")
_PORTABLE = re.compile(rb"P[1-6][ \t\r\n#]")  # PBM, PGM, PPM
_NO_VIDEO = "give a video, or a picture as JPEG, PNG or TIFF"
_SOUND = "holds sound alone: give a file with pictures"
_NUMBERS = "holds numbers, not pictures: it is read as depth.control_path only; save what is to be seen as PNG or mp4"
_PLAYLIST = "is a list that names other files, which are not opened: give the video itself"
_ARCHIVE = "is an archive: unpack it, and name the video in it"


def _starts(*heads: bytes) -> Callable[[bytes], bool]:
    return lambda data: data.startswith(heads)


def _is_text_of(*words: bytes) -> Callable[[bytes], bool]:
    return lambda data: data.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(words)


def _riff(*forms: bytes) -> Callable[[bytes], bool]:
    return lambda data: data[:4] in (b"RIFF", b"FORM", b"RF64") and data[8:12] in forms


# What is told by name, first match first.
_NOT_READ: tuple[tuple[Callable[[bytes], bool], str], ...] = (
    (lambda data: _riff(b"WEBP")(data) and data[12:16] == b"VP8X" and bool(data[20] & 2),
     "is an animated WebP, which is not read: save it as mp4, for instance with ffmpeg 8 or in a browser's recorder"),
    (_starts(b"\xff\x0a", b"\0\0\0\x0cJXL "), "is a JPEG XL, which is not read: save it as JPEG or PNG"),
    (_starts(EXR, b"#?RADIANCE", b"#?RGBE"), _NUMBERS),
    (_riff(b"WAVE", b"AIFF", b"AIFC"), _SOUND),
    (_starts(b"ID3", b"fLaC", b"#!AMR", b"\xff\xfb", b"\xff\xf3", b"\xff\xf2", b"\xff\xf1", b"\xff\xf9"), _SOUND),
    (_starts(b"%PDF"), f"is a PDF document: {_NO_VIDEO}"),
    (_starts(b"\xd0\xcf\x11\xe0"), f"is an office document: {_NO_VIDEO}"),
    (_starts(b"\x1f\x8b", b"7z\xbc\xaf\x27\x1c", b"Rar!", b"\xfd7zXZ", b"BZh", b"\x28\xb5\x2f\xfd"), _ARCHIVE),
    (lambda data: data[257:262] == b"ustar", _ARCHIVE),
    (_is_text_of(b"version https://git-lfs"), "is a pointer of Git LFS, not the file: fetch it with `git lfs pull`"),
    (_is_text_of(b"<!doctype html", b"<html"), "is a web page, as a failed download leaves it: fetch the file again"),
    (_is_text_of(b"#extm3u", b"ffconcat", b"v=0", b"<mpd", b"<?xml", b"[playlist]", b"[reference]"), _PLAYLIST),
    (_is_text_of(b"<svg"), "is an SVG drawing, which is not read: save it as PNG"),
)  # fmt: skip


def kind_of(head: bytes, path: str) -> Kind:
    """What a file's first `HEAD_BYTES` make it; raises MediaError for what is known not to be read."""
    if head.startswith((NPY, ZIP)):
        if head.startswith(ZIP) and b".npy" not in head[:256]:
            raise MediaError(f"{path}: is an archive or an office document: {_NO_VIDEO}")
        return "array"
    for matches, reason in _NOT_READ:
        if matches(head):
            raise MediaError(f"{path}: {reason}")
    if head.startswith(b"\x89PNG") and (b"acTL" in head or b"cICP" in head):  # moves, or has a video's colours
        return "video"
    if head.startswith(_PICTURES) or _PORTABLE.match(head) or _riff(b"WEBP")(head):
        return "picture"
    return "video"
