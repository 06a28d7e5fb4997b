"""SIGTERM asks a process to end, asked twice it does so at once; of signals within a second, one counts."""

import signal
import subprocess
import threading

import pytest

from airshower.cluster.leaving import asked_to_end, deaf_to_sigterm, interrupted_once, sigterm_handler_kept


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_asked_twice_the_process_ends():
    before, clock = signal.getsignal(signal.SIGTERM), Clock()
    with asked_to_end(clock) as asked:
        signal.raise_signal(signal.SIGTERM)
        assert asked.is_set()
        clock.now_s += 0.5  # to the process, and then to its group
        signal.raise_signal(signal.SIGTERM)
        clock.now_s += 1
        with pytest.raises(SystemExit, match="143"):
            signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before


def test_what_an_interrupt_sets_off_is_not_interrupted_at_once():
    before, clock = signal.getsignal(signal.SIGINT), Clock()
    with interrupted_once(signal.SIGINT, clock=clock):
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
            clock.now_s += 1
    assert signal.getsignal(signal.SIGINT) is before


def test_a_handler_that_is_there_stays_and_hears_what_came_meanwhile():
    with asked_to_end() as asked:
        with sigterm_handler_kept():
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            signal.raise_signal(signal.SIGTERM)
            assert not asked.is_set()
        assert asked.is_set()
    with sigterm_handler_kept():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    assert signal.signal(signal.SIGTERM, signal.SIG_DFL) is signal.SIG_IGN  # nobody's was replaced


def test_what_is_started_deaf_outlives_sigterm():
    with deaf_to_sigterm():
        deaf = subprocess.Popen(["sh", "-c", "kill -TERM $$; exit 5"])
    hearing = subprocess.Popen(["sh", "-c", "kill -TERM $$; exit 5"])
    assert (deaf.wait(), hearing.wait()) == (5, -signal.SIGTERM)


def test_a_thread_leaves_the_handler_alone():
    def run() -> None:
        with asked_to_end() as asked, sigterm_handler_kept():
            seen.append((asked.is_set(), signal.getsignal(signal.SIGTERM)))

    seen: list[object] = []
    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == [(False, before)]
