"""Small videos whose frames carry their number, in the forms that cameras, phones, editors and capture programs write.

Twelve black or white cells say a frame's number, so that lost, doubled and frozen frames show.
"""

import io
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.stream import Disposition
from PIL import Image

HEIGHT, WIDTH = 72, 128
FRAMES = 40
GOP = 10

Setup = Callable[[av.container.OutputContainer, av.VideoStream], Iterable[av.Packet] | None]


def picture(number: int, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """The frame of a number: its bits in three rows of four cells, below a grey row."""
    frame = np.full((height, width, 3), 90, np.uint8)
    for bit in range(12):
        top, left = (bit // 4 + 1) * (height // 4), bit % 4 * (width // 4)
        frame[top : top + height // 4, left : left + width // 4] = 235 if number >> bit & 1 else 20
    return frame


def numbers(frames: Iterable[np.ndarray]) -> list[int]:
    """The numbers that frames carry."""
    return [_number(frame) for frame in frames]


def _number(frame: np.ndarray) -> int:
    height, width = frame.shape[0] // 4, frame.shape[1] // 4
    cells = [(row * height + height // 2, column * width + width // 2) for row in range(1, 4) for column in range(4)]
    return sum(int(frame[place].mean() > 128) << bit for bit, place in enumerate(cells))


def write(
    path: Path | str,
    *,
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    rate: Fraction | int = 24,
    file_format: str | None = None,
    file_options: dict[str, str] | None = None,
    options: dict[str, str] | None = None,
    times: Callable[[int], int] = lambda place: place,
    time_base: Fraction | None = None,
    sound: str | None = None,
    sound_first: bool = False,
    setup: Setup = lambda _container, _stream: None,
    keep: Callable[[int], bool] = lambda _packet: True,
    pictures: Iterable[np.ndarray] | None = None,
) -> None:
    """Encodes numbered frames, or `pictures`.

    `times` are those of their places, in ticks of `time_base` (by default of the rate). `sound` names the codec of a
    second stream. `setup` may change streams before they are opened and give packets of others. `keep` says by its
    number whether a packet is written.
    """
    frames = [picture(number) for number in range(FRAMES)] if pictures is None else list(pictures)
    with av.open(str(path), "w", format=file_format, options=file_options or {}) as container:
        audio = container.add_stream(sound, rate=48_000, layout="mono") if sound and sound_first else None
        stream = container.add_stream(codec, rate=rate)
        stream.height, stream.width, stream.pix_fmt = *frames[0].shape[:2], pixel_format
        stream.options = {"g": str(GOP), **(options or {})}
        if time_base is not None:
            stream.codec_context.time_base = time_base
        others = setup(container, stream)
        if sound and not sound_first:
            audio = container.add_stream(sound, rate=48_000, layout="mono")
        encoded = list(_encoded(stream, frames, times))
        for packet in others or ():
            container.mux(packet)
        for number, packet in enumerate(encoded):
            if keep(number):
                container.mux(packet)
        if audio is not None:
            container.mux(list(_silence(audio, len(frames) / float(rate))))


def _encoded(stream: av.VideoStream, frames: Iterable[np.ndarray], times: Callable[[int], int]) -> Iterator[av.Packet]:
    for place, pixels in enumerate(frames):
        frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
        frame.pts = times(place)
        yield from stream.encode(frame)
    yield from stream.encode()


def _silence(stream: av.AudioStream, seconds: float) -> Iterator[av.Packet]:
    samples = stream.codec_context.frame_size or 1024
    kind = np.int16 if stream.format.name.startswith("s16") else np.float32
    for place in range(max(1, int(seconds * 48_000 / samples))):
        frame = av.AudioFrame.from_ndarray(np.zeros((1, samples), kind), format=stream.format.name, layout="mono")
        frame.rate, frame.pts = 48_000, place * samples
        yield from stream.encode(frame)
    yield from stream.encode()


def subtitles(codec: str) -> Setup:
    """Two lines of text beside the picture."""

    def setup(container: av.container.OutputContainer, _: av.VideoStream) -> Iterable[av.Packet]:
        stream = container.add_mux_stream(codec)
        base = stream.time_base = Fraction(1, 1000)
        return [_packet(stream, b"hello", 100, 500, base), _packet(stream, b"world", 800, 500, base)]

    return setup


def cover(container: av.container.OutputContainer, _: av.VideoStream) -> Iterable[av.Packet]:
    """A cover that is larger than the picture, as mp4 has it."""
    stream = container.add_mux_stream("mjpeg", width=300, height=300)
    stream.disposition = Disposition.attached_pic
    return [_packet(stream, cover_jpeg(), 0, 0, Fraction(1, 90_000))]


def attachment(container: av.container.OutputContainer, _: av.VideoStream) -> None:
    """A cover as Matroska has it."""
    container.add_attachment("cover.jpg", "image/jpeg", cover_jpeg())


def time_code(container: av.container.OutputContainer, stream: av.VideoStream) -> None:
    """A track of time codes."""
    stream.metadata["timecode"] = container.metadata["timecode"] = "01:00:00:00"


def cover_jpeg() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (300, 300), (200, 30, 30)).save(file, "JPEG")
    return file.getvalue()


def _packet(stream: av.stream.Stream, data: bytes, at: int, duration: int, base: Fraction) -> av.Packet:
    packet = av.Packet(data)
    packet.stream, packet.time_base = stream, base
    packet.pts = packet.dts = at
    packet.duration = duration
    return packet
