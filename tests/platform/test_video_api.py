"""The HTTP interface over a runner that runs nothing: whatever is sent, the answer is one that its document has."""

import asyncio
import json
from contextlib import contextmanager

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airshower.configs.presets import tiny_transfer
from airshower.configs.row_formats import fields_of
from airshower.platform.access import Access
from airshower.platform.job_runner import QueueFullError
from airshower.platform.jobs import JobTable, Video, VideoError
from airshower.platform.uploads import PARTS
from airshower.platform.video_api import VideoApi

LIMIT_BYTES = 1 << 20
GOOD = {"prompt": "rain", "edge": {}}


class Runner:
    """Takes videos and leaves them queued."""

    def __init__(self, jobs):
        self.jobs, self.full = jobs, False

    def resume(self):
        """There is nothing to go on with."""

    @contextmanager
    def place(self):
        if self.full:
            raise QueueFullError("2 videos are queued or running, the most this service takes: wait")
        yield

    def submit(self, video_id, row):
        return self.jobs.add(Video(id=video_id, spec=row.spec, prompt=row.prompt))

    async def cancel(self, video_id):
        """Nothing runs."""

    async def stop(self):
        """Nothing runs."""


class Service:
    """The application, called without a network."""

    def __init__(self, folder):
        self.jobs = JobTable(folder / "work")
        self.runner = Runner(self.jobs)
        clips = folder / "clips"
        clips.mkdir(exist_ok=True)
        (clips / "in.mp4").write_bytes(b"x")
        self.clip = str(clips / "in.mp4")
        access = Access(folders=[str(clips)])
        self.api = VideoApi(self.jobs, preset=tiny_transfer(), access=access, upload_limit_bytes=LIMIT_BYTES)
        self.app = self.api.app()
        self.document = self.app.openapi()

    def open(self):
        asyncio.run(self.api.open(self.runner, lambda: 1))
        return self

    def ask(self, method, path, **how):
        """The answer, which is held against the document."""

        async def call():
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://service") as http:
                return await http.request(method, path, **how)

        answer = asyncio.run(call())
        if answer.status_code >= 400 and path != "/healthz":
            assert answer.json().keys() == {"error"}, answer.text
            assert answer.json()["error"]
            assert answer.json()["error"].isprintable()
        return answer

    def post(self, **how):
        answer = self.ask("POST", "/v1/videos", **how)
        assert str(answer.status_code) in self.document["paths"]["/v1/videos"]["post"]["responses"], answer.text
        assert answer.status_code < 500, answer.text
        return answer


@pytest.fixture
def service(tmp_path):
    return Service(tmp_path).open()


def test_it_says_that_it_starts_and_stops(tmp_path):
    service = Service(tmp_path)

    def health():
        answer = service.ask("GET", "/healthz")
        return answer.status_code, answer.json()["status"], answer.json()["ready"]

    assert health() == (503, "starting", False)
    for method, path in (("GET", "/v1/videos"), ("POST", "/v1/videos"), ("DELETE", "/v1/videos/a")):
        answer = service.ask(method, path)
        assert (answer.status_code, answer.json()["error"]) == (503, "the service is starting: ask again")
        assert answer.headers["retry-after"]
    assert service.ask("GET", "/docs").status_code == 200
    service.open()
    assert health() == (200, "ready", True)
    asyncio.run(service.api.close())
    assert health() == (503, "stopping", False)
    assert service.ask("GET", "/v1/videos").status_code == 503


def test_it_is_not_ready_without_a_replica(tmp_path):
    service = Service(tmp_path)
    asyncio.run(service.api.open(service.runner, lambda: 0))
    assert service.ask("GET", "/healthz").json() == {
        "status": "starting",
        "ready": False,
        "replicas": 0,
        "unfinished": 0,
    }


@pytest.mark.parametrize(
    ("how", "status", "line"),
    [
        ({"content": b"x", "headers": {"content-type": "text/plain"}}, 415, "content type 'text/plain': send"),
        ({"content": b"x", "headers": {"content-encoding": "gzip"}}, 415, "content encoding 'gzip': send the body as"),
        ({"content": b"x", "headers": {"content-length": "9999999"}}, 413, "the request is larger than 1048576 bytes"),
        ({"content": b" " * 300_000}, 413, "the spec is larger than 262144 bytes, this server's limit: send less"),
        ({"content": b"{", "headers": {"content-type": "application/json"}}, 422, "spec: not JSON"),
        (
            {"content": b"x", "headers": {"content-type": "multipart/form-data"}},
            422,
            "the content type has no boundary",
        ),
        ({"json": {**GOOD, "promt": 1}}, 422, "'promt' is not a field: did you mean 'prompt'?"),
        (
            {"json": {**GOOD, "video_path": "/etc/passwd"}},
            422,
            "video_path: '/etc/passwd' is a path this server may not",
        ),
        ({"json": {**GOOD, "name": "a/../../b"}}, 422, 'name "a/../../b" can\'t name files'),
        (
            {"data": {"spec": json.dumps(GOOD)}, "files": {"video": b""}},
            422,
            "video_path: video.mp4 is empty (0 bytes)",
        ),
    ],
)
def test_refusals(service, how, status, line):
    answer = service.post(**how)
    assert (answer.status_code, answer.json()["error"][: len(line)]) == (status, line)
    assert not list((service.jobs.folder("x").parent).iterdir())  # nothing of it stays


def test_a_full_queue(service):
    service.runner.full = True
    answer = service.post(json=GOOD)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "10")


def test_other_paths_and_methods(service):
    answer = service.ask("GET", "/v1/nothing%1b")
    assert (answer.status_code, answer.json()["error"]) == (
        404,
        r"'/v1/nothing\x1b' is nothing here: /docs lists what is",
    )
    answer = service.ask("PUT", "/v1/videos")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD, POST")
    assert answer.json()["error"] == "'/v1/videos' has no 'PUT': use GET, HEAD, POST"
    assert service.ask("OPTIONS", "/v1/videos/a").headers["allow"] == "DELETE, GET, HEAD"
    for path in (
        "/v1/videos/%ff",
        "/v1/videos/%00",
        "/v1/videos/a%0ab/content",
        "/v1/videos/../x",
        "/v1/videos/%ed%a0%80",
    ):
        assert service.ask("GET", path).status_code == 404


def test_head_is_answered_as_get(service):
    for path in ("/healthz", "/v1/videos", "/v1/models", "/docs"):
        assert service.ask("HEAD", path).status_code == 200


def test_the_page_shows_commands_for_the_address_that_it_is_looked_at_on(service):
    page = service.ask("GET", "/docs", headers={"host": "videos.example:8377"}).text
    assert "curl videos.example:8377/v1/videos/ID" in page


def test_results_that_are_not_there(service):
    video = service.post(json={**GOOD, "video_path": service.clip}).json()
    one = video["links"]["self"]
    assert service.ask("GET", f"{one}/content").status_code == 409
    error = VideoError(stage="prepare", type="MediaError", message="video.mp4: damaged")
    service.jobs.update(video["id"], status="failed", error=error)
    failed = service.ask("GET", f"{one}/content")
    assert (failed.status_code, failed.json()["error"]) == (
        422,
        "the video failed in stage prepare: video.mp4: damaged",
    )
    outputs = {"video": "a.mp4", "record": "a.json"}
    service.jobs.update(video["id"], status="done", error=None, outputs=outputs)
    gone = service.ask("GET", f"{one}/content")
    assert (gone.status_code, gone.json()["error"]) == (404, "a.mp4 is gone from the work folder: make the video again")
    assert service.ask("GET", f"{one}/views/..%2f..").status_code == 404
    (service.jobs.folder(video["id"]) / "a.mp4").write_bytes(b"0123456789")
    content = service.ask("GET", f"{one}/content")
    assert (content.content, content.headers["x-content-type-options"]) == (b"0123456789", "nosniff")
    assert service.ask("GET", f"{one}/content", headers={"range": "bytes=2-3"}).content == b"23"
    assert service.ask("DELETE", one).status_code == 204
    assert service.ask("DELETE", one).status_code == 404
    assert not list((service.jobs.folder("x").parent).iterdir())


FIELDS = st.sampled_from([*fields_of(), "edge.control_weight", "edge.mask_path", "", "x"])
TEXTS = st.text(st.characters(codec=None), max_size=12) | st.sampled_from(
    ["/etc/passwd", "s3://a/b", "{'a': 1}", "144"]
)
VALUES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS
OBJECTS = VALUES | st.lists(VALUES, max_size=3) | st.dictionaries(FIELDS | TEXTS, VALUES, max_size=3)


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    return Service(tmp_path_factory.mktemp("service")).open()


@settings(max_examples=200, deadline=None)
@given(fields=st.dictionaries(FIELDS | TEXTS, OBJECTS, max_size=5), good=st.booleans())
def test_any_row_is_taken_or_refused_in_one_line(shared, fields, good):
    row = {**GOOD, "video_path": shared.clip, **fields} if good else fields
    shared.post(content=json.dumps(row).encode(), headers={"content-type": "application/json"})


NAMES = st.sampled_from(["spec", "video", "edge", *PARTS]) | st.text(max_size=8)
HEADERS = st.sampled_from(
    [
        b"",
        b"Content-Type: text/plain; charset=utf-16\r\n",
        b"Content-Type: application/json; charset=\xff\r\n",
        b"Content-Transfer-Encoding: base64\r\n",
        b"Content-Transfer-Encoding: \xff\r\n",
        b"X: " + b"y" * 3000 + b"\r\n",
        b"X: y\r\n" * 20,
        b"no header\r\n",
        b"Content-Disposition: form-data\r\n",
        b": \r\n",
    ]
)
CONTENTS = st.binary(max_size=20) | st.sampled_from(
    [json.dumps(GOOD).encode(), b"{}", b'{"prompt": "\\ud800"}', b"--cut"]
)
FILE_NAMES = st.sampled_from(
    ["", '; filename="../../a"', "; filename*=UTF-8''%ff", '; filename="\udcff"', "; filename=\0"]
)


@st.composite
def parts(draw):
    disposition = f'Content-Disposition: form-data; name="{draw(NAMES)}"{draw(FILE_NAMES)}\r\n'
    head = disposition.encode("utf-8", "surrogateescape") + draw(HEADERS)
    return b"--cut\r\n" + head + b"\r\n" + draw(CONTENTS) + b"\r\n"


@settings(max_examples=120, deadline=None)
@given(
    form=st.lists(parts(), max_size=4), end=st.sampled_from([b"--cut--\r\n", b"--cut--", b"", b"--cu", b"--cut\r\n"])
)
def test_any_form_is_taken_or_refused_in_one_line(shared, form, end):
    shared.post(content=b"".join(form) + end, headers={"content-type": "multipart/form-data; boundary=cut"})


@settings(max_examples=50, deadline=None)
@given(content_type=st.binary(max_size=20), body=st.binary(max_size=20))
def test_any_content_type_and_body(shared, content_type, body):
    header = b"multipart/form-data; boundary=" + content_type.translate(None, b"\r\n\0")
    shared.post(content=body, headers={"content-type": header})


def test_nothing_stays_of_what_was_refused(shared):
    """After all of the above."""
    known = {video.id for video in shared.jobs.all()}
    assert {path.name for path in shared.jobs.folder("x").parent.iterdir()} == known
