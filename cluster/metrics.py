"""Figures of a run for Prometheus, by Ray's own exporter: each node's metrics port shows them as `ray_airshower_...`.

The driver counts, since it hears of every row's end: so there is one series per set of labels, and labels are names of
stages, error types and GPUs, never of rows. A driver that is a client of another machine (ray://) exports nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000)


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One figure: its name, what it counts, and the labels that tell its series apart."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    description: str
    labels: tuple[str, ...] = ()

    @property
    def exported(self) -> tuple[str, ...]:
        """The names by which Prometheus knows it."""
        if self.kind == "counter":
            return (f"ray_{self.name}_total",)
        if self.kind == "histogram":
            return tuple(f"ray_{self.name}_{end}" for end in ("bucket", "count", "sum"))
        return (f"ray_{self.name}",)


ROWS_DONE = Metric(name="airshower_rows_done", kind="counter", description="Rows that became clips")
ROWS_FAILED = Metric(
    name="airshower_rows_failed",
    kind="counter",
    description="Rows that ended without a clip, by the stage and the type of the error",
    labels=("stage", "type"),
)
RETRIES = Metric(
    name="airshower_retries",
    kind="counter",
    description="Begins of a stage after the first for a row: its worker was lost",
    labels=("stage",),
)
STAGE_SECONDS = Metric(
    name="airshower_stage_seconds", kind="histogram", description="Time of a row in a stage", labels=("stage",)
)
PART_SECONDS = Metric(
    name="airshower_part_seconds",
    kind="counter",
    description="Time of replicas by part of generating: load, encode, denoise, decode",
    labels=("part",),
)
GPU_SECONDS = Metric(
    name="airshower_gpu_busy_seconds",
    kind="counter",
    description="GPU-seconds of those parts, all GPUs of a replica",
    labels=("part", "gpu"),
)
FLOPS = Metric(name="airshower_flops", kind="counter", description="Arithmetic of finished clips", labels=("gpu",))
FRAMES = Metric(name="airshower_frames", kind="counter", description="Frames of finished clips")
ROWS_LEFT = Metric(name="airshower_rows_left", kind="gauge", description="Rows of the run that have not ended")
IN_FLIGHT = Metric(
    name="airshower_rows_in_flight", kind="gauge", description="Rows that went through a stage and have not ended"
)
REPLICAS = Metric(name="airshower_replicas", kind="gauge", description="Loaded models that work side by side")
GPUS = Metric(name="airshower_gpus", kind="gauge", description="GPUs of all replicas")

METRICS = (
    *(ROWS_DONE, ROWS_FAILED, RETRIES, STAGE_SECONDS, PART_SECONDS, GPU_SECONDS, FLOPS, FRAMES),
    *(ROWS_LEFT, IN_FLIGHT, REPLICAS, GPUS),
)


_Record = Callable[[float, dict[str, str]], None]


class RunMetrics:
    """Records the metrics of one run. Until `start`, when Ray is connected, only counters count."""

    def __init__(self) -> None:
        self._record: dict[str, _Record] = {}
        self._early: dict[tuple[Metric, tuple[tuple[str, str], ...]], float] = {}

    def start(self) -> None:
        """Ray is connected."""
        self._record = {metric.name: _recorder(metric) for metric in METRICS}
        for (metric, labels), value in self._early.items():
            self.record(metric, value, dict(labels))
        self._early.clear()

    def record(self, metric: Metric, value: float, labels: dict[str, str] | None = None) -> None:
        """Adds to a counter, sets a gauge, or observes a value of a histogram."""
        labels = labels or {}
        if metric.kind == "counter" and not value:
            return  # Ray refuses to add nothing
        if self._record:
            self._record[metric.name](value, labels)
        elif metric.kind == "counter":
            key = metric, tuple(labels.items())
            self._early[key] = self._early.get(key, 0) + value


def _recorder(metric: Metric) -> _Record:
    from ray.util.metrics import Counter, Gauge, Histogram

    if metric.kind == "counter":
        return Counter(metric.name, description=metric.description, tag_keys=metric.labels).inc
    if metric.kind == "gauge":
        return Gauge(metric.name, description=metric.description, tag_keys=metric.labels).set
    return Histogram(
        metric.name, description=metric.description, boundaries=list(_SECONDS), tag_keys=metric.labels
    ).observe
