"""What a run tells machines about itself: its traces and its metrics, both from what the driver hears anyway.

Everything about a row comes with its manifest entry when it ends, its spans included.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from airshower.cluster import metrics, tracing
from airshower.cluster.metrics import RunMetrics
from airshower.cluster.store import Store
from airshower.cluster.trace_export import TraceExport, open_export
from airshower.configs.messages import Row
from airshower.configs.spans import Span
from airshower.pipelines.events import Event, PoolsStarted, RunStarted, StageFinished, Warned
from airshower.pipelines.manifest import ManifestEntry

_GAUGE_INTERVAL_S = 1.0


class RunTelemetry:
    """Traces and metrics of one run; hears all its events and the ends of its rows."""

    def __init__(self, run: str, export: TraceExport, recorded: RunMetrics) -> None:
        self._run, self._export, self._metrics = run, export, recorded
        self._left = self._replicas = self._gpus = 0
        self._in_flight: set[int] = set()
        self._set_s = -_GAUGE_INTERVAL_S

    def traced(self, row: Row) -> Row:
        """The row with the context of its trace."""
        return tracing.traced(row, self._run)

    def hear(self, event: Event) -> None:
        """Something happened."""
        match event:
            case RunStarted(rows=rows):
                self._left = rows
            case PoolsStarted(replicas=replicas, gpus=gpus):
                self._metrics.start()
                self._replicas, self._gpus = replicas, gpus
            case StageFinished(index=index, stage=stage, seconds=seconds):
                self._metrics.record(metrics.STAGE_SECONDS, seconds, {"stage": stage})
                self._in_flight.add(index)
        self._set_gauges()

    def ended(self, entry: ManifestEntry) -> ManifestEntry:
        """A row of this run has ended; the entry without what belongs to its trace."""
        self._left -= 1
        self._in_flight.discard(entry.index)
        self._set_gauges()
        if entry.error is None:
            self._metrics.record(metrics.ROWS_DONE, 1)
            self._metrics.record(metrics.FRAMES, entry.frames or 0)
        else:
            self._metrics.record(metrics.ROWS_FAILED, 1, {"stage": entry.error.stage, "type": entry.error.type})
        for span in entry.spans:
            self._record(span)
        if entry.traceparent:
            known = {"key": entry.key, "source": entry.source}
            whole = tracing.row_span(entry.name, entry.traceparent, entry.spans, known, entry.error)
            self._export.add((whole, *entry.spans))
        return replace(entry, spans=(), traceparent="")

    def _set_gauges(self) -> None:
        """Again and again: Ray exports a gauge only where it was set since the last time."""
        now_s = time.monotonic()
        if now_s - self._set_s < _GAUGE_INTERVAL_S:
            return
        self._set_s = now_s
        self._metrics.record(metrics.ROWS_LEFT, self._left)
        self._metrics.record(metrics.IN_FLIGHT, len(self._in_flight))
        self._metrics.record(metrics.REPLICAS, self._replicas)
        self._metrics.record(metrics.GPUS, self._gpus)

    def _record(self, span: Span) -> None:
        if attempt := int(span.attributes.get("attempt", 0)):
            self._metrics.record(metrics.RETRIES, attempt - 1, {"stage": span.name})
            return
        gpu = str(span.attributes.get("gpu", "none"))
        self._metrics.record(metrics.PART_SECONDS, span.seconds, {"part": span.name})
        self._metrics.record(metrics.FLOPS, float(span.attributes.get("flops", 0)), {"gpu": gpu})
        if gpus := int(span.attributes.get("gpus", 0)):
            self._metrics.record(metrics.GPU_SECONDS, span.seconds * gpus, {"part": span.name, "gpu": gpu})


@contextmanager
def run_telemetry(run: str, store: Store, tell: Callable[[Event], None]) -> Iterator[RunTelemetry]:
    """Telemetry of a run, whose last traces are out when the block ends; raises TelemetryError."""
    export = open_export(store, run, os.environ, lambda problem: tell(Warned(message=problem)))
    try:
        yield RunTelemetry(run, export, RunMetrics())
    finally:
        export.close()
