import asyncio
import json
import threading

import pytest

from airshower.platform.access import Access, AccessError
from airshower.platform.posted_spec import BodyError
from airshower.platform.uploads import (
    BodyStalledError,
    BodyTooLargeError,
    form_spec,
    in_thread,
    json_spec,
    limited,
    with_files,
)

SPEC = {"prompt": "rain", "edge": {"control_weight": 0.5}}


NAMELESS = b"--cut\r\nContent-Disposition: form-data\r\n\r\n{}\r\n"


def part(name, content, filename=None, head=""):
    file = f'; filename="{filename}"' if filename else ""
    head = f'--cut\r\nContent-Disposition: form-data; name="{name}"{file}\r\n{head}\r\n' + ("\r\n" if head else "")
    return head.encode("utf-8", "surrogateescape") + content + b"\r\n"


def read(folder, *parts, end=b"--cut--\r\n", limit_bytes=10_000_000):
    body = b"".join(parts) + end

    async def pieces():
        for start in range(0, len(body), 1000):
            yield body[start : start + 1000]

    return asyncio.run(form_spec(pieces(), "multipart/form-data; boundary=cut", folder, limit_bytes))


def test_files_are_stored_whole_under_our_own_names(tmp_path):
    video, mask = bytes(range(256)) * 20, b"--cut is no boundary in here"
    spec = part("spec", json.dumps(SPEC).encode())
    spec, files = read(tmp_path, part("video", video, "../../evil.mp4"), spec, part("mask_edge", mask, "m"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mask_edge.mp4", "video.mp4"]
    assert files["video"].read_bytes() == video
    filled = with_files(spec, files)
    assert filled["video_path"] == str(tmp_path / "video.mp4")
    assert filled["edge"] == {"control_weight": 0.5, "mask_path": str(tmp_path / "mask_edge.mp4")}
    assert spec == SPEC


@pytest.mark.parametrize(
    ("parts", "end", "line"),
    [
        ([part("video", b"x", "v")], b"--cut--\r\n", "spec: the form has no such part"),
        ([part("spec", b"{}"), part("vidoe", b"x", "v")], b"--cut--\r\n", "'vidoe' is no part of this form"),
        ([part("spec", b"{}"), part("spec", b"{}")], b"--cut--\r\n", "'spec' is in the form twice"),
        ([part("spec", b"[1]")], b"--cut--\r\n", "spec: a list, not a JSON object"),
        ([part("spec", b"{,}")], b"--cut--\r\n", "spec: not JSON"),
        ([part("sp\udcffec", b"{}")], b"--cut--\r\n", r"'sp\\\\xffec' is no part of this form"),
        ([NAMELESS], b"--cut--\r\n", "a part of the form has no name: name it in its content disposition"),
        ([b"--cut\r\nno header\r\n\r\n"], b"--cut--\r\n", "the form can't be read: "),
        ([b"--cut\r\nX: " + b"y" * 5000], b"--cut--\r\n", "the form can't be read: "),
        (
            [part("spec", b"{}", head="Content-Type: a/b; charset=utf-16")],
            b"--cut--\r\n",
            "spec: sent as 'utf-16': send",
        ),
        (
            [part("video", b"{}", head="Content-Transfer-Encoding: BASE64")],
            b"--cut--\r\n",
            "'video' is sent as 'base64'",
        ),
        ([part("spec", b"{}"), part("video", b"x" * 3000, "v")], b"", "the form ends before its last boundary"),
    ],
)
def test_a_form_that_is_no_request_is_one_line(tmp_path, parts, end, line):
    with pytest.raises(BodyError, match=line):
        read(tmp_path, *parts, end=end)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"edge": '{"control_path": "/etc/passwd"}'}, "edge.control_path"),
        ({"edge": "{'control_path': '/etc/passwd'}"}, "edge.control_path"),
        ({"edge.mask_path": "/etc/passwd"}, "edge.mask_path"),
        ({"rear": '{"input_path": "/etc/passwd"}'}, "rear.input_path"),
        ({"video_path": 7}, "video_path"),
    ],
)
def test_no_way_to_write_a_path_hides_it_from_what_checks_access(tmp_path, fields, named):
    spec, _ = read(tmp_path, part("spec", json.dumps(SPEC | fields).encode()))
    with pytest.raises(AccessError, match=f"^{named}: .* is a path this server may not read"):
        Access().check(spec)


def test_text_that_no_file_can_hold_is_refused(tmp_path):
    with pytest.raises(BodyError, match=r"^prompt holds '\\ud800', which is no text"):
        read(tmp_path, part("spec", rb'{"prompt": "\ud800"}'))


def test_limits(tmp_path):
    with pytest.raises(BodyTooLargeError, match="larger than 5000 bytes"):
        read(tmp_path, part("video", b"x" * 6000, "v"), limit_bytes=5000)
    with pytest.raises(BodyTooLargeError, match="spec is larger"):
        read(tmp_path, part("spec", b" " * 2_000_000))

    async def endless():
        while True:
            yield b" " * 100_000

    with pytest.raises(BodyTooLargeError, match="spec is larger"):
        asyncio.run(json_spec(endless()))


def test_a_body_that_stops_coming_is_not_waited_for(tmp_path):
    async def stalled():
        yield b"{"
        await asyncio.sleep(600)

    async def read():
        return [piece async for piece in limited(stalled(), 100, "the spec", stall_s=0.01)]

    with pytest.raises(BodyStalledError, match="the spec stopped coming for 0 s: send it again"):
        asyncio.run(read())


def test_nothing_is_written_after_a_request_was_cancelled(tmp_path):
    begun, go_on = threading.Event(), threading.Event()

    def write():
        begun.set()
        go_on.wait()
        (tmp_path / "late").touch()

    async def cancelled():
        request = asyncio.ensure_future(in_thread(write))
        await asyncio.to_thread(begun.wait)
        request.cancel()
        await asyncio.sleep(0)
        assert not request.done()
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await request
        assert (tmp_path / "late").exists()

    asyncio.run(cancelled())


def test_a_field_is_named_or_uploaded_not_both(tmp_path):
    with pytest.raises(BodyError, match=r"^edge.control_path: named in the spec and uploaded as 'edge'"):
        with_files({"edge": {"control_path": "/a.mp4"}}, {"edge": tmp_path / "edge.mp4"})
    with pytest.raises(BodyError, match=r"^edge: a str, not a JSON object"):
        with_files({"edge": "yes"}, {"edge": tmp_path / "edge.mp4"})
    assert with_files({}, {"vis": tmp_path / "v"}) == {"vis": {"control_path": str(tmp_path / "v")}}


def test_files_of_cameras_go_to_their_cameras(tmp_path):
    filled = with_files({"prompt": "rain"}, {"rear": tmp_path / "map", "input_rear": tmp_path / "in"})
    assert filled["rear"] == {"control_path": str(tmp_path / "map"), "input_path": str(tmp_path / "in")}
