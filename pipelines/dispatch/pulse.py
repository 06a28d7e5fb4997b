"""Which processes of a run have been silent, and for how long somebody has listened to them. Pure: no Ray, no clock.

Time counts only while somebody listens: a driver that was stopped itself, or a whole machine that slept, must not take
everybody's silence for death when it wakes.
"""

from typing import Generic, TypeVar

_MOST_GAP_S = 2.0  # between two looks, of which the listener can be sure that it listened

P = TypeVar("P")


class Pulse(Generic[P]):
    """Of all processes that have been heard."""

    def __init__(self) -> None:
        self._listened_s = 0.0
        self._looked_s: float | None = None
        self._heard_s: dict[P, float] = {}  # of time listened

    def hear(self, process: P) -> None:
        """That a process lives."""
        self._heard_s[process] = self._listened_s

    def look(self, now_s: float) -> None:
        """That somebody listens, and has since the last look if that was not long ago."""
        if self._looked_s is not None:
            self._listened_s += min(now_s - self._looked_s, _MOST_GAP_S)
        self._looked_s = now_s

    def silent(self, limit_s: float) -> list[P]:
        """Processes that have said nothing for so long; they are forgotten until they are heard again."""
        silent = [process for process, heard_s in self._heard_s.items() if self._listened_s - heard_s >= limit_s]
        for process in silent:
            del self._heard_s[process]
        return silent
