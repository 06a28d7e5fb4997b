"""Spans of a run on their way out: into files that read back as they were, or to a collector over HTTP."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from airshower.cluster.span_files import read_spans
from airshower.cluster.store import Store, open_store
from airshower.cluster.trace_export import TelemetryError, open_export
from airshower.configs.spans import Span

ROOT = Span(
    name="row",
    trace_id="0af7651916cd43dd8448eb211c80319c",
    span_id="00f067aa0ba902b7",
    begun_ns=1_700_000_000_123_456_789,
    ended_ns=1_700_000_001_123_456_789,
    attributes={"row": "a", "attempt": 2, "flops": 1.5e12, "host.name": "node-1"},
    error="MediaError: no frame ä",
)
STAGE = replace(ROOT, name="prepare", span_id="b7ad6b7169203331", parent_id=ROOT.span_id, error=None)
OTHER = replace(STAGE, trace_id="1" * 32, parent_id="2" * 16)


def exported(store: Store, environment: dict[str, str], *batches: list[Span]) -> list[str]:
    """What is told while the batches go out."""
    warnings: list[str] = []
    export = open_export(store, "20260102T030405-1", environment, warnings.append)
    for batch in batches:
        export.add(batch)
    export.close()
    return warnings


def test_spans_in_files_are_what_they_were(tmp_path):
    store = open_store(tmp_path)
    assert exported(store, {}, [ROOT, STAGE], [OTHER]) == []
    assert list(store.names("telemetry")) == ["20260102T030405-1/000000.ndjson"]
    assert len(store.read("telemetry/20260102T030405-1/000000.ndjson").splitlines()) == 2  # one per trace
    assert list(read_spans(store)) == [("20260102T030405-1", span) for span in (ROOT, STAGE, OTHER)]


def test_lines_that_are_no_traces_are_named_and_left_out(tmp_path):
    store, told = open_store(tmp_path), []
    exported(store, {}, [ROOT])
    store.write("telemetry/run/000000.ndjson", b'{"resourceSpans": []}\n{"spans": 1}\n{"cut sho')
    assert [span for _, span in read_spans(store, told.append)] == [ROOT]
    assert [line.partition("run/")[2] for line in told] == [
        f"000000.ndjson: line {number} is no OTLP trace in JSON: it is left out" for number in (2, 3)
    ]


def test_spans_in_a_bucket_and_a_bucket_that_is_gone(bucket):
    store = open_store("s3://drives/run")
    assert exported(store, {}, [ROOT, STAGE]) == []
    assert [span for _, span in read_spans(store)] == [ROOT, STAGE]
    (warning,) = exported(open_store("s3://gone/run", probe=False), {}, [ROOT])
    assert warning.startswith("traces can't be written to s3://gone/run (")


class Collector:
    """Takes OTLP over HTTP and keeps it; a sick one refuses it."""

    def __init__(self, *, well: bool) -> None:
        self.received: list[bytes] = []
        received = self.received

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                received.append(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200 if well and self.path == "/v1/traces" else 404)
                self.end_headers()

            def log_message(self, *arguments: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture(params=[True, False], ids=["well", "sick"])
def collector(request, monkeypatch) -> Iterator[Collector]:
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="the exporter of the dev group is missing")
    one = Collector(well=request.param)
    thread = Thread(target=one.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", one.endpoint)  # the exporter reads it itself
    yield one
    one.server.shutdown()
    one.server.server_close()
    thread.join()


def test_a_collector_gets_the_spans_and_one_that_refuses_costs_one_warning(tmp_path, collector, request):
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    store = open_store(tmp_path)
    warnings = exported(store, {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint}, [ROOT, STAGE], [OTHER])
    assert list(read_spans(store)) == []
    if "sick" in request.node.name:
        assert warnings == [
            f"traces can't be sent to {collector.endpoint}: see that a collector listens there, or unset "
            "OTEL_EXPORTER_OTLP_ENDPOINT: clips are made all the same"
        ]
        return
    assert warnings == []
    spans = []
    for body in collector.received:
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            named = {pair.key: pair.value.string_value for pair in resource.resource.attributes}
            assert (named["service.name"], named["airshower.run"]) == ("airshower", "20260102T030405-1")
            spans += [span for scope in resource.scope_spans for span in scope.spans]
    root, stage, other = spans
    assert (root.trace_id.hex(), root.span_id.hex(), root.parent_span_id) == (ROOT.trace_id, ROOT.span_id, b"")
    assert (stage.trace_id, stage.parent_span_id) == (root.trace_id, root.span_id)
    assert (root.start_time_unix_nano, root.end_time_unix_nano) == (ROOT.begun_ns, ROOT.ended_ns)
    assert (root.status.code, root.status.message) == (2, ROOT.error)
    assert stage.status.code == 0
    assert {pair.key for pair in root.attributes} == {
        "airshower.row",
        "airshower.attempt",
        "airshower.flops",
        "host.name",
    }
    assert other.trace_id.hex() == OTHER.trace_id


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a:4318"}, r"isn't installed: pip install 'airshower\[otlp\]'"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "a:4318"}, r"TRACES_ENDPOINT is a:4318: it must be a URL"),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            r"OTLP_PROTOCOL is grpc: traces are sent as http/protobuf alone",
        ),
    ],
)
def test_what_the_environment_asks_and_can_t_be_is_one_line(tmp_path, monkeypatch, environment, message):
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)  # not installed
    with pytest.raises(TelemetryError, match=message):
        open_export(open_store(tmp_path), "run", environment, print)
