"""A listener between a run and whoever watches it: the plan hears what the run tells, and says when it will end."""

import time
from collections.abc import Callable

from airshower.pipelines.events import Event, Expected, PoolsStarted
from airshower.pipelines.planning.forecast import Forecast

_INTERVAL_S = 2.0


class Forecasting:
    """Passes every event on, and an `Expected` now and then."""

    def __init__(self, forecast: Forecast, tell: Callable[[Event], None]) -> None:
        self._forecast, self._tell = forecast, tell
        self._begun_s: float | None = None
        self._told_s = 0.0

    def __call__(self, event: Event) -> None:
        self._tell(event)
        if isinstance(event, PoolsStarted):
            self._begun_s = time.monotonic()
        self._forecast.tell(event)
        now_s = time.monotonic()
        if self._begun_s is not None and now_s - self._told_s >= _INTERVAL_S:
            self._told_s = now_s
            elapsed_s = now_s - self._begun_s
            end = self._forecast.finish(elapsed_s)
            self._tell(
                Expected(
                    seconds=max(0.0, end.seconds - elapsed_s),
                    low_s=max(0.0, end.low_s - elapsed_s),
                    high_s=max(0.0, end.high_s - elapsed_s),
                )
            )
