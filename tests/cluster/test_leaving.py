"""SIGTERM asks a process to end; asked twice, it does so at once."""

import signal
import threading

import pytest

from airshower.cluster.leaving import asked_to_end


def test_asked_twice_the_process_ends():
    before = signal.getsignal(signal.SIGTERM)
    with asked_to_end() as asked:
        signal.raise_signal(signal.SIGTERM)
        assert asked.is_set()
        with pytest.raises(SystemExit, match="143"):
            signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_thread_leaves_the_handler_alone():
    def run() -> None:
        with asked_to_end() as asked:
            seen.append((asked.is_set(), signal.getsignal(signal.SIGTERM)))

    seen: list[object] = []
    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == [(False, before)]
