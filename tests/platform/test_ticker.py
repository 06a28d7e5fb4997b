"""A command's log says where it is for as long as it is at work, and no oftener than it has to."""

import io
import time

from airshower.platform.ticker import ticking


def test_a_line_comes_whenever_nothing_was_said_for_an_interval():
    file, count = io.StringIO(), 0

    def line():
        nonlocal count
        count += 1
        return f"line {count}"

    with ticking(line, file, interval_s=0.05) as ticker:
        until_s = time.monotonic() + 10
        while count < 3 and time.monotonic() < until_s:
            time.sleep(0.01)
        ticker.say("told")
    said = file.getvalue().splitlines()
    assert said[:3] == ["line 1", "line 2", "line 3"]
    assert "told" in said
    time.sleep(0.12)
    assert file.getvalue().splitlines() == said
