"""What replicas did when: stretches of time by part of generating, and what is left of a session is idle.

Spans say which process did what. Where a run left none, its commits say who made a clip until when and how long its
parts took, which is nearly as good. A replica that is lost goes on as another process, so processes of a node that
didn't overlap are taken for one replica: what is counted is places to work at, GPUs as a rule.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from airshower.configs.records import Commit
from airshower.configs.spans import Span

# In this order where two overlap: the GPU works on the earlier one. "other" is work of its process outside all parts.
PARTS = ("denoise", "encode", "decode", "load", "other")
IDLE = "idle"


@dataclass(frozen=True, kw_only=True, slots=True)
class Stretch:
    """Some part of generating, in Unix seconds."""

    begun_s: float
    ended_s: float
    part: str


@dataclass(kw_only=True)
class Worker:
    """One process that was at work."""

    node: str
    gpu: str | None = None
    gpus: int = 0
    clips: int = 0
    stretches: list[Stretch] = field(default_factory=list)

    @property
    def begun_s(self) -> float:
        return min(stretch.begun_s for stretch in self.stretches)

    @property
    def ended_s(self) -> float:
        return max(stretch.ended_s for stretch in self.stretches)


@dataclass(kw_only=True)
class Replica:
    """A place to work at: processes of one node, one after the other."""

    node: str
    number: int  # of the node, from 1
    workers: list[Worker] = field(default_factory=list)

    @property
    def ended_s(self) -> float:
        return self.workers[-1].ended_s

    @property
    def gpu(self) -> str | None:
        return self.workers[0].gpu

    @property
    def gpus(self) -> int:
        """That it holds; a replica on a CPU counts as one."""
        return max(self.workers[0].gpus, 1)

    @property
    def clips(self) -> int:
        return sum(worker.clips for worker in self.workers)

    def work(self) -> list[Stretch]:
        """All that it did, without overlap, in order of time."""
        return [stretch for worker in self.workers for stretch in apart(worker.stretches)]


class Workers:
    """The processes of one run in which clips were generated, by machine and process."""

    def __init__(self) -> None:
        self._found: dict[str, Worker] = {}

    def __iter__(self) -> Iterator[Worker]:
        return (worker for _, worker in sorted(self._found.items()))

    def add_spans(self, spans: Iterable[Span]) -> None:
        """All spans of the run."""
        whole: dict[str, list[Stretch]] = defaultdict(list)  # stages
        for span in spans:
            node = str(span.attributes.get("host.name", ""))
            process = f"{node}:{span.attributes.get('process.pid', '')}"
            part = span.name if span.name in PARTS else "other"
            stretch = Stretch(begun_s=span.begun_ns / 1e9, ended_s=span.ended_ns / 1e9, part=part)
            if "chunk" in span.attributes:
                self._worker(process, node).stretches.append(stretch)
            elif "attempt" in span.attributes:
                whole[process].append(stretch)
                if "chunks" in span.attributes:
                    worker = self._worker(process, node)
                    worker.clips += 1
                    worker.gpu = str(span.attributes["gpu"]) if "gpu" in span.attributes else None
                    worker.gpus = int(span.attributes.get("gpus", 0))
        for process, worker in self._found.items():
            worker.stretches += whole[process]

    def add_commit(self, commit: Commit) -> None:
        """A clip of a run without spans; one that names no process counts as one."""
        stretches = list(_stretches(commit))
        if stretches:
            worker = self._worker(commit.replica or commit.key, commit.replica.rpartition(":")[0] or commit.node)
            worker.gpu, worker.gpus = commit.gpu, commit.gpus
            worker.clips += 1
            worker.stretches += stretches

    def _worker(self, process: str, node: str) -> Worker:
        return self._found.setdefault(process, Worker(node=node))


def _stretches(commit: Commit) -> Iterator[Stretch]:
    """Its parts as if each had been done at once, the last one ending when it is known to have."""
    seconds = commit.seconds
    parts = [(part, seconds.get(f"{part}_s", 0.0)) for part in ("load", "encode", "denoise", "decode")]
    ended_s = commit.generated_s
    if ended_s is None:
        if commit.written_s is None:
            return
        ended_s = commit.written_s - seconds.get("write", 0.0)
    rest_s = seconds.get("generate", 0.0) - sum(part_s for _, part_s in parts)
    if rest_s > 0:
        yield Stretch(begun_s=ended_s, ended_s=ended_s + rest_s, part="other")
    for part, part_s in reversed(parts):
        if part_s:
            yield Stretch(begun_s=ended_s - part_s, ended_s=ended_s, part=part)
        ended_s -= part_s


def replicas_of(workers: Iterable[Worker]) -> list[Replica]:
    """As few as the workers of each node can have been."""
    replicas: dict[str, list[Replica]] = defaultdict(list)
    for worker in sorted(workers, key=lambda one: one.begun_s):
        there = replicas[worker.node]
        free = [one for one in there if one.ended_s <= worker.begun_s and one.gpu == worker.gpu]
        if free:
            max(free, key=lambda one: one.ended_s).workers.append(worker)
        else:
            there.append(Replica(node=worker.node, number=len(there) + 1, workers=[worker]))
    return [replica for node in sorted(replicas) for replica in replicas[node]]


def apart(stretches: Sequence[Stretch]) -> Iterator[Stretch]:
    """The same time without overlap: where several parts run, the first of PARTS has it."""
    edges = sorted(
        [(one.begun_s, 1, one.part) for one in stretches] + [(one.ended_s, -1, one.part) for one in stretches],
        key=lambda edge: edge[0],
    )
    running: Counter[str] = Counter()
    open_part, open_s = "", 0.0
    for time_s, change, part in edges:
        running[part] += change
        now = next((known for known in PARTS if running[known] > 0), "")
        if now != open_part:
            if open_part and time_s > open_s:
                yield Stretch(begun_s=open_s, ended_s=time_s, part=open_part)
            open_part, open_s = now, time_s
