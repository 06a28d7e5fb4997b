"""Video files in and out: decoding to RGB frames, encoding to mp4, and to JPEG what is a single frame.

Reading takes whatever FFmpeg takes (H.264, HEVC, any container, also single images), from a local path or any fsspec
URL, and decodes in order, so the frame count is exact. Colours are those that OpenCV gives: the file's tagged matrix,
BT.601 where nothing is tagged. Writing makes H.264 in mp4 that every browser plays, tagged and converted as BT.709.
Sound, variable frame rates and non-square pixels are not handled: frames count, their time stamps don't.
"""

import io
import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import IO

import av
import cv2
import numpy as np
from av.container import InputContainer
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc
from av.video.stream import VideoStream

from airshower.cluster import storage
from airshower.configs.sizes import Size

RATE_TOLERANCE = 1e-3  # relative; 24 and 24000/1001 fps go together
JPEG_QUALITY = 85  # 0..100, as published
_JPEG_MOST_PX = 65_500  # libjpeg's limit, below the format's
IMAGE_FPS = 24.0  # an image has no rate of its own; 24 is the base rate of the Cosmos family


class MediaError(ValueError):
    """A file that can't be used as a video; the message is one line with the path, what is wrong and the remedy."""


@dataclass(frozen=True, kw_only=True)
class Video:
    """Decoded frames, uint8 (frames, height, width, 3) RGB, and the rate and size they had in the file."""

    frames: np.ndarray
    fps: float
    source_fps: float
    source_height: int
    source_width: int


@dataclass(frozen=True, kw_only=True)
class VideoHeader:
    """What a file announces: its frames are counted only where it doesn't say how many there are."""

    frames: int
    fps: float
    height: int
    width: int


def read_header(path: str) -> VideoHeader:
    """Length, rate and size of a video or image from its header and first frame; raises as `read_video`."""
    with _opened(path) as container:
        stream = _video_stream(container, path)
        rate = _frames_per_second(container, stream, path)
        decoded = _decoded(container, stream, path)
        height, width = next(decoded).shape[:2]
        seconds = (container.duration or 0) / av.time_base
        frames = stream.frames or round(seconds * rate) or 1 + sum(1 for _ in decoded)
    return VideoHeader(frames=frames, fps=rate, height=height, width=width)


def read_video(
    path: str,
    *,
    max_frames: int | None = None,
    fps: float | None = None,
    fit: Callable[[int, int], Size] | None = None,
    interpolation: int = cv2.INTER_AREA,
    resize: Callable[[np.ndarray, Size], np.ndarray] | None = None,
) -> Video:
    """Reads a video, or an image as a video of one frame; decoding ends with the first `max_frames`.

    `fps` asks for another rate, of which the file's must be a whole multiple: frames in between are left out. `fit`
    tells the wanted size from the file's height and width: frames are resized one by one while they are decoded, with
    OpenCV's `interpolation` or by `resize`, so memory holds the resized clip only. Raises MediaError for an empty,
    unreadable or truncated file, OSError for one that is missing or can't be reached; both are one line that names the
    path.
    """
    with _opened(path) as container:
        stream = _video_stream(container, path)
        rate = _frames_per_second(container, stream, path)
        every = 1 if fps is None else _every(rate, fps, path)
        decoded = islice(islice(_decoded(container, stream, path), 0, None, every), max_frames)
        first = next(decoded)
        height, width = first.shape[:2]
        size = fit(height, width) if fit else Size(height, width)
        resize = resize or partial(_resized, interpolation=interpolation)
        frames = [resize(frame, size) for frame in chain([first], decoded)]
    return Video(frames=np.stack(frames), fps=rate / every, source_fps=rate, source_height=height, source_width=width)


def write_video(target: str | os.PathLike[str] | IO[bytes], frames: np.ndarray, fps: float, *, crf: int = 16) -> None:
    """Writes uint8 RGB frames (frames, height, width, 3) as an H.264 mp4 to a local path or an open binary file.

    A path is written beside itself and then renamed, so no half file is ever left. H.264 in 4:2:0 needs even sizes: the
    last row or column of an odd one is dropped. `crf` is x264's quality, lower is better. Raises ValueError for frames
    or rates that can't be encoded and OSError, naming the path, when the target can't be written.
    """
    _check_encodable(frames, fps)
    if not isinstance(target, str | os.PathLike):
        with tempfile.TemporaryDirectory(prefix="airshower-") as folder:
            encoded = Path(folder) / "video.mp4"
            _encode(encoded, frames, fps, crf)
            with encoded.open("rb") as file:
                shutil.copyfileobj(file, target)
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


class _Nameless:
    """A file without its name, by which FFmpeg would take .txt for terminal art and %d in .jpg for a series."""

    def __init__(self, file: IO[bytes]) -> None:
        self.read, self.seek, self.tell = file.read, file.seek, file.tell


@contextmanager
def _opened(path: str) -> Iterator[InputContainer]:
    """The file at a path or URL, opened by FFmpeg."""
    with storage.open_file(path) as file:
        if not file.read(1):
            raise MediaError(f"{path}: the file is empty (0 bytes): copy or make it again")
        file.seek(0)
        try:
            container = av.open(_Nameless(file), "r")
        except av.FFmpegError as error:
            raise MediaError(
                f"{path}: not a video, or cut off before its index: give a file that a player opens"
            ) from error
        with container:
            yield container


def _video_stream(container: InputContainer, path: str) -> VideoStream:
    if not container.streams.video:
        raise MediaError(f"{path}: no video stream in it: give a file with pictures")
    stream = container.streams.video[0]
    stream.thread_type = "AUTO"
    return stream


def _decoded(container: InputContainer, stream: VideoStream, path: str) -> Iterator[np.ndarray]:
    """Every frame in the order of display; raises MediaError where the file is damaged or ends too early."""
    frames = packets = 0
    end_s = 0.0
    try:
        for packet in container.demux():
            if packet.pts is not None and packet.time_base is not None:
                end_s = max(end_s, float((packet.pts + (packet.duration or 0)) * packet.time_base))
            if packet.stream_index != stream.index:
                continue
            packets += packet.size > 0
            for frame in stream.decode(packet):
                yield _upright(frame)
                frames += 1
    except av.FFmpegError as error:
        raise MediaError(f"{path}: damaged after {frames} frames{_of(stream)}: copy or make it again") from error
    # Packets, not frames: an edit list may drop frames of a whole file.
    if packets < stream.frames or (not stream.frames and _ends_early(container, stream, end_s)):
        raise MediaError(f"{path}: truncated, only {frames} frames{_of(stream)} are there: copy or make it again")
    if not frames:
        raise MediaError(f"{path}: no frame in it: copy or make it again")


def _of(stream: VideoStream) -> str:
    return f" of {stream.frames}" if stream.frames else ""


def _ends_early(container: InputContainer, stream: VideoStream, end_s: float) -> bool:
    """Whether the data ends more than three frames before the duration in the header (Matroska counts no frames)."""
    if not container.duration or not stream.average_rate:
        return False
    announced_s = ((container.start_time or 0) + container.duration) / av.time_base
    return end_s < announced_s - 3 / float(stream.average_rate)


def _upright(frame: av.VideoFrame) -> np.ndarray:
    """RGB pixels, turned as the file says (phones store portrait clips lying down)."""
    pixels = frame.to_ndarray(format="rgb24")
    return np.ascontiguousarray(np.rot90(pixels, k=round(frame.rotation / 90) % 4))


def _resized(frame: np.ndarray, size: Size, interpolation: int) -> np.ndarray:
    if frame.shape[:2] == (size.height, size.width):
        return frame
    return cv2.resize(frame, (size.width, size.height), interpolation=interpolation)


def _frames_per_second(container: InputContainer, stream: VideoStream, path: str) -> float:
    if container.format.name.endswith("_pipe"):  # FFmpeg's name for single images: png_pipe, jpeg_pipe, ...
        return IMAGE_FPS
    if not stream.average_rate:
        raise MediaError(f"{path}: no frame rate in it: encode it again with one")
    return float(stream.average_rate)


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


def _encode(path: Path, frames: np.ndarray, fps: float, crf: int) -> None:
    height, width = (side - side % 2 for side in frames.shape[1:3])
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as container:
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
