"""Where a driver's spans go: to an OpenTelemetry collector where the environment names one, else into the run folder.

Nothing here fails or slows a row: spans wait in a bounded queue, and a thread sends or writes them. What can't be sent
is dropped, which is told once, and so is what finds the queue full. Everything belongs to one `TraceExport`; the
process's global tracer provider stays as it is. The variables are OpenTelemetry's own, such as
OTEL_EXPORTER_OTLP_ENDPOINT.
"""

import logging
import random
from collections.abc import Callable, Iterable, Mapping, Sequence

from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

import airshower
from airshower.cluster.span_files import PREFIX, SpanFiles
from airshower.cluster.store import Store
from airshower.configs.spans import Span

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_WAITING_SPANS = 50_000  # about 50 MB
_BATCH_SPANS = 4_000
_FILE_INTERVAL_S = 15.0
_SEND_INTERVAL_S = 5.0


class TelemetryError(ValueError):
    """Traces can't go where the environment asks them to; the message names the variable and the remedy."""


class TraceExport:
    """Takes the spans of finished rows and sees to the rest."""

    def __init__(
        self, exporter: SpanExporter, where: str, run: str, warn: Callable[[str], None], interval_s: float
    ) -> None:
        self._warn, self._warned = warn, False
        self._kept = _Kept(exporter, where)
        self._ids = _GivenIds()
        resource = Resource.create(
            {"service.name": "airshower", "service.version": airshower.__version__, f"{PREFIX}run": run}
        )
        self._provider = TracerProvider(
            sampler=ALWAYS_ON, resource=resource, id_generator=self._ids, shutdown_on_exit=False
        )
        self._provider.add_span_processor(
            BatchSpanProcessor(
                self._kept,
                max_queue_size=_WAITING_SPANS,
                max_export_batch_size=_BATCH_SPANS,
                schedule_delay_millis=interval_s * 1000,
            )
        )
        self._tracer = self._provider.get_tracer("airshower")

    def add(self, spans: Iterable[Span]) -> None:
        """Puts spans into the queue."""
        for span in spans:
            self._replay(span)
        self._tell()

    def close(self) -> None:
        """Sends or writes what waits, half a minute long at most."""
        self._provider.shutdown()
        self._tell()

    def _replay(self, span: Span) -> None:
        self._ids.trace_id, self._ids.span_id = int(span.trace_id, 16), int(span.span_id, 16)
        told = self._tracer.start_span(
            span.name,
            context=_below(span),
            start_time=span.begun_ns,
            attributes={key if "." in key else PREFIX + key: value for key, value in span.attributes.items()},
        )
        if span.error is not None:
            told.set_status(Status(StatusCode.ERROR, span.error))
        told.end(end_time=span.ended_ns)

    def _tell(self) -> None:
        """Says what went wrong in the thread, in the caller's and only once."""
        if self._kept.problem is not None and not self._warned:
            self._warned = True
            self._warn(self._kept.problem)


def open_export(store: Store, run: str, environment: Mapping[str, str], warn: Callable[[str], None]) -> TraceExport:
    """The export of one run; raises TelemetryError where the environment asks for what can't be."""
    variable = next((name for name in _ENDPOINTS if environment.get(name)), None)
    if variable is None:
        where = f"traces can't be written to {store.location}"
        return TraceExport(SpanFiles(store, run), where, run, warn, _FILE_INTERVAL_S)
    endpoint = environment[variable]
    where = f"traces can't be sent to {endpoint}: see that a collector listens there, or unset {variable}"
    return TraceExport(_otlp_exporter(variable, endpoint, environment), where, run, warn, _SEND_INTERVAL_S)


def _otlp_exporter(variable: str, endpoint: str, environment: Mapping[str, str]) -> SpanExporter:
    for name in _PROTOCOLS:
        if environment.get(name, "http/protobuf") != "http/protobuf":
            raise TelemetryError(
                f"{name} is {environment[name]}: traces are sent as http/protobuf alone: unset it and let {variable} "
                "name the collector's HTTP port, 4318 as a rule"
            )
    if "://" not in endpoint:
        raise TelemetryError(f"{variable} is {endpoint}: it must be a URL such as http://localhost:4318")
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ImportError:
        raise TelemetryError(
            f"{variable} is set, and what sends traces there isn't installed: pip install 'airshower[otlp]', or unset "
            "it to keep traces in the run folder"
        ) from None
    for library in ("opentelemetry.exporter", "opentelemetry.sdk"):
        logging.getLogger(library).setLevel(logging.CRITICAL)  # they repeat what is told once
    return OTLPSpanExporter()  # reads the environment itself: endpoint, headers, certificates, time limits


class _Kept(SpanExporter):
    """Another exporter, of whose failures the first is kept."""

    def __init__(self, exporter: SpanExporter, where: str) -> None:
        self._exporter, self._where = exporter, where
        self.problem: str | None = None

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        reason = ""
        try:
            result = self._exporter.export(spans)
        except Exception as error:  # noqa: BLE001 - no trace is worth a run
            result, reason = SpanExportResult.FAILURE, f" ({' '.join(str(error).split())})"
        if result is SpanExportResult.FAILURE and self.problem is None:
            self.problem = f"{self._where}{reason}: clips are made all the same"
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()


class _GivenIds(IdGenerator):
    """Ids that spans already have."""

    def __init__(self) -> None:
        self.trace_id, self.span_id = random.getrandbits(128), random.getrandbits(64)

    def generate_trace_id(self) -> int:
        return self.trace_id

    def generate_span_id(self) -> int:
        return self.span_id


def _below(span: Span) -> Context:
    """The context of a span's parent; an empty one for a trace's first span."""
    if not span.parent_id:
        return Context()
    parent = SpanContext(
        trace_id=int(span.trace_id, 16),
        span_id=int(span.parent_id, 16),
        is_remote=True,
        trace_flags=TraceFlags(TraceFlags.SAMPLED),
    )
    return set_span_in_context(NonRecordingSpan(parent), Context())
