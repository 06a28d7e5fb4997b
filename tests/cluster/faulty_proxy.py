"""A proxy on this machine before an S3 server: it passes requests on, and goes wrong as it is told to."""

import http.client
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

DROPPED = 0  # instead of a status: the connection is closed without an answer


@dataclass(frozen=True)
class Fault:
    """What happens to the next request of a method."""

    method: str
    status: int
    code: str = ""
    passed_on: bool = False  # whether the server gets the request, so that only its answer is lost
    body: str = ""  # of the answer, if not the one of an error


class FaultyProxy(ThreadingHTTPServer):
    """`faults` are used up one by one; `requests` says what came, as (method, path)."""

    daemon_threads = True

    def __init__(self, upstream: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream = urlsplit(upstream).netloc
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.faults: list[Fault] = []
        self.requests: list[tuple[str, str]] = []
        self.ignores_conditions = False
        self.names_conditions = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that give up are no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FaultyProxy

    def _answer(self) -> None:
        self.server.requests.append((self.command, self.path))
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fault = self._fault()
        if fault is None or fault.passed_on:
            status, headers, answer = self._passed_on(body)
        if fault is not None and fault.status == DROPPED:
            self.close_connection = True
            return
        if fault is not None:
            error = f"<Error><Code>{fault.code}</Code><Message>by order</Message></Error>" if fault.code else ""
            status, headers, answer = fault.status, {"Content-Type": "application/xml"}, (fault.body or error).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if "Content-Length" not in headers:
            self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _answer

    def _fault(self) -> Fault | None:
        for fault in self.server.faults:
            if fault.method == self.command:
                self.server.faults.remove(fault)
                return fault
        return None

    def _passed_on(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        headers = dict(self.headers)
        if self.server.ignores_conditions:
            headers.pop("If-None-Match", None)
        connection = http.client.HTTPConnection(self.server.upstream, timeout=30)
        connection.request(self.command, self.path, body, headers)
        response = connection.getresponse()
        answer = response.read()
        connection.close()
        if not self.server.names_conditions:
            answer = re.sub(rb"<Condition>.*?</Condition>", b"", answer)
        dropped = ("content-length", "connection", "transfer-encoding", "date", "server")
        kept = {name: value for name, value in response.getheaders() if name.lower() not in dropped}
        if self.command == "HEAD" and (size := response.getheader("Content-Length")) is not None:
            kept["Content-Length"] = size  # of what isn't sent
        return response.status, kept, answer

    def log_message(self, *args: object) -> None:
        """Silent."""


@contextmanager
def faulty_proxy(upstream: str) -> Iterator[FaultyProxy]:
    """A running proxy before the server at `upstream`."""
    proxy = FaultyProxy(upstream)
    thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.shutdown()
        proxy.server_close()
        thread.join()
