"""A small Ray actor that hears from the stages while rows are still on their way.

Stages report to it and forget; the driver drains it. It also counts how often a row was begun in a stage, which is
the only trace that is left when a row kills its worker. Losing it costs a run nothing but liveness of its display.
Ray is imported where it is used: a driver must set Ray's environment before (`airshower.cluster.session`).
"""

import time
from collections import Counter
from typing import TYPE_CHECKING, TypeVar, cast

from airshower.pipelines.events import LiveEvent, RowProgress, Warned

if TYPE_CHECKING:
    from ray import ObjectRef
    from ray.actor import ActorHandle

_ANSWER_TIMEOUT_S = 5.0
_PROGRESS_INTERVAL_S = 0.5

Answer = TypeVar("Answer")


class Monitor:
    """The actor's state: events since the last drain, and attempts per row and stage."""

    def __init__(self) -> None:
        self._events: list[LiveEvent] = []
        self._attempts: Counter[tuple[int, str]] = Counter()

    def report(self, event: LiveEvent) -> None:
        self._events.append(event)

    def drain(self) -> list[LiveEvent]:
        events, self._events = self._events, []
        return events

    def attempt(self, index: int, stage: str) -> int:
        self._attempts[index, stage] += 1
        return self._attempts[index, stage]


class Reporter:
    """The stages' and the driver's end of the monitor; no method raises. Travels in pickles."""

    def __init__(self, monitor: "ActorHandle[Monitor] | None" = None) -> None:
        self._monitor = monitor  # None reports to nobody

    def report(self, event: LiveEvent) -> None:
        """Tells the monitor, without waiting."""
        if self._monitor is not None:
            self._monitor.report.remote(event)

    def warn(self, message: str) -> None:
        """Tells the user something that no row fails of."""
        self.report(Warned(message=message))

    def attempt(self, index: int, stage: str) -> int:
        """Counts one more begin of this row in this stage: 1 the first time, or when the monitor does not answer."""
        if self._monitor is None:
            return 1
        return self._ask(self._monitor.attempt.remote(index, stage), otherwise=1)

    def drain(self) -> list[LiveEvent]:
        """What the stages reported since the last call; nothing when the monitor does not answer."""
        if self._monitor is None:
            return []
        return self._ask(self._monitor.drain.remote(), otherwise=[])

    def progress_of(self, index: int, name: str) -> "ProgressCallback":
        """A callback for one row's generation that reports at most twice a second."""
        return ProgressCallback(self, index, name)

    def _ask(self, answer: "ObjectRef", otherwise: Answer) -> Answer:
        import ray

        try:
            return ray.get(answer, timeout=_ANSWER_TIMEOUT_S)
        except ray.exceptions.RayError:
            return otherwise


class ProgressCallback:
    """Called with a fraction 0..1 from inside the sampler; throttled."""

    def __init__(self, reporter: Reporter, index: int, name: str) -> None:
        self._reporter, self._index, self._name = reporter, index, name
        self._last_s = 0.0

    def __call__(self, fraction: float) -> None:
        now_s = time.monotonic()
        if now_s - self._last_s >= _PROGRESS_INTERVAL_S:
            self._last_s = now_s
            self._reporter.report(RowProgress(index=self._index, name=self._name, fraction=fraction))


def start_monitor() -> Reporter:
    """Starts the actor of one run; it ends with the driver's Ray job, or when nobody holds the reporter."""
    import ray

    remote_monitor = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=0)(Monitor)
    return Reporter(cast("ActorHandle[Monitor]", remote_monitor.remote()))
