"""Following a run from the driver: rows are fed to the dispatcher, and every row that comes out ends once.

The driver is the only one who knows all rows. A row that came back (storage that was away for long, a node that left)
is offered again some time later; what workers report on the way is passed on to the listener.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from airshower.cluster.leaving import leaving_nodes
from airshower.cluster.lost_nodes import require_own_node
from airshower.cluster.service_errors import in_one_line
from airshower.configs.messages import Row, RowError
from airshower.pipelines.dispatch.dispatcher import Heard
from airshower.pipelines.dispatch.feed import Feed
from airshower.pipelines.dispatch.handle import Dispatch
from airshower.pipelines.dispatch.hung import HungProcesses
from airshower.pipelines.dispatch.queue import Waiting
from airshower.pipelines.events import LiveEvent, Loaded, LoadFailed, Passed, RowWarned, StageFinished, Warned
from airshower.pipelines.loaded_models import LoadedModels
from airshower.pipelines.manifest import ManifestEntry
from airshower.pipelines.run import Run, lost
from airshower.pipelines.stages import PostponedError
from airshower.pipelines.unchanged_inputs import InputChangedError

if TYPE_CHECKING:
    from ray.data import Dataset

_POLL_INTERVAL_S = 0.25
_EXCHANGE_INTERVAL_S = 0.05  # where there is something to say
_LISTEN_INTERVAL_S = 0.5  # an exchange takes some hundredths of a second of a core on both sides together
_LOOK_INTERVAL_S = 2.0
_COME_BACK_S = (5.0, 20.0, 60.0)  # after which a row is tried again that network or storage failed
_POSTPONED_S = 1.0
_MOST_UNWRITTEN = 6


class RunError(RuntimeError):
    """The run as a whole stopped; rows that were done stay done, and the manifest says which were not."""


def follow(
    graphs: "Sequence[Dataset]",
    waiting: Iterable[Waiting[Row]],
    rows: Sequence[Row],
    run: Run,
    dispatch: Dispatch,
    loaders: Mapping[str, int],
    asked_to_end: threading.Event,
    look: Callable[[], str | None] = lambda: None,
) -> None:
    """Runs the graphs to their end: every row ends, unless `asked_to_end` is set meanwhile.

    `waiting` are all `rows` in the order in which they are to be made. `loaders` says how many replicas, text encoders
    and annotators there are, as their messages name them. `look` is called now and then, and says why the run can't go
    on, should that be so. Raises RunError, OwnNodeLostError, and whatever ends the run from outside; rows that have not
    ended are in the manifest then, as failed.
    """
    from airshower.pipelines.dispatch.entries import entries_of  # imports Ray

    following = _Following(waiting, run, dispatch, loaders, asked_to_end, look)
    try:
        with entries_of(graphs, _POLL_INTERVAL_S) as arriving:
            for entries in _told_in_one_line(arriving):
                following.step(entries)
                if following.ended_early:
                    break
    except BaseException as error:
        for row in run.unmade(rows):
            run.manifest.add(lost(row, in_one_line(error)))  # not told: the one exception says it for all of them
        raise
    if not asked_to_end.is_set():
        for row in run.unmade(rows):
            run.end(lost(row, "it was lost on its way: run it again"))


class _Following:
    """What the driver knows while the graphs run."""

    def __init__(
        self,
        rows: Iterable[Waiting[Row]],
        run: Run,
        dispatch: Dispatch,
        loaders: Mapping[str, int],
        asked_to_end: threading.Event,
        look: Callable[[], str | None],
    ) -> None:
        self._feed = Feed(rows)
        self._run, self._dispatch = run, dispatch
        self._models = LoadedModels(loaders, run.tell)
        self._hung = HungProcesses(dispatch)
        self._asked_to_end, self._drained = asked_to_end, False
        self._look = look
        self._told: set[tuple[int, str]] = set()  # stages of unfinished rows that the listener knows of
        self._warned: set[int] = set()  # rows
        self._ended: list[int] = []  # that the dispatcher doesn't know of
        self._offered: list[Waiting[Row]] = []  # likewise
        self._room = 0
        self._unwritten = 0  # rows that could not be written, since one could
        self._instance: str | None = None
        self._numbers: dict[str, int] = {}  # of parcels that were handed out, by pool
        self._exchanged_s = self._looked_s = 0.0
        self._leaving: frozenset[str] = frozenset()

    @property
    def ended_early(self) -> bool:
        """Whether the run was asked to end before there was anything to be finished: no replica was loaded."""
        return self._drained and not self._models.have("replica")

    def step(self, entries: Sequence[ManifestEntry]) -> None:
        """Entries that arrived, then a word with the dispatcher."""
        for entry in entries:
            self._take_in(entry)
        now_s = time.monotonic()
        if self._asked_to_end.is_set() and not self._drained:
            self._drained = True
            self._dispatch.drain()
            self._run.tell(
                Warned(
                    message="asked to end: clips under way are finished, long ones stop after a chunk, others are left"
                )
            )
        if now_s - self._looked_s >= _LOOK_INTERVAL_S:
            self._looked_s, self._leaving = now_s, leaving_nodes()
            self._run.tell(Passed())
            if why := self._look():
                raise RunError(why)
            require_own_node()
        if not self._offered:
            self._offered = self._feed.next(self._room, now_s)
        interval_s = _EXCHANGE_INTERVAL_S if self._ended or self._offered else _LISTEN_INTERVAL_S
        if now_s - self._exchanged_s >= interval_s:
            self._exchanged_s = now_s
            self._exchange()

    def _take_in(self, entry: ManifestEntry) -> None:
        self._ended.append(entry.index)
        if entry.index in self._run.manifest:
            return
        self._check_storage(entry)
        if entry.error is not None and entry.error.transient and self._comes_back(entry, entry.error):
            return
        self._feed.end(entry.index)
        for event in self._untold_stages(entry):
            self._run.tell(event)
        self._told -= {(entry.index, stage) for stage in entry.seconds}
        if entry.error is not None:
            self._run.record_failure(entry, entry.error)
        self._run.end(entry)

    def _check_storage(self, entry: ManifestEntry) -> None:
        """Raises RunError where row after row was generated and none could be written: that is work for nothing."""
        if entry.error is None:
            self._unwritten = 0
        elif entry.error.transient and entry.error.stage == "write":
            self._unwritten += 1
            if self._unwritten >= _MOST_UNWRITTEN:
                raise RunError(f"{_MOST_UNWRITTEN} clips one after the other can't be written: {entry.error.message}")

    def _comes_back(self, entry: ManifestEntry, error: RowError) -> bool:
        """Whether a row that nobody is to blame for is tried again, or left to another run."""
        returns = self._feed.returns(entry.index)
        if error.type == PostponedError.__name__:
            if not self._drained:
                self._feed.come_back(entry.index, time.monotonic() + _POSTPONED_S)
            return True
        if self._drained or returns >= len(_COME_BACK_S) or error.type == InputChangedError.__name__:
            return False
        wait_s = _COME_BACK_S[returns]
        self._run.tell(Warned(message=f"{entry.name}: {error.message}: tried again in {wait_s:g} s"))
        self._feed.come_back(entry.index, time.monotonic() + wait_s)
        return True

    def _exchange(self) -> None:
        heard = self._dispatch.exchange(
            self._offered, self._ended, close=self._feed.done, leaving=self._leaving, numbers=self._numbers
        )
        if heard is not None:
            self._hung.answered(heard.alive, time.monotonic())
            self._take_up(heard)
        else:  # the same is said again the next time
            self._hung.unanswered(min(time.monotonic() - self._exchanged_s, self._dispatch.answer_timeout_s))
        for words in self._hung.ended():
            self._run.tell(Warned(message=words))

    def _take_up(self, heard: Heard) -> None:
        self._offered, self._ended, self._room = [], [], heard.room
        if self._instance not in (None, heard.instance):
            self._offered = self._feed.again()
        self._instance = heard.instance
        self._numbers = {pool: max(count, self._numbers.get(pool, 0)) for pool, count in heard.numbers.items()}
        self._pass_on(heard)

    def _pass_on(self, heard: Heard) -> None:
        for event in heard.events:
            match event:
                case Warned():
                    self._run.tell(event)
                case Loaded() | LoadFailed():
                    if why := self._models.hear(event):
                        raise RunError(why)
                case _ if event.index not in self._run.manifest:
                    self._tell_once(event)

    def _tell_once(self, event: LiveEvent) -> None:
        if isinstance(event, StageFinished):
            if (event.index, event.stage) in self._told:  # a stage that ran again after its worker died
                return
            self._told.add((event.index, event.stage))
        if isinstance(event, RowWarned):  # likewise
            if event.index in self._warned:
                return
            self._warned.add(event.index)
        self._run.tell(event)

    def _untold_stages(self, entry: ManifestEntry) -> Iterator[StageFinished]:
        """The stages of a finished row that its workers did not report yet; the entry knows them all."""
        for stage, seconds in entry.seconds.items():
            failed_here = entry.error is not None and entry.error.stage == stage
            if (entry.index, stage) not in self._told and not failed_here:
                yield StageFinished(index=entry.index, name=entry.name, stage=stage, seconds=seconds)


def _told_in_one_line(arriving: Iterator[list[ManifestEntry]]) -> Iterator[list[ManifestEntry]]:
    """What arrives; an error of the execution is a RunError."""
    while True:
        try:
            arrived = next(arriving, None)
        except Exception as error:
            raise RunError(f"the run stopped: {in_one_line(error)}: see Ray's logs, or use --verbose") from error
        if arrived is None:
            return
        yield arrived
