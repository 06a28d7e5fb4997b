"""The time in which a run folder was worked on, without the nights between: sessions, one after the other.

A session is the time of one run, or of several that overlap. Times are Unix seconds; a place is the number of seconds
worked until then.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence


class Sessions:
    """Maps times to places."""

    def __init__(self, windows: Iterable[tuple[float, float]]) -> None:
        """`windows` are (begin, end) of the runs, in any order."""
        self.windows: list[tuple[float, float]] = []
        for begun_s, ended_s in sorted(windows):
            if self.windows and begun_s <= self.windows[-1][1]:
                self.windows[-1] = (self.windows[-1][0], max(ended_s, self.windows[-1][1]))
            else:
                self.windows.append((begun_s, ended_s))
        self.starts = [0.0]  # places at which sessions begin
        for begun_s, ended_s in self.windows:
            self.starts.append(self.starts[-1] + ended_s - begun_s)
        self.wall_s = self.starts.pop()

    def of(self, time_s: float) -> int:
        """The number of the session that a time is in, or of the last before it."""
        return max(bisect_right(self.windows, time_s, key=lambda window: window[0]) - 1, 0)

    def length_s(self, session: int) -> float:
        begun_s, ended_s = self.windows[session]
        return ended_s - begun_s

    def place(self, time_s: float) -> float:
        """Where a time lies; one outside of all sessions is moved to the edge of one."""
        session = self.of(time_s)
        begun_s, ended_s = self.windows[session]
        return self.starts[session] + min(max(time_s, begun_s), ended_s) - begun_s


def binned(places: Iterable[tuple[float, float]], wall_s: float, bins: int) -> list[float]:
    """Seconds of (begin, end) stretches within each of `bins` equal parts of the time worked."""
    width_s = wall_s / bins
    sums = [0.0] * bins
    for begun_s, ended_s in places:
        first, last = (min(int(edge / width_s), bins - 1) for edge in (begun_s, ended_s))
        for index in range(first, last + 1):
            sums[index] += max(min(ended_s, (index + 1) * width_s) - max(begun_s, index * width_s), 0.0)
    return sums


def counted(places: Sequence[float], wall_s: float, bins: int) -> list[int]:
    """How many places are in each of `bins` equal parts."""
    counts = [0] * bins
    for place in places:
        counts[min(int(place * bins / wall_s), bins - 1)] += 1
    return counts
