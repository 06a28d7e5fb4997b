"""Where a run folder's time went: sums over its commits, failures and spans. Plain figures; nothing here is drawn.

Commits and failures are always there and count all rows. Spans, where the run left them, add the stages of rows that
failed, what was begun again, and exact times.
"""

import heapq
import math
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from airshower.configs.records import Commit, RunRecord
from airshower.configs.spans import Span
from airshower.pipelines.events import STAGES
from airshower.platform.report.causes import Cause, FailedRow, causes
from airshower.platform.report.replica_time import (
    IDLE,
    PARTS,
    Replica,
    Worker,
    Workers,
    replicas_of,
)
from airshower.platform.report.sessions import Sessions, binned, counted

BINS = 96
_SLOWEST = 12


@dataclass(frozen=True, kw_only=True)
class StageTime:
    """What the rows that were made spent in a stage, in seconds."""

    stage: str
    rows: int
    seconds: float
    p50_s: float
    p95_s: float
    most_s: float


@dataclass(frozen=True, kw_only=True)
class SlowRow:
    """One of the rows that took longest."""

    name: str
    seconds: float
    stages: dict[str, float]
    node: str
    frames: int


@dataclass(frozen=True, kw_only=True)
class GpuTime:
    """The time that one type of GPU was held by replicas, all of them; `gpu` None means replicas on CPUs."""

    gpu: str | None
    gpus: int  # most at a time
    seconds: dict[str, float]  # by part, "idle" included
    teraflops: dict[str, float]  # per second and GPU, by part, where the arithmetic is known

    @property
    def held_s(self) -> float:
        return sum(self.seconds.values())

    @property
    def busy(self) -> float:
        """The share of it in which some part of generating ran."""
        return 1 - sum(self.seconds.get(part, 0.0) for part in (IDLE, "other")) / (self.held_s or 1.0)


@dataclass(frozen=True, kw_only=True)
class ReplicaTime:
    """One replica: how busy it was in the sessions in which it worked, and in each part of the time."""

    name: str
    gpu: str | None
    clips: int
    busy: float
    over_time: list[float]  # shares


@dataclass(frozen=True, kw_only=True)
class Report:
    """All figures; lists over time have BINS items, over the time worked without the pauses between."""

    made: int
    failed: int
    runs: int
    frames: int
    video_s: float
    written_bytes: int
    wall_s: float  # worked, from the begin of runs to their last row
    pauses: list[float]  # places in `wall_s` at which another session begins
    begun: str  # of the first run, UTC
    from_spans: bool  # replicas' times are exact
    stages: list[StageTime]
    gpu_times: list[GpuTime]
    replicas: list[ReplicaTime]
    slowest: list[SlowRow]
    causes: list[Cause]
    begun_again: dict[str, int]  # stage: how often after the first time
    clips_over_time: list[int]
    work_over_time: dict[str, list[float]]  # part: how many replicas were at it, on average

    @property
    def clips_per_min(self) -> float:
        return 60 * self.made / self.wall_s if self.wall_s else 0.0


@dataclass(kw_only=True)
class Accounts:
    """Adds records up, one after the other; `report` says what they come to."""

    runs: Sequence[RunRecord]
    _made: int = 0
    _frames: int = 0
    _video_s: float = 0.0
    _written_bytes: int = 0
    _stage_s: dict[str, array] = field(default_factory=lambda: defaultdict(lambda: array("d")))
    _span_stage_s: dict[str, array] = field(default_factory=lambda: defaultdict(lambda: array("d")))
    _slowest: list[tuple[float, str, SlowRow]] = field(default_factory=list)
    _flops: dict[str | None, dict[str, float]] = field(default_factory=lambda: defaultdict(_sums))
    _flop_s: dict[str | None, dict[str, float]] = field(default_factory=lambda: defaultdict(_sums))
    _again: Counter[str] = field(default_factory=Counter)
    _written_s: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))  # by run
    _workers: dict[str, Workers] = field(default_factory=lambda: defaultdict(Workers))  # by run
    _with_spans: set[str] = field(default_factory=set)  # runs

    def add_spans(self, run: str, spans: Sequence[Span]) -> None:
        """All spans of one run; before its commits."""
        for span in spans:
            attempt = int(span.attributes.get("attempt", 0))
            if attempt > 1:
                self._again[span.name] += attempt - 1
            if attempt and span.error is None:
                self._span_stage_s[span.name].append(span.seconds)
        if any("chunk" in span.attributes for span in spans):
            self._with_spans.add(run)
            self._workers[run].add_spans(spans)

    def add_commit(self, commit: Commit) -> None:
        """One row that is made."""
        self._made += 1
        self._frames += commit.frames
        self._video_s += commit.frames / commit.fps
        self._written_bytes += sum(file.size_bytes for file in commit.files.values())
        stages = {stage: seconds for stage, seconds in commit.seconds.items() if not stage.endswith("_s")}
        for stage, seconds in stages.items():
            self._stage_s[stage].append(seconds)
        whole_s = sum(stages.values())
        slow = SlowRow(name=commit.name, seconds=whole_s, stages=stages, node=commit.node, frames=commit.frames)
        heapq.heappush(self._slowest, (whole_s, commit.key, slow))
        if len(self._slowest) > _SLOWEST:
            heapq.heappop(self._slowest)
        for part, flops in commit.flops.items():
            if seconds := commit.seconds.get(part, 0.0):
                self._flops[commit.gpu][part] += flops
                self._flop_s[commit.gpu][part] += seconds * max(commit.gpus, 1)
        if commit.written_s is not None:
            self._written_s[commit.run].append(commit.written_s)
        if commit.run not in self._with_spans:
            self._workers[commit.run].add_commit(commit)

    def report(self, failures: Iterable[FailedRow]) -> Report:
        """Of everything that was added."""
        found = causes(failures)
        sessions = Sessions(self._windows())
        replicas = [
            (session, replica)
            for session, workers in sorted(self._by_session(sessions).items())
            for replica in replicas_of(workers)
        ]
        places = sorted(sessions.place(time_s) for times in self._written_s.values() for time_s in times)
        return Report(
            made=self._made,
            failed=sum(cause.rows for cause in found),
            runs=len(self.runs),
            frames=self._frames,
            video_s=self._video_s,
            written_bytes=self._written_bytes,
            wall_s=sessions.wall_s,
            pauses=sessions.starts[1:],
            begun=min((run.begun for run in self.runs), default=""),
            from_spans=bool(self._with_spans),
            stages=self._stages(),
            gpu_times=self._gpu_times(sessions, replicas),
            replicas=_replica_times(sessions, replicas),
            slowest=[row for _, _, row in sorted(self._slowest, key=lambda item: -item[0])],
            causes=found,
            begun_again=dict(self._again),
            clips_over_time=counted(places, sessions.wall_s, BINS) if sessions.wall_s else [],
            work_over_time=_work_over_time(sessions, replicas),
        )

    def _windows(self) -> list[tuple[float, float]]:
        """(begin, end) of the runs that made something, in Unix seconds."""
        windows = []
        for run in self.runs:
            ends = [max(self._written_s.get(run.run, [0.0]), default=0.0)]
            ends += [worker.ended_s for worker in self._workers.get(run.run, ())]
            begun_s = datetime.fromisoformat(run.begun).timestamp()
            if max(ends) > begun_s:
                windows.append((begun_s, max(ends)))
        return windows

    def _by_session(self, sessions: Sessions) -> dict[int, list[Worker]]:
        found: dict[int, list[Worker]] = defaultdict(list)
        if sessions.wall_s:
            for worker in (worker for workers in self._workers.values() for worker in workers):
                found[sessions.of(worker.ended_s)].append(worker)
        return found

    def _stages(self) -> list[StageTime]:
        seconds = {**self._span_stage_s, **self._stage_s}
        order = {stage: index for index, stage in enumerate(STAGES)}
        return [
            _stage_time(stage, sorted(seconds[stage]))
            for stage in sorted(seconds, key=lambda stage: (order.get(stage, len(order)), stage))
        ]

    def _gpu_times(self, sessions: Sessions, replicas: Sequence[tuple[int, Replica]]) -> list[GpuTime]:
        seconds: dict[str | None, dict[str, float]] = defaultdict(_sums)
        gpus: dict[str | None, Counter[int]] = defaultdict(Counter)
        for session, replica in replicas:
            gpus[replica.gpu][session] += replica.gpus
            work_s = _by_part(replica)
            work_s[IDLE] = max(sessions.length_s(session) - sum(work_s.values()), 0.0)
            for part, part_s in work_s.items():
                seconds[replica.gpu][part] += part_s * replica.gpus
        return [
            GpuTime(
                gpu=gpu,
                gpus=max(gpus[gpu].values()),
                seconds={part: some[part] for part in (*PARTS, IDLE) if some[part]},
                teraflops={
                    part.removesuffix("_s"): flops / self._flop_s[gpu][part] / 1e12
                    for part, flops in self._flops[gpu].items()
                },
            )
            for gpu, some in sorted(seconds.items(), key=lambda item: -sum(item[1].values()))
        ]


def _stage_time(stage: str, seconds: Sequence[float]) -> StageTime:
    """From times in ascending order, of which there is one at least."""
    return StageTime(
        stage=stage,
        rows=len(seconds),
        seconds=math.fsum(seconds),
        p50_s=_quantile(seconds, 0.5),
        p95_s=_quantile(seconds, 0.95),
        most_s=seconds[-1],
    )


def _quantile(ascending: Sequence[float], share: float) -> float:
    """The smallest value that this share of all is at most."""
    return ascending[max(math.ceil(share * len(ascending)) - 1, 0)]


def _sums() -> dict[str, float]:
    return defaultdict(float)


def _by_part(replica: Replica) -> dict[str, float]:
    seconds = _sums()
    for stretch in replica.work():
        seconds[stretch.part] += stretch.ended_s - stretch.begun_s
    return seconds


def _replica_times(sessions: Sessions, replicas: Sequence[tuple[int, Replica]]) -> list[ReplicaTime]:
    """Replicas of one place in several sessions are shown as one."""
    by_place: dict[tuple[str, int, str | None], list[tuple[int, Replica]]] = defaultdict(list)
    for session, replica in replicas:
        by_place[replica.node, replica.number, replica.gpu].append((session, replica))
    shown = []
    for (node, number, gpu), some in by_place.items():
        busy = [
            (sessions.place(stretch.begun_s), sessions.place(stretch.ended_s))
            for _, replica in some
            for stretch in replica.work()
            if stretch.part != "other"
        ]
        held_s = sum(sessions.length_s(session) for session, _ in some)
        width_s = sessions.wall_s / BINS
        shown.append(
            ReplicaTime(
                name=f"{node} #{number}",
                gpu=gpu,
                clips=sum(replica.clips for _, replica in some),
                busy=sum(ended_s - begun_s for begun_s, ended_s in busy) / held_s,
                over_time=[seconds / width_s for seconds in binned(busy, sessions.wall_s, BINS)],
            )
        )
    return shown


def _work_over_time(sessions: Sessions, replicas: Sequence[tuple[int, Replica]]) -> dict[str, list[float]]:
    places: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for _, replica in replicas:
        for stretch in replica.work():
            places[stretch.part].append((sessions.place(stretch.begun_s), sessions.place(stretch.ended_s)))
    width_s = sessions.wall_s / BINS
    return {
        part: [seconds / width_s for seconds in binned(places[part], sessions.wall_s, BINS)]
        for part in PARTS
        if part in places
    }
