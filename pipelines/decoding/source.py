"""A file as a source of frames, whether it is a video or a picture."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, Protocol

import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream

from airshower.cluster import storage
from airshower.configs.sizes import Size
from airshower.pipelines.decoding.colour import is_ordinary
from airshower.pipelines.decoding.container import is_one_picture, opened, picture_of
from airshower.pipelines.decoding.errors import MediaError
from airshower.pipelines.decoding.file_kinds import HEAD_BYTES, kind_of
from airshower.pipelines.decoding.limits import MediaLimits
from airshower.pipelines.decoding.still import read_still
from airshower.pipelines.decoding.video_file import VideoFile

IMAGE_FPS = 24.0  # an image has no rate of its own; 24 is the base rate of the Cosmos family
_USUAL_FPS = (5, 10, 12, 15, 20, 24, 25, 30, 50, 60, 90, 120)
_FAST_FPS = 60  # guesses above it are of time stamps rather than of frames, if there are far fewer of these


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How files are read, whatever is in them."""

    limits: MediaLimits = field(default_factory=MediaLimits)
    keep_damaged: bool = False  # damaged and missing frames are no error, but named in the notes
    threads: int = 0  # of a decoder; 0: one per core


class Source(Protocol):
    """Frames of one file, read once and in order."""

    rate: float
    size: Size  # of the upright picture in square pixels; known with the first frame

    @property
    def announced_frames(self) -> int:
        """How many frames the file speaks of; 0 where it doesn't."""

    @property
    def sure_frames(self) -> int | None:
        """How many there are, where the header can be believed."""

    def counted_frames(self) -> int:
        """How many there are, by reading the file without decoding it; instead of `frames`."""

    def frames(self, *, every: int, most: int | None) -> Iterator[np.ndarray]:
        """Upright frames, uint8 (H, W, 3), which are yet to be resized; raises MediaError."""

    def notes(self) -> tuple[str, ...]:
        """What was converted, in words; known with the last frame."""


class _Still:
    """A picture as a video of one frame."""

    rate = IMAGE_FPS
    announced_frames = sure_frames = 1

    def __init__(self, data: bytes, path: str, limits: MediaLimits) -> None:
        self._pixels, self._notes = read_still(data, path, limits)
        self.size = Size(*self._pixels.shape[:2])

    def counted_frames(self) -> int:
        return 1

    def frames(self, *, every: int, most: int | None) -> Iterator[np.ndarray]:
        del every, most  # there is one, and at least one is asked for
        yield self._pixels

    def notes(self) -> tuple[str, ...]:
        return self._notes


@contextmanager
def opened_source(path: str, reading: Reading) -> Iterator[Source]:
    """The file at a path or URL; raises MediaError for what can't be read as pictures, OSError where it isn't there."""
    with storage.open_file(path) as file:
        head = _head(file, path)
        kind = kind_of(head, path)
        if kind == "array":
            raise MediaError(
                f"{path}: holds arrays, not pictures: they are read as depth.control_path and as "
                "guided_generation_mask; save what is to be seen as PNG or mp4"
            )
        if kind == "picture":
            yield _Still(file.read(), path, reading.limits)
            return
        with opened(file, path) as container:
            yield _video(container, head, file, path, reading)


def _head(file: IO[bytes], path: str) -> bytes:
    head = file.read(HEAD_BYTES)
    if not head:
        raise MediaError(f"{path}: the file is empty (0 bytes): copy or make it again")
    file.seek(0)
    return head


def _video(container: InputContainer, head: bytes, file: IO[bytes], path: str, reading: Reading) -> Source:
    picture = picture_of(container, path)
    stream = picture.stream
    if picture.tiled:
        return _put_together(stream, head, file, path, reading.limits)
    return VideoFile(
        container,
        stream,
        file,
        path,
        _frames_per_second(container, stream, head, path),
        limits=reading.limits,
        keep_damaged=reading.keep_damaged,
        threads=reading.threads,
    )


def _put_together(stream: VideoStream, head: bytes, file: IO[bytes], path: str, limits: MediaLimits) -> Source:
    """A picture in tiles, which FFmpeg gives one by one; Pillow knows those of AVIF, and ordinary colours."""
    context = stream.codec_context
    if b"avif" not in head[:64] or not is_ordinary(int(context.color_primaries), int(context.color_trc)):
        raise MediaError(f"{path}: a picture in tiles (HEIC, or HDR), which is not read: save it as JPEG or PNG")
    file.seek(0)
    return _Still(file.read(), path, limits)


def _frames_per_second(container: InputContainer, stream: VideoStream, head: bytes, path: str) -> float:
    """What the file says best: FFmpeg's guess of the times of its frames is right where the average is not."""
    if container.format.name.endswith("_pipe") or is_one_picture(head):
        return IMAGE_FPS
    guessed, average = float(stream.guessed_rate or 0), float(stream.average_rate or 0)
    if guessed > _FAST_FPS and 0 < average < guessed / 1.5:
        guessed = next((usual for usual in _USUAL_FPS if usual >= average), guessed)
    if not (guessed or average):
        raise MediaError(f"{path}: no frame rate in it: encode it again with one")
    return guessed or average
