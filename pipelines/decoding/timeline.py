"""From the times of frames to a constant rate: frame n of a clip is shown at n / rate, whatever a file's times are.

Times jitter, by rounding in a container or as a phone records: a frame that comes less than a frame early or late
has its turn. Where single frames of an else constant file are missing, it has lost them, and that is damage.
Where many come out of turn its rate varies; then frames are shown for as long as they were, and the user hears of it.
Pure: knows neither files nor pictures.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import repeat
from typing import TypeVar

_TURN = 0.7  # of a frame, by which a frame may come early or late
_DRIFT = 0.3  # below which that may be a recorder's clock, which isn't quite the rate: it must not add up
_FOLLOWED = 0.2  # of it
_MOST_FAULTS = 0.05  # of the frames; with more of them a rate varies

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
    def is_faulty(self) -> bool:
        """Whether single frames are missing, or come at the time of another, in a file that is constant else."""
        return not self.is_constant and len(self.gaps) + self.doubled <= max(1, _MOST_FAULTS * self.frames)

    def place_of(self, frame: int) -> int:
        """About the place of the n-th frame that came, counted from 0."""
        for gap in self.gaps:
            if frame >= gap.first:
                frame += gap.frames
        return frame

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
        late = (time_s - self._zero_s) * self.rate - self._end
        if abs(late) > _TURN:
            return max(0, round(self._end + late))
        if abs(late) < _DRIFT:
            self._zero_s += _FOLLOWED * late / self.rate
        return self._end


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
