"""Video files in and out: decoding to RGB frames, encoding to mp4, and to JPEG what is a single frame.

Reading takes what cameras, phones, editors and capture programs write, from a local path or any fsspec URL: the picture
among other streams, upright, in square pixels, progressive, at a constant rate, in the colours of BT.709. What had to
be converted for that is said; what is damaged or not known is an error (docs/inputs.md has the whole table). How a file
is taken apart is in `airshower.pipelines.decoding`. Writing makes H.264 in mp4 that every browser plays, tagged and
converted as BT.709.
"""

import io
import os
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from itertools import chain
from pathlib import Path
from typing import IO

import av
import cv2
import numpy as np
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc

from airshower.configs.sizes import Size
from airshower.pipelines.decoding.errors import MediaError, memory_named
from airshower.pipelines.decoding.frame_buffer import FrameBuffer
from airshower.pipelines.decoding.source import Reading, Source, opened_source

RATE_TOLERANCE = 1e-3  # relative; 24 and 24000/1001 fps go together
JPEG_QUALITY = 85  # 0..100, as published
_JPEG_MOST_PX = 65_500  # libjpeg's limit, below the format's
_MP4 = {"movflags": "+faststart"}


@dataclass(frozen=True, kw_only=True)
class Video:
    """Decoded frames, uint8 (frames, height, width, 3) RGB, and the rate and size they had in the file.

    That size is of the upright picture in square pixels. `notes` say what was converted, a line each.
    """

    frames: np.ndarray
    fps: float
    source_fps: float
    source_height: int
    source_width: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class VideoHeader:
    """What `read_video` finds in a file, but for the pictures."""

    frames: int
    fps: float
    height: int
    width: int


@memory_named
def read_header(path: str, reading: Reading | None = None) -> VideoHeader:
    """Length, rate and size of a video or image, of which one frame is decoded; raises as `read_video`."""
    reading = reading or Reading()
    with opened_source(path, reading) as source:
        next(source.frames(every=1, most=1))
        size, rate, frames = source.size, source.rate, source.sure_frames
    if frames is None:
        with opened_source(path, reading) as source:
            frames = source.counted_frames()
    return VideoHeader(frames=frames, fps=rate, height=size.height, width=size.width)


@memory_named
def read_video(
    path: str,
    *,
    max_frames: int | None = None,
    fps: float | None = None,
    fit: Callable[[int, int], Size] | None = None,
    interpolation: int = cv2.INTER_AREA,
    resize: Callable[[np.ndarray, Size], np.ndarray] | None = None,
    reading: Reading | None = None,
) -> Video:
    """Reads a video, or an image as a video of one frame; decoding ends with the first `max_frames`.

    `fps` asks for another rate, of which the file's must be a whole multiple: frames in between are left out. `fit`
    tells the wanted size from the height and width of the upright picture: frames are resized one by one while they are
    decoded, with OpenCV's `interpolation` or by `resize`, so memory holds the resized clip only. Raises MediaError for
    a file that is empty, damaged, cut off, larger than `reading` allows or no video, OSError for one that is missing or
    can't be reached; both are one line that names the path.
    """
    reading = reading or Reading()
    with opened_source(path, reading) as source:
        every = 1 if fps is None else _every(source.rate, fps, path)
        decoded = source.frames(every=every, most=max_frames)
        first = next(decoded)
        height, width = source.size.height, source.size.width
        size = fit(height, width) if fit else source.size
        resize = resize or partial(_resized, interpolation=interpolation)
        buffer = FrameBuffer(path, size, _expected(source, every, max_frames), reading.limits)
        for frame in chain([first], decoded):
            buffer.add(resize(frame, size))
        return Video(
            frames=buffer.frames(),
            fps=source.rate / every,
            source_fps=source.rate,
            source_height=height,
            source_width=width,
            notes=source.notes(),
        )


def _expected(source: Source, every: int, max_frames: int | None) -> int:
    announced = -(-source.announced_frames // every)
    return announced if max_frames is None else min(announced, max_frames)


def write_video(target: str | os.PathLike[str] | IO[bytes], frames: np.ndarray, fps: float, *, crf: int = 16) -> None:
    """Writes uint8 RGB frames (frames, height, width, 3) as an H.264 mp4 to a local path or an open binary file.

    A path is written beside itself and then renamed, so no half file is ever left. H.264 in 4:2:0 needs even sizes: the
    last row or column of an odd one is dropped. `crf` is x264's quality, lower is better. Raises ValueError for frames
    or rates that can't be encoded and OSError, naming the path, when the target can't be written.
    """
    _check_encodable(frames, fps)
    if not isinstance(target, str | os.PathLike):
        target.write(_encoded(frames, fps, crf))
        return
    path = Path(target)
    part = path.with_name(f".{uuid.uuid4().hex}.part")
    try:
        _encode(part, frames, fps, crf)
        part.replace(path)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise OSError(f"{path}: can't write the video ({reason}): free space there or choose another output") from error
    finally:
        with suppress(OSError):  # gone already when all went well; the error that matters is raised above
            part.unlink()


def shown_file(frames: np.ndarray, fps: float) -> bytes:
    """Frames as a file to look at: an mp4, or a JPEG of a single one. Raises as `write_video` and `jpeg` do."""
    if len(frames) == 1:
        return jpeg(frames[0])
    file = io.BytesIO()
    write_video(file, frames, fps)
    return file.getvalue()


def jpeg(frame: np.ndarray) -> bytes:
    """One uint8 RGB frame (height, width, 3) as a JPEG file; raises ValueError for a size that JPEG hasn't."""
    height, width = frame.shape[:2]
    if max(height, width) > _JPEG_MOST_PX:
        raise ValueError(f"a picture of {width}x{height} can't be a JPEG: {_JPEG_MOST_PX} pixels a side at most")
    _, data = cv2.imencode(".jpg", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return data.tobytes()


def _resized(frame: np.ndarray, size: Size, interpolation: int) -> np.ndarray:
    if frame.shape[:2] == (size.height, size.width):
        return frame
    return cv2.resize(frame, (size.width, size.height), interpolation=interpolation)


def _every(rate: float, wanted: float, path: str) -> int:
    """Every how many frames of a file of one rate make another."""
    every = round(rate / wanted)
    if every < 1 or abs(rate - every * wanted) > RATE_TOLERANCE * rate:
        raise MediaError(
            f"{path}: runs at {rate:g} fps, which is no whole multiple of {wanted:g}: set fps, or encode it again"
        )
    return every


def _check_encodable(frames: np.ndarray, fps: float) -> None:
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3 or not len(frames):
        raise ValueError(f"frames are {frames.dtype} {frames.shape}: expected uint8 (frames, height, width, 3)")
    if min(frames.shape[1:3]) < 2:
        raise ValueError(f"frames of {frames.shape[2]}x{frames.shape[1]} can't be encoded: 2x2 pixels at least")
    if not 0 < fps < 1000:
        raise ValueError(f"{fps} fps can't be encoded: give a rate above 0 and below 1000")


class _Reread:
    """What was written so far, to be read while more is written: FFmpeg moves an mp4's index to the front so."""

    def __init__(self, buffer: io.BytesIO) -> None:
        self._buffer, self._place = buffer, 0

    def read(self, most: int) -> bytes:
        with self._buffer.getbuffer() as written:
            data = bytes(written[self._place : self._place + most])
        self._place += len(data)
        return data

    def seek(self, place: int, whence: int = io.SEEK_SET) -> int:
        origins = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._buffer.getbuffer().nbytes}
        self._place = origins[whence] + place
        return self._place

    def tell(self) -> int:
        return self._place

    def close(self) -> None:
        """Nothing is held."""


def _encoded(frames: np.ndarray, fps: float, crf: int) -> bytes:
    """In memory: no temporary file, which the process that reads uploads may not write."""
    buffer = io.BytesIO()
    _encode(buffer, frames, fps, crf)
    return buffer.getvalue()


def _encode(target: Path | io.BytesIO, frames: np.ndarray, fps: float, crf: int) -> None:
    height, width = (side - side % 2 for side in frames.shape[1:3])
    if isinstance(target, Path):
        opened = av.open(str(target), "w", format="mp4", options=_MP4)
    else:
        opened = av.open(target, "w", format="mp4", options=_MP4, io_open=lambda *_: _Reread(target))
    with opened as container:
        stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        # The same frames give the same bytes, always: threads cut pictures differently, and x264's AVX-512 code for
        # macroblock trees gives another result now and then. One thread also means one core per writing task.
        stream.options = {"crf": str(crf), "threads": "1", "x264-params": "mbtree=0"}
        tags = stream.codec_context
        tags.colorspace, tags.color_range = Colorspace.ITU709, ColorRange.MPEG
        tags.color_primaries, tags.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
        for index, pixels in enumerate(frames):
            rgb = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels[:height, :width]), format="rgb24")
            frame = rgb.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG)
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
