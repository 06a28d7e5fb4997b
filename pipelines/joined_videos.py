"""Videos one after the other in one file, without encoding them again."""

import io
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av


def join_videos(videos: Sequence[tuple[bytes, int]], fps: float, path: Path) -> None:
    """Writes one mp4 of several (each with its number of frames), all of one size, rate and encoder.

    Frame n of all is shown at n / fps. Raises ValueError where the videos aren't alike.
    """
    rate = Fraction(fps).limit_denominator(1001)
    looks = [_look(data) for data, _ in videos]
    if any(settings != looks[0][0] for settings, _ in looks):
        raise ValueError("videos that were encoded with different settings can't be in one file")
    delay = max(delay for _, delay in looks)
    with av.open(io.BytesIO(videos[0][0]), "r") as first, av.open(str(path), "w", "mp4", _OPTIONS) as container:
        stream = container.add_stream_from_template(first.streams.video[0], opaque=True)
        tick = Fraction(1, rate.numerator)  # the container chooses its own, and converts
        stream.time_base = tick
        before = decoded = 0
        for data, frames in videos:
            for packet in _packets(data):
                shown = round((packet.pts or 0) * packet.time_base * rate)
                # Decoded in the order of the files, each frame early enough for the one that is reordered most: the
                # clips' own times would not rise from one to the next, since a very short one reorders none.
                packet.pts = (before + shown) * rate.denominator
                packet.dts = (decoded - delay) * rate.denominator
                packet.duration = rate.denominator
                packet.time_base = tick
                packet.stream = stream
                container.mux(packet)
                decoded += 1
            before += frames
            if decoded != before:
                raise ValueError(f"a video that should have {frames} frames has {frames + decoded - before}")


_OPTIONS = {"movflags": "+faststart"}


def _look(data: bytes) -> tuple[tuple[object, ...], int]:
    """What a decoder must know, and by how many frames decoding is ahead of showing."""
    with av.open(io.BytesIO(data), "r") as container:
        stream = container.streams.video[0]
        settings = (stream.width, stream.height, stream.average_rate, stream.codec_context.extradata)
    first = next(_packets(data))
    return settings, round(((first.pts or 0) - (first.dts or 0)) / (first.duration or 1))


def _packets(data: bytes) -> Iterator[av.Packet]:
    with av.open(io.BytesIO(data), "r") as container:
        for packet in container.demux(container.streams.video[0]):
            if packet.dts is not None:  # None: the end
                yield packet
