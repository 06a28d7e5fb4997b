"""Opening a video file with FFmpeg, which reads the bytes that it is given and nothing else, and choosing its picture.

FFmpeg knows containers that are lists of other files, addresses and devices; a text that poses as a video would have it
open these. So it gets an open file without a name, no protocol, and only the containers listed here.
"""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from airshower.pipelines.decoding.errors import MediaError

# Names of FFmpeg's demuxers: what cameras, phones, editors and capture programs write, and single AVIF, HEIC and PNG.
_CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "avi", "mpegts", "mpeg", "mpegvideo", "m4v", "h264", "hevc", "av1",
    "obu", "ivf", "ogg", "asf", "flv", "dv", "mxf", "nut", "yuv4mpegpipe", "gif", "apng", "png_pipe", "mjpeg", "vc1",
)  # fmt: skip
_SAFE = {"protocol_whitelist": "none", "format_whitelist": ",".join(_CONTAINERS)}
_STILL_CODECS = ("mjpeg", "png", "bmp", "gif", "webp", "tiff")  # of covers, beside a stream of another codec
_NO_PICTURE = Disposition.attached_pic | Disposition.timed_thumbnails


class _Nameless:
    """A file without its name, by which FFmpeg would take .txt for terminal art and %d in .jpg for a series."""

    def __init__(self, file: IO[bytes]) -> None:
        self.read, self.seek, self.tell = file.read, file.seek, file.tell


@contextmanager
def opened(file: IO[bytes], path: str) -> Iterator[InputContainer]:
    """The container in an open file; raises MediaError where FFmpeg finds none of those that are read."""
    try:
        container = av.open(_Nameless(file), "r", container_options=_SAFE)
    except MemoryError:
        raise
    except (av.FFmpegError, UnicodeDecodeError) as error:  # the second for names in it that are no text
        raise MediaError(f"{path}: {_why_not_opened(file)}") from error
    with container:
        yield container


def _why_not_opened(file: IO[bytes]) -> str:
    """In words that tell a file that is cut off from what is no video at all."""
    file.seek(0)
    head = file.read(16)
    if head[4:8] in (b"ftyp", b"mdat", b"wide", b"moov", b"styp") or head.startswith((b"\x1a\x45\xdf\xa3", b"RIFF")):
        return "a video that is damaged, or cut off before its index: copy or make it again"
    return "not a video, or one of a kind that is not read: give a file such as mp4, mov, mkv, webm or avi"


@dataclass(frozen=True, kw_only=True)
class Picture:
    """The stream that is the picture, and whether the file has it in tiles."""

    stream: VideoStream
    tiled: bool


def picture_of(container: InputContainer, path: str) -> Picture:
    """The video that a player shows: not a cover or preview, the default one, the largest.

    Raises MediaError for a file without one.
    """
    streams = [stream for stream in container.streams.video if not stream.disposition & _NO_PICTURE]
    if not streams:
        has = "a cover and sound" if container.streams.video else "sound" if container.streams.audio else "no picture"
        raise MediaError(f"{path}: no video stream in it, it holds {has}: give a file with pictures")
    tiled = len(streams) > 1 and all(stream.disposition & Disposition.dependent for stream in streams)
    readable = [stream for stream in streams if stream.codec_context is not None]
    if not readable:
        raise MediaError(f"{path}: its video is coded in a way that is not read: save it as H.264, HEVC, VP9 or AV1")
    stills = [stream.codec_context.name in _STILL_CODECS for stream in readable]
    moving = [stream for stream, still in zip(readable, stills, strict=True) if not still] or readable
    chosen = max(moving, key=lambda one: (bool(one.disposition & Disposition.default), one.width * one.height))
    return Picture(stream=chosen, tiled=tiled)


def is_one_picture(head: bytes) -> bool:
    """Whether a file of the ISO family is a picture (AVIF, HEIC) and no video, by its brand."""
    if len(head) < 12 or head[4:8] != b"ftyp":
        return False
    length = struct.unpack(">I", head[:4])[0]
    return head[8:12] in (b"avif", b"mif1", b"heic", b"heix") and b"avis" not in head[8:length]
