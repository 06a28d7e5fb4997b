"""An HTTP server in a thread of this process, which listens from the first moment to the last.

Not Ray Serve's: that one listens before there is anything to answer, and its proxy keeps uploads in memory.
"""

import asyncio
import os
import socket
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import uvicorn
from fastapi import FastAPI

_LAST_ANSWERS_S = 3  # for requests that are under way when the server ends

T = TypeVar("T")


class HttpServerError(RuntimeError):
    """The address can't be listened on; one line says why."""


class HttpServer:
    """A running server; its event loop is the application's."""

    def __init__(self, app: FastAPI, listening: socket.socket) -> None:
        config = uvicorn.Config(
            app,
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=_LAST_ANSWERS_S,
        )
        self._server = uvicorn.Server(config)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, args=[listening], name="http", daemon=True)
        self._thread.start()

    def _serve(self, listening: socket.socket) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._server.serve([listening]))

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """What a coroutine returns on the application's event loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def stop(self) -> None:
        """Ends the server, and soon every request."""
        self._server.should_exit = True
        self._thread.join()


@contextmanager
def http_server(app: FastAPI, host: str, port: int) -> Iterator[HttpServer]:
    """Serves the application inside the block; raises HttpServerError."""
    try:
        listening = socket.create_server((host, port), family=_family(host))
    except OSError as error:
        raise HttpServerError(
            f"{host}:{port} can't be listened on: {_reason(error)}: use another --host or --port"
        ) from error
    with listening:
        server = HttpServer(app, listening)
        try:
            yield server
        finally:
            server.stop()


def _reason(error: OSError) -> str:
    """In the system's words; what it says of the names of hosts has numbers below 0."""
    return os.strerror(error.errno) if error.errno and error.errno > 0 else str(error.strerror)


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
