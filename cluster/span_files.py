"""Spans as files of a run folder, for when no OpenTelemetry collector listens.

    telemetry/<run>/000000.ndjson    written once by the run's driver; each line is an OTLP trace message in JSON

Object storage can't append, so what has gathered is written as one more numbered file, which readers see whole or not
at all. A collector's file receiver reads the lines as they are.
"""

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import StatusCode

from airshower.cluster.store import Store
from airshower.configs.spans import Attributes, Span

_log = logging.getLogger(__name__)

FOLDER = "telemetry"
PREFIX = "airshower."  # of attributes that OpenTelemetry has no name for
_READERS = 16  # threads; they wait for storage
_OF_THE_SDK = ("telemetry.", "service.instance")
_FAILED = StatusCode.ERROR.value


class SpanFiles(SpanExporter):
    """Writes every batch as a file of its own."""

    def __init__(self, store: Store, run: str) -> None:
        self._store, self._folder, self._written = store, f"{FOLDER}/{run}", 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Raises OSError for what storage refuses."""
        traces = groupby(spans, lambda span: span.context.trace_id)
        lines = (json.dumps(_message(list(some)), separators=(",", ":")) for _, some in traces)
        self._store.write(f"{self._folder}/{self._written:06d}.ndjson", "".join(f"{line}\n" for line in lines).encode())
        self._written += 1
        return SpanExportResult.SUCCESS


def read_spans(store: Store, tell: Callable[[str], None] = _log.warning) -> Iterator[tuple[str, Span]]:
    """(run, span) of every span in a run folder, run by run in the order of writing; raises OSError.

    What is no trace, in a file that was cut for instance, is told and left out.
    """
    names = sorted(store.names(FOLDER))
    with ThreadPoolExecutor(_READERS) as pool:
        for name, data in zip(names, pool.map(lambda name: store.read(f"{FOLDER}/{name}"), names), strict=True):
            for number, line in enumerate(data.splitlines(), 1):
                try:
                    spans = list(_spans(json.loads(line)))
                except (ValueError, KeyError, TypeError, AttributeError):
                    tell(f"{store.url(f'{FOLDER}/{name}')}: line {number} is no OTLP trace in JSON: it is left out")
                    continue
                yield from ((name.partition("/")[0], span) for span in spans)


def _message(spans: Sequence[ReadableSpan]) -> dict[str, Any]:
    known = {key: value for key, value in spans[0].resource.attributes.items() if not key.startswith(_OF_THE_SDK)}
    resource = {"attributes": _pairs(known)}
    scope = {"scope": {"name": "airshower"}, "spans": [_encoded(span) for span in spans]}
    return {"resourceSpans": [{"resource": resource, "scopeSpans": [scope]}]}


def _encoded(span: ReadableSpan) -> dict[str, Any]:
    parent = {} if span.parent is None else {"parentSpanId": f"{span.parent.span_id:016x}"}
    failed = span.status.status_code is StatusCode.ERROR
    return {
        "traceId": f"{span.context.trace_id:032x}",
        "spanId": f"{span.context.span_id:016x}",
        **parent,
        "name": span.name,
        "kind": 1,  # internal
        "startTimeUnixNano": str(span.start_time),
        "endTimeUnixNano": str(span.end_time),
        "attributes": _pairs(span.attributes or {}),
        **({"status": {"code": _FAILED, "message": span.status.description}} if failed else {}),
    }


def _pairs(attributes: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": _value(value)} for key, value in attributes.items()]


def _value(value: object) -> dict[str, Any]:
    if isinstance(value, int):
        return {"intValue": str(value)}
    return {"doubleValue": value} if isinstance(value, float) else {"stringValue": str(value)}


def _spans(message: Mapping[str, Any]) -> Iterator[Span]:
    for resource in message["resourceSpans"]:
        for scope in resource["scopeSpans"]:
            yield from map(_decoded, scope["spans"])


def _decoded(span: Mapping[str, Any]) -> Span:
    status = span.get("status") or {}
    return Span(
        name=span["name"],
        trace_id=span["traceId"],
        span_id=span["spanId"],
        parent_id=span.get("parentSpanId", ""),
        begun_ns=int(span["startTimeUnixNano"]),
        ended_ns=int(span["endTimeUnixNano"]),
        attributes=_attributes(span["attributes"]),
        error=status.get("message", "") if status.get("code") == _FAILED else None,
    )


def _attributes(pairs: Iterable[Mapping[str, Any]]) -> Attributes:
    return {pair["key"].removeprefix(PREFIX): _plain(pair["value"]) for pair in pairs}


def _plain(value: Mapping[str, Any]) -> str | int | float:
    if "intValue" in value:
        return int(value["intValue"])
    return float(value["doubleValue"]) if "doubleValue" in value else str(value["stringValue"])
