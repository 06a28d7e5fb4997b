"""The gallery of a run folder of real videos: what it says and escapes, and that a real browser plays it from disk."""

import itertools
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import av
import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from websockets.sync.client import connect

from airshower.pipelines.manifest import SCHEMA
from airshower.platform.gallery import write_gallery

HOSTILE = """<script>document.title = "taken"</script><img src=x onerror="document.title='taken'"> & "quoted" \u96e8"""
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
OUTPUTS = {"input": "{}_input.mp4", "control_edge": "{}_control_edge.mp4", "video": "{}.mp4"}


def write_clip(path: Path, frames: int = 25) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for index in range(frames):
            picture = np.full((48, 64, 3), 40, np.uint8)
            picture[10:30, index : index + 20] = 220
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


def write_record(folder: Path, name: str, outputs: dict[str, str]) -> None:
    spec = {"num_steps": 12, "guidance": 1, "seed": 7, "resolution": "144", "edge": {"control_weight": 0.5}}
    model = {"name": "tiny-transfer", "family": "transfer2.5", "weights": "w", "sha256": "0123456789abcdef"}
    record = {"name": name, "spec": spec, "model": model, "outputs": outputs, "seconds": {"denoise_s": 2.5}}
    (folder / f"{name}.json").write_text(json.dumps(record))


def make_run(folder: Path, done: int = 1, failed: int = 1) -> Path:
    """A run folder with `done` clips of three videos each, then `failed` rows."""
    folder.mkdir()
    write_clip(folder / "first.mp4")
    entries: list[dict[str, object]] = []
    for index in range(done):
        name = f"clip{index}"
        outputs = {kind: path.format(name) for kind, path in OUTPUTS.items()}
        for path in outputs.values():
            os.link(folder / "first.mp4", folder / path)
        write_record(folder, name, outputs)
        entry = {"name": name, "status": "done", "video": f"{name}.mp4", "record": f"{name}.json", "prompt": HOSTILE}
        shape = {"frames": 25, "fps": 10.0, "height": 48, "width": 64, "chunks": 1}
        entries.append({**entry, **shape, "seconds_total": 4.0, "seconds_prepare": 1.0, "seconds_generate": 3.0})
    for index in range(failed):
        error = {"error_stage": "prepare", "error_type": "MediaError", "error_message": f"<b>truncated</b> {HOSTILE}"}
        entries.append(
            {"name": f"broken{index}", "status": "failed", "source": "rows.jsonl:3", "prompt": "fog", **error}
        )
    table = pa.Table.from_pylist([{"index": index, **entry} for index, entry in enumerate(entries)], schema=SCHEMA)
    pq.write_table(table, folder / "manifest.parquet")
    return folder


class Page(HTMLParser):
    """Tags with attributes, and all text, of an HTML page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


def test_it_says_what_the_run_did(tmp_path):
    folder = make_run(tmp_path / "night drive")
    path = write_gallery(str(folder))
    assert path == str(folder / "index.html")
    text = Page(Path(path).read_text()).text
    for words in ("night drive", "tiny-transfer 01234567", "weight 0.5", "prepare 1.00 s", "rows.jsonl:3"):
        assert words in text
    for pair in (r"seed\s*7", r"steps\s*12", r"size\s*64.\u00d7.48", r"frames\s*25 at 10 fps", r"failed\s*1"):
        assert re.search(pair, text), pair
    assert "failed in prepare · MediaError" in text


def test_it_escapes_everything_and_asks_nobody(tmp_path):
    page = Page(Path(write_gallery(str(make_run(tmp_path / "run")))).read_text())
    assert page.text.count(HOSTILE) == 2  # as text: the prompt, and the error's message
    assert [tag for tag, _ in page.tags].count("script") == 1
    assert "img" not in [tag for tag, _ in page.tags]
    addresses = [value for _, given in page.tags for key, value in given.items() if key in ("src", "href", "data-src")]
    assert not [address for address in addresses if address and re.match(r"\w+://|//|/", address)]
    videos = [given["data-src"] for tag, given in page.tags if tag == "video"]
    assert [unquote(video or "") for video in videos] == ["clip0_input.mp4", "clip0_control_edge.mp4", "clip0.mp4"]


def test_a_clip_without_its_record_is_shown_from_the_manifest(tmp_path):
    folder = make_run(tmp_path / "run")
    (folder / "clip0.json").write_text("{ truncated")
    page = Page(Path(write_gallery(str(folder))).read_text())
    assert [given["data-src"] for tag, given in page.tags if tag == "video"] == ["clip0.mp4"]


def test_it_links_to_the_report_where_there_is_one(tmp_path):
    folder = make_run(tmp_path / "run")
    links = []
    for _ in range(2):
        page = Page(Path(write_gallery(str(folder))).read_text())
        links.append([given["href"] for tag, given in page.tags if tag == "a" and given["href"] == "report.html"])
        (folder / "report.html").touch()
    assert links == [[], ["report.html"]]


def test_a_folder_without_a_manifest_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"has no manifest\.parquet.*give the folder of a run"):
        write_gallery(str(tmp_path))


def make_image_run(folder: Path) -> Path:
    """A run of one image with its input and a control, its files where a run puts them."""
    made = folder / "data" / "still-1"
    made.mkdir(parents=True)
    outputs = {kind: path.replace("mp4", "jpg").format("still") for kind, path in OUTPUTS.items()}
    for path in outputs.values():
        cv2.imwrite(str(made / path), np.full((48, 64, 3), 90, np.uint8))
    write_record(made, "still", outputs)
    paths = {"video": "data/still-1/still.jpg", "record": "data/still-1/still.json"}
    entry = {"index": 0, "name": "still", "status": "done", **paths}
    shape = {"frames": 1, "fps": 24.0, "height": 48, "width": 64, "chunks": 1}
    pq.write_table(pa.Table.from_pylist([entry | shape], schema=SCHEMA), folder / "manifest.parquet")
    return folder


def test_a_clip_of_one_frame_is_shown_as_an_image(tmp_path):
    page = Page(Path(write_gallery(str(make_image_run(tmp_path / "run")))).read_text())
    images = [given["src"] for tag, given in page.tags if tag == "img"]
    assert images == [f"data/still-1/still{end}.jpg" for end in ("_input", "_control_edge", "")]
    assert not [tag for tag, given in page.tags if tag == "video" or given.get("class") == "transport"]
    assert re.search(r"frames\s*1, an image", page.text)


class Tab:
    """One browser tab over the DevTools protocol."""

    def __init__(self, address: str) -> None:
        self._socket = connect(address, max_size=None)
        self._numbers = itertools.count(1)
        self._call("Page.enable")

    def _call(self, method: str, **parameters: object) -> dict:
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            answer = json.loads(self._socket.recv(timeout=30))
            if answer.get("id") == number:
                assert "error" not in answer, answer
                return answer["result"]

    def open(self, address: str) -> None:
        self._call("Page.navigate", url=address)
        self.wait_for("document.readyState === 'complete' && typeof clips !== 'undefined'")

    def value(self, script: str) -> object:
        result = self._call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def wait_for(self, script: str, timeout_s: float = 30) -> None:
        end_s = time.monotonic() + timeout_s
        while not self.value(script):
            assert time.monotonic() < end_s, f"never true in the browser: {script}"
            time.sleep(0.05)

    def press(self, key: str) -> None:
        self._call("Input.dispatchKeyEvent", type="keyDown", key=key, text=key if len(key) == 1 else "")
        self._call("Input.dispatchKeyEvent", type="keyUp", key=key)


@contextmanager
def chromium_tab(profile: Path) -> Iterator[Tab]:
    """A tab of a headless Chromium that ends with the block."""
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--mute-audio"]
    flags += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    flags += ["--remote-debugging-port=0", f"--user-data-dir={profile}", "--window-size=1200,900", "about:blank"]
    with (profile.parent / "chromium.log").open("w") as log:
        process = subprocess.Popen([str(CHROMIUM), *flags], stdout=log, stderr=log)
    try:
        yield Tab(_tab_address(profile))
    finally:
        process.terminate()
        process.wait(timeout=20)


def _tab_address(profile: Path) -> str:
    port_file = profile / "DevToolsActivePort"
    end_s = time.monotonic() + 30
    while not (port_file.exists() and len(port_file.read_text().splitlines()) == 2):
        assert time.monotonic() < end_s, "Chromium did not start: see chromium.log beside its profile"
        time.sleep(0.05)
    port, browser_path = port_file.read_text().splitlines()
    with connect(f"ws://127.0.0.1:{port}{browser_path}") as browser:
        browser.send(json.dumps({"id": 1, "method": "Target.getTargets"}))
        targets = json.loads(browser.recv(timeout=30))["result"]["targetInfos"]
    page = next(target["targetId"] for target in targets if target["type"] == "page")
    return f"ws://127.0.0.1:{port}/devtools/page/{page}"


@pytest.fixture
def tab(tmp_path) -> Iterator[Tab]:
    if CHROMIUM is None:
        reason = "no Chromium in PATH: install it to see the gallery played (apt-get install chromium)"
        if os.environ.get("AIRSHOWER_REQUIRE_BROWSER") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    with chromium_tab(tmp_path / "profile") as opened:
        yield opened


def test_a_browser_plays_every_video_in_step_from_a_moved_folder(tab, tmp_path):
    folder = make_run(tmp_path / "run", done=3)
    write_gallery(str(folder))
    moved = folder.rename(tmp_path / "moved #1")
    tab.open(f"{moved.as_uri()}/index.html")
    assert tab.value("document.title") == "run · Airshower"  # no prompt ran as a script
    assert tab.value("document.querySelectorAll('video').length") == 9
    for index in range(3):  # far cards hold no videos, so each is looked at
        tab.value(f"clips[{index}].card.scrollIntoView()")
        tab.wait_for(f"clips[{index}].videos.every((video) => video.readyState >= 2)")
        tab.wait_for(f"clips[{index}].videos.every((video) => !video.paused && video.currentTime > 0.2)")
        spread_s = tab.value(
            f"(t => Math.max(...t) - Math.min(...t))(clips[{index}].videos.map((video) => video.currentTime))"
        )
        assert isinstance(spread_s, float | int)
        assert spread_s < 0.3
    tab.press(" ")
    tab.wait_for("[...document.querySelectorAll('video')].every((video) => video.paused)")
    tab.value("clips[2].seek(1)")
    tab.wait_for("clips[2].videos.every((video) => Math.abs(video.currentTime - 1) < 0.01 && !video.seeking)")
    tab.value("clips[2].card.focus()")
    tab.press("ArrowRight")  # from frame 10 to the middle of frame 11
    tab.wait_for("clips[2].videos.every((video) => Math.abs(video.currentTime - 1.15) < 0.01 && !video.seeking)")


def test_a_browser_shows_images_and_says_which_are_gone(tab, tmp_path):
    folder = make_image_run(tmp_path / "run")
    write_gallery(str(folder))
    (folder / "data" / "still-1" / "still_input.jpg").unlink()
    tab.open(f"{folder.as_uri()}/index.html")
    tab.wait_for("[...document.images].every((image) => image.complete)")
    assert tab.value("[...document.images].map((image) => image.naturalWidth)") == [0, 64, 64]
    assert tab.value("[...document.querySelectorAll('figure.missing')].map((one) => one.className)") == [
        "input missing"
    ]
    tab.press("p")


def test_a_thousand_clips_stay_light(tab, tmp_path):
    folder = make_run(tmp_path / "run", done=1000, failed=20)
    write_gallery(str(folder))
    tab.open(f"{folder.as_uri()}/index.html")
    tab.wait_for("clips[0].videos.every((video) => video.readyState >= 2)")
    tab.value("clips[900].card.scrollIntoView()")
    tab.wait_for("clips[900].videos.every((video) => video.readyState >= 2)")
    assert tab.value("document.querySelectorAll('video[src]').length") < 60
    assert not tab.value("clips[0].videos[0].hasAttribute('src')")
    shown = "clips.filter(({ card }) => card.checkVisibility()).length"
    tab.value("filterBox.value = 'CLIP77'; filterBox.dispatchEvent(new Event('input'))")
    assert tab.value(shown) == 11  # clip77 and clip770 to clip779
    tab.value("filterBox.value = ''; statusButtons[2].click()")
    assert tab.value(shown) == 20


def test_of_very_many_rows_some_of_every_end_are_shown(tmp_path):
    lines = [{"index": n, "name": f"row{n}", "status": "failed" if n % 300 == 7 else "done"} for n in range(3000)]
    pq.write_table(pa.Table.from_pylist(lines, schema=SCHEMA), tmp_path / "manifest.parquet")
    page = Path(write_gallery(str(tmp_path))).read_text()
    cards = page.count("<article")
    assert cards == 2000
    assert page.count('data-status="failed"') == 10 + 1  # and the button
    assert "2,000 of 3,000 rows are shown" in page
