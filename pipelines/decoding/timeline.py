"""From the times of frames to a constant rate: frame n of a clip is shown at n / rate, whatever a file's times are.

Times jitter, by rounding in a container or as a phone records: a frame that comes within three quarters of a frame of
its turn has its place. Where single frames are missing in an else constant file, it has lost them, and that is damage.
Where many come out of turn its rate varies; then frames are shown for as long as they were and the clip is told of it.
Pure: knows neither files nor pictures.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import repeat
from typing import TypeVar

_TURN = 0.75  # of a frame, by which a frame may come early or late
_MOST_GAPS = 0.05  # of the frames; with more of them a rate varies

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Gap:
    """Frames that are missing."""

    first: int  # of them, as the clip counts
    frames: int


@dataclass
class Timeline:
    """Gives frames their places in a clip of a constant rate, as they come."""

    rate: float
    counted: bool = False  # each frame takes one place, whatever its time
    frames: int = 0  # that came
    gaps: list[Gap] = field(default_factory=list)
    doubled: int = 0  # frames that came while another one was shown
    _end: int = 0  # places that are taken, by the times
    _zero_s: float | None = None

    @property
    def is_constant(self) -> bool:
        """Whether every frame came in its turn."""
        return not self.gaps and not self.doubled

    @property
    def has_lost_frames(self) -> bool:
        """Whether single frames are missing in a file that is constant else."""
        return bool(self.gaps) and not self.doubled and len(self.gaps) <= max(1, _MOST_GAPS * self.frames)

    def places(self, time_s: float | None) -> int:
        """How many places the next frame takes: its own, and those before it that the frame before it is shown in."""
        self.frames += 1
        at, end = self._place_of(time_s), self._end
        if at < end:
            self.doubled += 1
        elif at > end:
            self.gaps.append(Gap(first=end, frames=at - end))
        self._end = max(end, at + 1)
        return 1 if self.counted else self._end - end

    def _place_of(self, time_s: float | None) -> int:
        if time_s is None:
            return self._end
        if self._zero_s is None:
            self._zero_s = time_s - self._end / self.rate
        position = (time_s - self._zero_s) * self.rate
        return self._end if abs(position - self._end) <= _TURN else max(0, round(position))


def at_constant_rate(frames: Iterable[tuple[T, float | None]], timeline: Timeline) -> Iterator[T]:
    """Frames, which come with their times in seconds, one for each place; a frame may come several times."""
    before: T | None = None
    for frame, time_s in frames:
        places = timeline.places(time_s)
        if before is not None:
            yield from repeat(before, places - 1)
        if places:
            yield frame
            before = frame
