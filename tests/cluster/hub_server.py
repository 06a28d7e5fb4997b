"""A server on this machine that answers as Hugging Face does, as far as fetching asks: files, lists, commits, refusals.

Every request is kept in `requests` as (method, path, headers). It serves plain HTTP, so the Xet client has no part.
"""

import hashlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

COMMIT = "3210bec" + 33 * "0"
OLDER_COMMIT = 40 * "a"


class HubServer(ThreadingHTTPServer):
    """Repositories by name, each with its files by path; the other attributes say how the next answers go wrong."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repos: dict[str, dict[str, bytes]] = {}
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.dropped_after_bytes: list[int] = []  # one entry for each download that is cut off
        self.sizes: dict[str, int] = {}  # sizes that the lists state instead of the true ones
        self.corrupt = False  # whether downloads differ from what the lists state
        self.delay_s = 0.0  # of every answer about a file
        self.refusal: tuple[int, str] | None = None  # status and error code of every answer about files
        self.token: str | None = None  # the one that is let in, where not all are

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def downloads(self) -> list[dict[str, str]]:
        """The headers of every request for a file's content."""
        return [headers for method, path, headers in self.requests if method == "GET" and "/resolve/" in path]


@contextmanager
def running() -> Iterator[HubServer]:
    server = HubServer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: HubServer

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.server.requests.append((self.command, path, {key.lower(): value for key, value in self.headers.items()}))
        is_file = "/resolve/" in path
        repo = path.partition("/resolve/")[0][1:] if is_file else "/".join(path.split("/")[3:5])
        if self.server.token and self.headers.get("authorization") != f"Bearer {self.server.token}":
            return self._refuse(401, "RepoNotFound")
        if self.server.refusal and is_file:
            return self._refuse(*self.server.refusal)
        if repo not in self.server.repos:
            return self._refuse(404, "RepoNotFound")
        if is_file:
            return self._file(repo, path.partition("/resolve/")[2].partition("/")[2])
        return self._json(self._described(repo, path.split("/")[5]))

    def _described(self, repo: str, what: str) -> object:
        files = self.server.repos[repo]
        if what == "tree":
            return [self._listed(path, content) for path, content in files.items()]
        if what == "commits":
            common = {"title": "", "message": "", "date": "2025-12-01T00:00:00.000Z", "authors": [{"user": "a"}]}
            return [{"id": commit, **common} for commit in (OLDER_COMMIT, COMMIT)]
        siblings = [{"rfilename": path} for path in files]
        return {"id": repo, "modelId": repo, "sha": COMMIT, "siblings": siblings, "private": False, "tags": []}

    def _listed(self, path: str, content: bytes) -> dict[str, object]:
        size = self.server.sizes.get(path, len(content))
        digest = hashlib.sha256(content).hexdigest()
        lfs = {"oid": digest, "size": size, "pointerSize": 134} if path.endswith((".pt", ".pth")) else None
        return {"type": "file", "path": path, "size": size, "oid": digest[:40], **({"lfs": lfs} if lfs else {})}

    def _file(self, repo: str, path: str) -> None:
        time.sleep(self.server.delay_s)
        content = self.server.repos[repo][path]
        digest = hashlib.sha256(content).hexdigest()
        if self.server.corrupt:
            content = bytes(len(content))
        begin = int(self.headers.get("range", "bytes=0-").removeprefix("bytes=").partition("-")[0])
        headers = {"ETag": f'"{digest}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        if begin:
            headers["Content-Range"] = f"bytes {begin}-{len(content) - 1}/{len(content)}"
        self._send(206 if begin else 200, content[begin:], headers)

    def _json(self, value: object) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _refuse(self, status: int, code: str) -> None:
        self._send(status, b"", {"X-Error-Code": code} if code else {})

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        if "X-Repo-Commit" in headers and self.server.dropped_after_bytes:
            body = body[: self.server.dropped_after_bytes.pop(0)]
            self.close_connection = True
        self.wfile.write(body)
