"""Remote files become local ones: once, whole, again when they change, and from where a broken fetch ended."""

import hashlib
import multiprocessing
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from airshower.cluster.node_cache import local_copy

DATA = bytes(range(256)) * 20_000


class WebServer(ThreadingHTTPServer):
    """One file with an ETag; `ranges` are those asked for, None for all of it."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.data, self.knows_ranges, self.ranges = DATA, True, []
        self.dropped_after_bytes: int | None = None  # of the next answer

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/models/net.pt?signature=secret"


class _Handler(BaseHTTPRequestHandler):
    server: WebServer

    def do_HEAD(self) -> None:
        self._head(200, len(self.server.data))

    def do_GET(self) -> None:
        asked = self.headers["Range"]
        self.server.ranges.append(asked)
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and self.server.knows_ranges else 0
        body = self.server.data[start:]
        self._head(206 if start else 200, len(body))
        drop, self.server.dropped_after_bytes = self.server.dropped_after_bytes, None
        self.wfile.write(body[:drop])

    def _head(self, status: int, length: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        self.send_header("ETag", hashlib.sha256(self.server.data).hexdigest())
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def web():
    server = WebServer()
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user_cache"))
    return tmp_path / "user_cache" / "airshower" / "weights"


def test_a_path_is_no_url():
    assert local_copy("some/net.pt") == Path("some/net.pt")


def test_a_file_is_fetched_once_until_it_changes(web):
    said = []
    copy = local_copy(web.url, say=said.append)
    assert (copy.name, copy.read_bytes()) == ("net.pt", DATA)
    assert [line.endswith("/models/net.pt: 0 of 5 MB") for line in said] == [True]  # without the signature
    assert local_copy(web.url) == copy
    assert web.ranges == [None]
    web.data = DATA[::-1]
    assert local_copy(web.url).read_bytes() == DATA[::-1]
    assert copy.read_bytes() == DATA  # whoever has it mapped keeps it


@pytest.mark.parametrize("knows_ranges", [True, False])
def test_a_broken_fetch_is_gone_on_with(web, cache, knows_ranges):
    web.dropped_after_bytes, web.knows_ranges = 1_000_000, knows_ranges
    with pytest.raises(OSError, match=r"net\.pt: 1000000 of its 5120000 bytes came: call again to go on"):
        local_copy(web.url)
    assert not any((cache / "copies").iterdir())
    assert local_copy(web.url).read_bytes() == DATA
    assert web.ranges == [None, "bytes=1000000-"]


def test_a_file_that_is_not_what_it_should_be_is_removed(web, cache):
    with pytest.raises(OSError, match=r"SHA-256 is [0-9a-f]{64}, expected 00: the copy is removed") as caught:
        local_copy(web.url, sha256="00")
    assert "\n" not in str(caught.value)
    assert [file for file in (cache / "files").iterdir() if file.suffix != ".lock"] == []
    right = hashlib.sha256(DATA).hexdigest().upper()
    assert local_copy(web.url, sha256=right).read_bytes() == DATA
    with pytest.raises(OSError, match="SHA-256"):
        local_copy(web.url, sha256="00")  # also of a file that was there


def _copy(url, barrier):
    barrier.wait(timeout=60)
    local_copy(url)


def test_processes_that_begin_together_fetch_once(web):
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(3)
    processes = [context.Process(target=_copy, args=(web.url, barrier)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=60)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert web.ranges == [None]


def test_what_cant_be_fetched_is_one_line(web, bucket):
    gone = f"http://127.0.0.1:{web.server_port}"
    web.shutdown()
    web.server_close()
    for url in (f"{gone}/net.pt", "s3://drives/nowhere.pt", "s3://nowhere/net.pt", "teapot://a/b"):
        with pytest.raises(OSError, match=url) as caught:
            local_copy(url)
        assert "\n" not in str(caught.value)


def test_a_folder_in_a_bucket(bucket, cache):
    files = {"models/a.pt": b"a", "models/sub/b.safetensors": b"bb", "models/.metadata": b"m", "other": b"o"}
    for key, data in files.items():
        bucket.put_object(Bucket="drives", Key=key, Body=data)
    folder = local_copy("s3://drives/models")
    found = {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    assert found == {"a.pt": b"a", "sub/b.safetensors": b"bb", ".metadata": b"m"}
    assert local_copy("s3://drives/models/") == folder
    bucket.put_object(Bucket="drives", Key="models/a.pt", Body=b"A")
    assert (local_copy("s3://drives/models") / "a.pt").read_bytes() == b"A"
    assert (folder / "a.pt").read_bytes() == b"a"
    assert len([file for file in (cache / "files").iterdir() if not file.suffix]) == 4  # only a.pt came again
    with pytest.raises(OSError, match="is a folder, and a checksum is a file's"):
        local_copy("s3://drives/models", sha256="00")


def test_a_bucket_goes_on_in_the_middle(bucket, cache, monkeypatch):
    bucket.put_object(Bucket="drives", Key="net.pt", Body=DATA)
    copy = local_copy("s3://drives/net.pt").resolve()
    copy.rename(copy.with_suffix(".part"))
    with copy.with_suffix(".part").open("r+b") as part:
        part.truncate(1_000_000)
        part.write(b"kept")  # shows that the beginning isn't fetched again
    assert local_copy("s3://drives/net.pt").read_bytes() == b"kept" + DATA[4:]


def test_a_folder_that_a_web_server_lists(tmp_path):
    (tmp_path / "served" / "models" / "sub").mkdir(parents=True)
    (tmp_path / "served" / "models" / "a b.pt").write_bytes(b"a")
    (tmp_path / "served" / "models" / "sub" / "b.pt").write_bytes(b"b")
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path / "served"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        folder = local_copy(f"http://127.0.0.1:{server.server_port}/models/")
        server.shutdown()
    found = {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    assert found == {"a b.pt": b"a", "sub/b.pt": b"b"}
