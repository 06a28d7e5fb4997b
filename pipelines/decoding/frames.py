"""The frames of a video stream, in the order of display, each once, and what is wrong with them.

A decoder hides damage: it repeats what it has. Here it has to say so, and the file fails; where damaged videos are
wanted all the same, frames come as the decoder gives them, and which ones are damaged is kept. Interlaced frames are
made progressive. The number of decoder threads changes the time that it takes and nothing else.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import av
from av.container import InputContainer
from av.filter import Graph
from av.video.stream import VideoStream

from airshower.pipelines.decoding.errors import MediaError, counted

_GAP = 1.75  # frames from one to the next, beyond which some are missing
_KEPT_REMEDY = ", or set keep_damaged_frames to true"


class Shown(NamedTuple):
    """A decoded frame, and when it is shown."""

    frame: av.VideoFrame
    time_s: float | None  # None where the file doesn't say


@dataclass
class Decoder:
    """Decodes one stream of a container, once."""

    container: InputContainer
    stream: VideoStream
    path: str
    rate: float
    keep_damaged: bool = False
    threads: int = 0  # 0: one per core
    most_px: int = 2**27  # of a frame
    damaged: list[int] = field(default_factory=list)  # frames, as they came
    after_gaps: list[int] = field(default_factory=list)  # frames that may refer to others which didn't come
    interlaced: bool = False
    frames: int = 0  # that came
    end_s: float | None = None  # of the last one
    _failed: bool = False  # a packet, since the last key frame

    def __iter__(self) -> Iterator[Shown]:
        """Raises MediaError where a frame can't be decoded as it was encoded."""
        context = self.stream.codec_context
        # What several threads make of damage depends on which of them comes first.
        context.thread_type, context.thread_count = "AUTO", 1 if self.keep_damaged else self.threads
        context.options = {
            "max_pixels": str(self.most_px),
            **({} if self.keep_damaged else {"err_detect": "explode+crccheck"}),
        }
        return iter(_progressive(self._decoded(), self._note_interlaced, self.stream))

    def _decoded(self) -> Iterator[Shown]:
        broken = skipped = False  # from damage to the next key frame, what refers to it is damaged, too
        before_s: float | None = None
        for packet in self._packets():
            for frame in self._frames_of(packet):
                if frame.is_corrupt and not self.keep_damaged:
                    raise self._damage()
                time_s = self._time_s(frame)
                skipped = (skipped or self._is_gap(before_s, time_s)) and not frame.key_frame
                broken = ((broken or self._failed) and not frame.key_frame) or frame.is_corrupt
                self._failed, before_s = False, time_s
                if time_s is not None:
                    self.end_s = max(self.end_s or 0.0, time_s + 1 / self.rate)
                if broken:
                    self.damaged.append(self.frames)
                elif skipped:
                    self.after_gaps.append(self.frames)
                yield Shown(frame, time_s)
                self.frames += 1

    def _is_gap(self, before_s: float | None, time_s: float | None) -> bool:
        return before_s is not None and time_s is not None and (time_s - before_s) * self.rate > _GAP

    def _packets(self) -> Iterator[av.Packet | None]:
        """The stream's packets and, at the end, None."""
        try:
            for packet in self.container.demux(self.stream):
                if not packet.size:  # PyAV's own sign of the end, which names no stream
                    continue
                if packet.is_corrupt and not self.keep_damaged:
                    raise self._damage()
                yield packet
        except av.FFmpegError as error:
            self._require_damage(error)
        yield None

    def _frames_of(self, packet: av.Packet | None) -> list[av.VideoFrame]:
        try:
            return self.stream.decode(packet)
        except av.FFmpegError as error:
            self._require_damage(error)
            self._failed = True
            return []

    def _require_damage(self, error: av.FFmpegError) -> None:
        """Raises what the error means, unless it is damage that is to be kept."""
        if isinstance(error, MemoryError):
            raise error
        if not self.keep_damaged:
            raise self._damage() from error

    def _damage(self) -> MediaError:
        after = counted(self.frames, "frame")
        return MediaError(f"{self.path}: damaged after {after}: copy or make it again{_KEPT_REMEDY}")

    def _time_s(self, frame: av.VideoFrame) -> float | None:
        # ASF has one time per packet, which is that of decoding: of reordered frames it would go back and forth.
        at = frame.dts if self.container.format.name == "asf" else frame.pts
        base = frame.time_base or self.stream.time_base
        return None if at is None or base is None else float(at * base)

    def _note_interlaced(self) -> None:
        self.interlaced = True


def _progressive(frames: Iterable[Shown], on_interlaced: Callable[[], None], stream: VideoStream) -> Iterator[Shown]:
    """Frames as they come and, from the first interlaced one on, through FFmpeg's bwdif: one for one."""
    graph: Graph | None = None
    for shown in frames:
        if graph is None and shown.frame.interlaced_frame:
            on_interlaced()
            graph = _deinterlacer(stream)
        if graph is None:
            yield shown
            continue
        graph.vpush(shown.frame)
        yield from _pulled(graph)
    if graph is not None:
        graph.vpush(None)
        yield from _pulled(graph)


def _deinterlacer(stream: VideoStream) -> Graph:
    graph = Graph()
    graph.link_nodes(
        graph.add_buffer(template=stream),
        graph.add("bwdif", "mode=send_frame:deint=interlaced"),
        graph.add("buffersink"),
    ).configure()
    return graph


def _pulled(graph: Graph) -> Iterator[Shown]:
    while True:
        try:
            frame = graph.vpull()
        except (av.BlockingIOError, av.EOFError):
            return
        at, base = frame.pts, frame.time_base
        yield Shown(frame, None if at is None or base is None else float(at * base))
