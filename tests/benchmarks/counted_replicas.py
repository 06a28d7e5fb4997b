"""What each replica of a run did from the end of its first clip to that of its last, by the run's traces."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from airshower.cluster.span_files import read_spans
from airshower.cluster.store import open_store
from airshower.platform.report.replica_time import PARTS, Stretch, apart

WORK = tuple(part for part in PARTS if part != "other")


@dataclass(frozen=True, kw_only=True)
class Counted:
    """What one replica did while it counted."""

    begun_s: float  # Unix seconds, as all of them
    ended_s: float
    clips: int  # the first is not among them
    parts_s: dict[str, float]

    @property
    def seconds(self) -> float:
        return self.ended_s - self.begun_s

    @property
    def clips_per_h(self) -> float:
        return 3600 * self.clips / self.seconds


def counted_replicas(run_folder: str) -> list[Counted]:
    """Each replica of a run folder that made two clips or more."""
    generated_s: dict[object, list[float]] = defaultdict(list)  # ends, by process
    stretches: dict[object, list[Stretch]] = defaultdict(list)
    for _, span in read_spans(open_store(run_folder, probe=False)):
        process = span.attributes.get("process.pid")
        if span.name == "generate":
            generated_s[process].append(span.ended_ns / 1e9)
        elif span.name in WORK:
            stretches[process].append(Stretch(begun_s=span.begun_ns / 1e9, ended_s=span.ended_ns / 1e9, part=span.name))
    return [
        _between(min(ends), max(ends), len(ends) - 1, stretches[process])
        for process, ends in generated_s.items()
        if len(ends) > 1
    ]


def _between(begun_s: float, ended_s: float, clips: int, stretches: Sequence[Stretch]) -> Counted:
    parts_s: dict[str, float] = defaultdict(float)
    for stretch in apart(stretches):
        parts_s[stretch.part] += max(0.0, min(stretch.ended_s, ended_s) - max(stretch.begun_s, begun_s))
    return Counted(begun_s=begun_s, ended_s=ended_s, clips=clips, parts_s=parts_s)
