"""The progress of a run, from its events: a live display on a terminal, plain lines elsewhere.

`RunProgress` only counts; `LiveDisplay` and `PlainDisplay` show it. Plain output holds no control codes, so that it
reads well in a log. Rates are of the wall clock: rows that left a stage per second since the replicas started.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from airshower.pipelines.events import (
    Event,
    Expected,
    Loaded,
    LoadFailed,
    Passed,
    Planned,
    PoolsStarted,
    RowDone,
    RowFailed,
    RowProgress,
    RowWarned,
    RunStarted,
    StageFinished,
    Warned,
    Working,
)
from airshower.platform.ticker import Ticker

_REFRESH_PER_S = 4
_BAR_CELLS = 36
_TOLD_ROWS = 20  # that failed, and that were warned of, by name: more would hide how the run gets on
_FIRST_S = 3.0  # after which a log says what is done, if nothing else has been said
_OVERDUE_S = 5.0  # after which an end that was expected says nothing any more


class RunProgress:
    """What has happened so far; fed by `add`, read by displays in other threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.rows = self.done = self.failed = 0
        self.stages: tuple[str, ...] = ()
        self.finished: Counter[str] = Counter()  # rows by stage
        self.replicas = self.loaded = 0
        self.state = "reading rows"
        self._clock = clock
        self._started_s = self._pools_started_s = clock()
        self.warned = 0  # rows that were made with a doubt
        self._ends_s: float | None = None
        self._on = ""  # which replicas, and on what
        self._fractions: dict[int, float] = {}  # of rows that are being generated
        self._seen: set[int] = set()
        self._ended: set[int] = set()
        self._lock = threading.Lock()

    def add(self, event: Event) -> None:
        """Counts one event; an event of an unknown kind raises TypeError."""
        with self._lock:
            self._count(event)

    def _count(self, event: Event) -> None:
        match event:
            case Working():
                self.state = event.words
            case RunStarted():
                self.rows, self.stages, self.state = event.rows, event.stages, "starting"
            case PoolsStarted():
                self.replicas = event.replicas
                self._on = f"{event.replicas} replica{'s' if event.replicas != 1 else ''} on {event.device}"
                self.state = f"loading {self._on}"
                self._pools_started_s = self._clock()
            case Loaded(what="replica"):
                self.loaded += 1  # those that take the place of others, too
                self.state = f"{self.loaded} of {self._on} loaded" if self.loaded < self.replicas else self._on
            case StageFinished():
                self.finished[event.stage] += 1
                self._seen.add(event.index)
                if event.stage == "generate":
                    self._fractions[event.index] = 1.0
            case RowProgress():
                self._seen.add(event.index)
                self._fractions[event.index] = event.fraction
            case Planned():
                self._ends_s = self._clock() + event.end.seconds
            case Expected():
                self._ends_s = self._clock() + event.seconds
            case RowWarned():
                self.warned += 1
            case Warned() | Loaded() | LoadFailed() | Passed():
                pass
            case RowDone() | RowFailed():
                self._ended.add(event.index)
                self._fractions.pop(event.index, None)
                self.done += isinstance(event, RowDone)
                self.failed += isinstance(event, RowFailed)
            case _:
                raise TypeError(f"{type(event).__name__} is no event of a run")

    @property
    def elapsed_s(self) -> float:
        return self._clock() - self._started_s

    @property
    def in_flight(self) -> int:
        """Rows that left a stage, or are being generated, and have not ended."""
        with self._lock:
            return len(self._seen - self._ended)

    @property
    def generating(self) -> tuple[float, ...]:
        """The fractions of the clips that are being generated now."""
        with self._lock:
            return tuple(fraction for fraction in self._fractions.values() if fraction < 1)

    @property
    def eta_s(self) -> float | None:
        """Time until the last row ends: as expected by the run, or if rows go on as until now; None if nobody knows.

        At least a second, since it isn't over yet.
        """
        with self._lock:
            if self._ends_s is not None:
                left_s = self._ends_s - self._clock()
                return max(1.0, left_s) if left_s > -_OVERDUE_S else None
            made = self.done + sum(self._fractions.values())
        left = self.rows - self.failed - made
        if made <= 0:
            return None
        return max(1.0, left * (self._clock() - self._pools_started_s) / made)

    def rate(self, stage: str) -> str:
        """A stage's throughput in words: rows per second, or seconds per row when that is more than one."""
        finished, elapsed_s = self.finished[stage], self._clock() - self._pools_started_s
        if not finished or elapsed_s <= 0:
            return ""
        per_s = finished / elapsed_s
        return f"{per_s:.1f} rows/s" if per_s >= 1 else f"{1 / per_s:.1f} s per row"


class LiveDisplay:
    """A bar and a line per stage, redrawn in place; failures stay above it."""

    def __init__(self, progress: RunProgress, console: Console) -> None:
        self._progress = progress
        self._live = Live(
            get_renderable=self.render,
            console=console,
            refresh_per_second=_REFRESH_PER_S,
            transient=True,
        )

    def start(self) -> None:
        self._live.start()

    def stop(self) -> None:
        self._live.stop()

    def say(self, line: str) -> None:
        """Puts a line above the bar."""
        self._live.console.print(Text(line), soft_wrap=True)

    def render(self) -> Group:
        progress = self._progress
        counts = Text.assemble(
            f"{progress.done} of {progress.rows} done",
            (f" · {progress.failed} failed", "red") if progress.failed else "",
            (f" · {clock_words(progress.elapsed_s)}", "dim"),
            (f" · about {clock_words(eta_s)} left" if (eta_s := progress.eta_s) is not None else "", "dim"),
        )
        if not progress.stages:  # no run yet
            return Group(Text(f"{progress.state} · {clock_words(progress.elapsed_s)}", "dim"))
        head = Table.grid(padding=(0, 2))
        bar = ProgressBar(total=max(1, progress.rows), completed=progress.done + progress.failed, width=_BAR_CELLS)
        head.add_row(bar, counts)
        return Group(head, self._stage_table())

    def _stage_table(self) -> Table:
        progress = self._progress
        table = Table.grid(padding=(0, 2))
        table.add_column(style="dim")
        table.add_column(justify="right")
        table.add_column(justify="right", style="dim", min_width=14)
        table.add_column(style="dim")
        for stage in progress.stages:
            table.add_row(stage, str(progress.finished[stage]), progress.rate(stage), self._note(stage))
        return table

    def _note(self, stage: str) -> str:
        progress = self._progress
        if stage == progress.stages[0]:
            return f"{progress.in_flight} in flight" if progress.in_flight else progress.state
        if stage == "generate" and progress.generating:
            return " ".join(f"{fraction:.0%}" for fraction in progress.generating[:8])
        return ""


class PlainDisplay:
    """A line every few seconds of silence and one per warning and failure."""

    def __init__(self, progress: RunProgress, file: TextIO, interval_s: float) -> None:
        self._progress = progress
        self._ticker = Ticker(self.line, file, interval_s, first_s=_FIRST_S)

    def start(self) -> None:
        self._ticker.start()

    def stop(self) -> None:
        self._ticker.stop()

    def line(self) -> str:
        """Where the run is, in one line."""
        progress = self._progress
        if progress.done + progress.failed == progress.rows:  # before it and after it
            return f"{progress.state}, {clock_words(progress.elapsed_s)}"
        rates = [f"{stage} {rate}" for stage in progress.stages if (rate := progress.rate(stage))]
        eta = [f"about {clock_words(progress.eta_s)} left"] if progress.eta_s is not None else []
        under_way = f"{progress.in_flight} in flight" if progress.in_flight else progress.state
        head = f"{progress.done} of {progress.rows} done, {progress.failed} failed, {under_way}"
        return ", ".join([head, *rates, clock_words(progress.elapsed_s), *eta])

    def say(self, line: str) -> None:
        """Writes a line."""
        self._ticker.say(line)


@contextmanager
def show_progress(
    progress: RunProgress, file: TextIO, *, interval_s: float = 10.0
) -> Iterator[Callable[[Event], None]]:
    """Shows a run on `file` while the block runs; yields the function that takes its events."""
    display: LiveDisplay | PlainDisplay
    console = Console(file=file, highlight=False)
    if file.isatty() and not console.is_dumb_terminal:
        display = LiveDisplay(progress, console)
    else:
        display = PlainDisplay(progress, file, interval_s)

    def on_event(event: Event) -> None:
        progress.add(event)
        if (line := _told(event, progress)) is not None:
            display.say(line)

    display.start()
    try:
        yield on_event
    finally:
        display.stop()


def _told(event: Event, progress: RunProgress) -> str | None:
    """The line that an event deserves for itself, if any."""
    match event:
        case RunStarted():
            kept = f", {event.kept} made before" if event.kept else ""
            return f"{event.rows} clip{'s' if event.rows != 1 else ''} to make{kept}"
        case PoolsStarted():
            return progress.state
        case Loaded(what="replica") if progress.loaded in (1, progress.replicas):
            loaded = f"{progress.loaded} of {progress.replicas} replicas" if progress.replicas > 1 else "replica"
            return f"{loaded} loaded after {clock_words(progress.elapsed_s)}"
        case Working():
            return event.words
        case Planned():
            return _plan_words(event, progress.elapsed_s)
        case Warned():
            return f"warning: {printable(event.message)}"
        case RowWarned() if progress.warned <= _TOLD_ROWS:
            return f"warning: {printable(f'{event.name}: {event.message}')}"
        case RowWarned() if progress.warned == _TOLD_ROWS + 1:
            return "warning: more rows have one: the gallery shows them, and each row's NAME.json"
        case RowFailed(stage="run"):  # the run stopped, with all rows that were left
            return None
        case RowFailed() if progress.failed <= _TOLD_ROWS:
            return f"failed {failure_line(event)}"
        case RowFailed() if progress.failed == _TOLD_ROWS + 1:
            return "more rows failed: all of them are in manifest.parquet"
    return None


def _plan_words(plan: Planned, elapsed_s: float) -> str:
    end = plan.end
    ends, low, high = (clock_words(elapsed_s + seconds) for seconds in (end.seconds, end.low_s, end.high_s))
    hours = f", {plan.gpu_hours:,.1f} GPU-hours" if plan.gpu_hours else ""
    return f"planned: {plan.pools}, the end after about {ends} ({low} to {high}){hours}"


def failure_line(event: RowFailed) -> str:
    """Why a row failed, in one printable line that names the row."""
    is_named = event.message.startswith(f"{event.name}:") or f"({event.name}): " in event.message
    named = event.message if is_named else f"{event.name}: {event.message}"
    return printable(f"in {event.stage}: {named}")


def printable(text: str) -> str:
    """`text` with whatever a terminal would take for a command made visible; rows may hold anything."""
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)


def clock_words(seconds: float) -> str:
    """Seconds as 0:07, 12:34 or 1:02:03."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
