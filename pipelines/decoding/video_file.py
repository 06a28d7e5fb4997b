"""One open video file: its picture at a constant rate, frame by frame, and what had to be done for that."""

import re
from collections.abc import Iterator
from itertools import islice
from typing import IO

import av
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream

from airshower.configs.sizes import Size
from airshower.pipelines.decoding.colour import conversion_words, rgb
from airshower.pipelines.decoding.errors import MediaError, counted
from airshower.pipelines.decoding.file_ends import missing_bytes
from airshower.pipelines.decoding.frames import Decoder
from airshower.pipelines.decoding.limits import MediaLimits
from airshower.pipelines.decoding.orientation import is_lying, upright
from airshower.pipelines.decoding.timeline import Timeline, at_constant_rate

_SHOWN_GAPS = 3  # that a message names
_EARLY_FRAMES = 1.5  # by which a file may end before the time that it says
_SPAN = re.compile(r"(\d+):(\d+):(\d+(?:\.\d+)?)\0*")


class VideoFile:
    """Reads the file's frames once, in order; `size` and `notes` are known when the frames are."""

    def __init__(
        self,
        container: InputContainer,
        stream: VideoStream,
        file: IO[bytes],
        path: str,
        rate: float,
        *,
        limits: MediaLimits,
        keep_damaged: bool,
        threads: int,
    ) -> None:
        self.rate = rate
        self.size = Size(stream.height, stream.width)  # of the upright picture in square pixels
        self._container, self._stream, self._file = container, stream, file
        self._path, self._limits = path, limits
        self._decoder = Decoder(
            container, stream, path, rate, keep_damaged=keep_damaged, threads=threads, most_px=limits.frame_px
        )
        # AVI has slots; a program that captures leaves the slot of a frame that it has no time for empty.
        self._timeline = Timeline(rate=rate, counted=container.format.name == "avi")
        self._colours: str | None = None
        self._end_words: str | None = None

    @property
    def announced_frames(self) -> int:
        """How many frames the header speaks of, which is no promise; 0 where it doesn't."""
        if self._stream.frames:
            return self._stream.frames
        duration = self._stream.duration or 0
        return round(float(duration * (self._stream.time_base or 0)) * self.rate)

    @property
    def sure_frames(self) -> int | None:
        """How many frames there are, where the header's number and the time that it says agree."""
        duration = self._stream.duration
        if not self._stream.frames or not duration or self._timeline.counted:
            return None
        by_time = float(duration * (self._stream.time_base or 0)) * self.rate
        return self._stream.frames if abs(by_time - self._stream.frames) < 0.5 else None

    def counted_frames(self) -> int:
        """How many frames there will be, by the times of the packets from the first key frame on."""
        times = [(packet.pts, packet.is_keyframe) for packet in self._whole_packets()]
        first_key = next((place for place, (_, is_key) in enumerate(times) if is_key), 0)
        shown = [pts for pts, _ in times[first_key:]]
        known = sorted(pts for pts in shown if pts is not None)
        base = float(self._stream.time_base or 0)
        ordered = [pts * base for pts in known if pts >= (times[first_key][0] or 0)] if len(known) == len(shown) else []
        times_s: list[float | None] = [*ordered] if ordered else [None] * len(shown)
        return sum(self._timeline.places(time_s) for time_s in times_s)

    def _whole_packets(self) -> Iterator[av.Packet]:
        """Those before what can't be taken apart, which is found again when frames are read."""
        try:
            yield from (packet for packet in self._container.demux(self._stream) if packet.size)
        except av.FFmpegError as error:
            if isinstance(error, MemoryError):
                raise

    def frames(self, *, every: int, most: int | None) -> Iterator[np.ndarray]:
        """Every n-th frame, as stored but for being upright, uint8 (H, W, 3), and no more than `most`.

        The shapes may differ from `size`, and even from frame to frame. Raises MediaError for damage, and at its end
        for what is missing on the way there.
        """
        self._limits.check_frame(self._path, self._stream.height, self._stream.width)
        at_rate = at_constant_rate(self._decoder, self._timeline)
        given = 0
        converted: tuple[av.VideoFrame, np.ndarray] | None = None
        try:
            for frame in islice(islice(at_rate, 0, None, every), most):
                if converted is None or converted[0] is not frame:
                    converted = frame, self._converted(frame, first=not given)
                yield converted[1]
                given += 1
        except MediaError as error:
            self._check_end(missing_bytes(self._file), early=False)
            raise error
        if given != most:
            self._check_end(missing_bytes(self._file), early=self._ends_early())
        if not given:
            raise MediaError(f"{self._path}: no frame in it: copy or make it again")
        self._check_times()

    def notes(self) -> tuple[str, ...]:
        """What was converted or kept, in words for the user."""
        found = (
            self._colours,
            "is interlaced, and was made progressive" if self._decoder.interlaced else None,
            self._aspect_words(),
            self._rate_words(),
            self._damage_words(),
            self._end_words,
        )
        return tuple(words for words in found if words)

    def _converted(self, frame: av.VideoFrame, *, first: bool) -> np.ndarray:
        if first:
            self._colours = conversion_words(frame)
            self.size = self._size_of(frame)
        return upright(rgb(frame, self._path), frame, self._path)

    def _size_of(self, frame: av.VideoFrame) -> Size:
        aspect = self._stream.sample_aspect_ratio
        width = max(1, round(frame.width * aspect)) if aspect else frame.width
        return Size(width, frame.height) if is_lying(frame) else Size(frame.height, width)

    def _check_end(self, missing: int, *, early: bool) -> None:
        """Raises MediaError where bytes are missing or the frames end early, unless what is there is to be kept."""
        if not (missing or early):
            return
        if self._decoder.keep_damaged and self._decoder.frames:
            self._end_words = f"is cut off, and its {counted(self._decoder.frames, 'frame')} were kept"
            return
        announced = f" of {self._stream.frames}" if self._stream.frames else ""
        lacking = f", {missing:,} bytes are missing" if missing else ""
        raise MediaError(
            f"{self._path}: truncated after {counted(self._decoder.frames, 'frame')}{announced}{lacking}: "
            "copy or make it again, or set keep_damaged_frames to true"
        )

    def _ends_early(self) -> bool:
        """Whether the frames end before the time that Matroska says, as they do where FFmpeg loses its way in it."""
        if self._container.format.name != "matroska,webm" or self._decoder.end_s is None:
            return False
        written = _SPAN.fullmatch(self._stream.metadata.get("DURATION", ""))
        if written:
            hours, minutes, seconds = map(float, written.groups())
            end_s = 3600 * hours + 60 * minutes + seconds
        elif len(self._container.streams) == 1:
            end_s = (self._container.duration or 0) / av.time_base
        else:
            return False
        # Some programs count it from 0 and some from the first frame, so the later end is the one to compare with.
        return self._decoder.end_s < end_s - _EARLY_FRAMES / self.rate

    @property
    def _is_faulty(self) -> bool:
        return self._timeline.is_faulty and not self._timeline.counted

    def _check_times(self) -> None:
        if self._is_faulty and not self._decoder.keep_damaged:
            raise MediaError(
                f"{self._path}: {self._fault_words()}: copy or make it again, or set keep_damaged_frames to true"
            )

    def _aspect_words(self) -> str | None:
        aspect = self._stream.sample_aspect_ratio
        if not aspect or aspect == 1:
            return None
        return f"has pixels of {aspect.numerator}:{aspect.denominator}, and was stretched to square ones"

    def _rate_words(self) -> str | None:
        timeline = self._timeline
        if timeline.counted and timeline.gaps:
            return f"has {counted(len(timeline.gaps), 'gap')} between its frames, which were taken one after the other"
        if timeline.counted or timeline.is_constant or timeline.is_faulty:
            return None
        return f"has a rate that varies, and was brought to {self.rate:g} fps"

    def _damage_words(self) -> str | None:
        decoder, timeline = self._decoder, self._timeline
        faults = f"{self._fault_words()}; the frame before is shown instead" if self._is_faulty else ""
        after = decoder.after_gaps if self._is_faulty else []
        places = sorted(timeline.place_of(frame) for frame in {*decoder.damaged, *after})
        damaged = f"frames that may be damaged were kept: {_runs(places)}" if places else ""
        return "; ".join(words for words in (faults, damaged) if words) or None

    def _fault_words(self) -> str:
        gaps, doubled = self._timeline.gaps, self._timeline.doubled
        lost = sum(gap.frames for gap in gaps)
        where = [f"{gap.frames} at {gap.first / self.rate:.2f} s" for gap in gaps[:_SHOWN_GAPS]]
        more = f" and {len(gaps) - _SHOWN_GAPS} more" if len(gaps) > _SHOWN_GAPS else ""
        missing = f"{counted(lost, 'frame')} missing ({', '.join(where)}{more})" if gaps else ""
        late = f"{counted(doubled, 'frame')} at the time of another" if doubled else ""
        return " and ".join(words for words in (missing, late) if words)


def _runs(numbers: list[int]) -> str:
    """Numbers in words: 3-5, 9."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)
