"""Where a driver's spans go: to an OpenTelemetry collector where the environment names one, else into the run folder.

Nothing here fails or slows a row: spans wait in a bounded queue, and a thread sends or writes them. What can't be sent
is dropped, which is told once, and so is what finds the queue full. Everything belongs to one `TraceExport`; the
process's global tracer provider is left alone. The variables are OpenTelemetry's own, such as
OTEL_EXPORTER_OTLP_ENDPOINT.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, Status, StatusCode, TraceFlags

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
_WELL = Status()
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)  # all of them: a collector may drop what it likes
_SCOPE = InstrumentationScope("airshower", airshower.__version__)


class TelemetryError(ValueError):
    """Traces can't go where the environment asks them to; the message names the variable and the remedy."""


class TraceExport:
    """Takes the spans of finished rows and sees to the rest."""

    def __init__(
        self, exporter: SpanExporter, where: str, run: str, warn: Callable[[str], None], interval_s: float
    ) -> None:
        self._warn, self._warned = warn, False
        self._kept = _Kept(exporter, where)
        self._resource = Resource.create(
            {"service.name": "airshower", "service.version": airshower.__version__, f"{PREFIX}run": run}
        )
        self._waiting = BatchSpanProcessor(
            self._kept,
            max_queue_size=_WAITING_SPANS,
            max_export_batch_size=_BATCH_SPANS,
            schedule_delay_millis=interval_s * 1000,
        )

    def add(self, spans: Iterable[Span]) -> None:
        """Puts spans into the queue."""
        for span in spans:
            self._waiting.on_end(_ended(span, self._resource))
        self._tell()

    def close(self) -> None:
        """Sends or writes what waits, half a minute long at most."""
        self._waiting.shutdown()
        self._tell()

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


def _ended(span: Span, resource: Resource) -> ReadableSpan:
    """As OpenTelemetry has it. No tracer makes it, which would give it other ids and take several times as long."""
    return ReadableSpan(
        span.name,
        context=_context(span.trace_id, span.span_id),
        parent=_context(span.trace_id, span.parent_id) if span.parent_id else None,
        resource=resource,
        attributes={key if "." in key else PREFIX + key: value for key, value in span.attributes.items()},
        status=_WELL if span.error is None else Status(StatusCode.ERROR, span.error),
        start_time=span.begun_ns,
        end_time=span.ended_ns,
        instrumentation_scope=_SCOPE,
    )


def _context(trace_id: str, span_id: str) -> SpanContext:
    return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=False, trace_flags=_SAMPLED)
