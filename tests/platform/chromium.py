"""A headless Chromium that a test drives through its DevTools protocol: real mouse, keys, downloads and screens."""

import itertools
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from websockets.sync.client import connect

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)


class Tab:
    """One browser tab."""

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
        self._call("Page.bringToFront")  # hidden ones stand still
        self._call("Page.navigate", url="about:blank")  # so that another fragment loads the page anew, too
        self._call("Page.navigate", url=address)
        self.wait_for("document.readyState === 'complete' && location.protocol !== 'about:'")

    def value(self, script: str) -> object:
        result = self._call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def wait_for(self, script: str) -> None:
        wait_until(lambda: self.value(script), f"in the browser: {script}")

    def press(self, key: str) -> None:
        self._call("Input.dispatchKeyEvent", type="keyDown", key=key, text=key if len(key) == 1 else "")
        self._call("Input.dispatchKeyEvent", type="keyUp", key=key)

    def drag(self, selector: str, begin: float, end: float) -> None:
        """Pulls the mouse over an element, from one share of its width to another."""
        left, top, width, height = self._box(selector)
        for kind, share in (("mousePressed", begin), ("mouseMoved", end), ("mouseReleased", end)):
            place = {"x": left + share * width, "y": top + height / 2}
            self._call("Input.dispatchMouseEvent", type=kind, button="left", buttons=1, clickCount=1, **place)

    def click(self, selector: str) -> None:
        self.drag(selector, 0.5, 0.5)

    def _box(self, selector: str) -> tuple[float, float, float, float]:
        found = f"document.querySelector({json.dumps(selector)})"
        self.value(f"{found}.scrollIntoView({{ block: 'center' }})")
        box = f"(({{ x, y, width, height }}) => [x, y, width, height])({found}.getBoundingClientRect())"
        seen: list[object] = []
        while len(seen) < 2 or seen[-1] != seen[-2]:  # what comes into the window may move the rest
            seen.append(self.value(f"new Promise((done) => requestAnimationFrame(() => done({box})))"))
        assert isinstance(seen[-1], list)
        return tuple(seen[-1])

    def resize(self, width_px: int, height_px: int) -> None:
        size = {"width": width_px, "height": height_px}
        self._call("Emulation.setDeviceMetricsOverride", deviceScaleFactor=1, mobile=width_px < 600, **size)

    def allow(self, *permissions: str) -> None:
        self._call("Browser.grantPermissions", permissions=permissions)

    def download_to(self, folder: Path) -> None:
        self._call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))


def wait_until(condition: Callable[[], object], words: str, timeout_s: float = 30) -> None:
    """Returns as soon as the condition holds; fails the test, saying what was waited for, where it never does."""
    end_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end_s, f"waited in vain: {words}"
        time.sleep(0.05)


@contextmanager
def chromium_tab(profile: Path) -> Iterator[Tab]:
    """A tab of a headless Chromium that ends with the block; skips the test where there is none."""
    if CHROMIUM is None:
        reason = "no Chromium in PATH: install it to see the pages in a browser (apt-get install chromium)"
        if os.environ.get("AIRSHOWER_REQUIRE_BROWSER") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
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
    wait_until(
        lambda: port_file.exists() and len(port_file.read_text().splitlines()) == 2,
        "Chromium starts: see chromium.log beside its profile",
    )
    port, browser_path = port_file.read_text().splitlines()
    with connect(f"ws://127.0.0.1:{port}{browser_path}") as browser:
        browser.send(json.dumps({"id": 1, "method": "Target.getTargets"}))
        targets = json.loads(browser.recv(timeout=30))["result"]["targetInfos"]
    page = next(target["targetId"] for target in targets if target["type"] == "page")
    return f"ws://127.0.0.1:{port}/devtools/page/{page}"
