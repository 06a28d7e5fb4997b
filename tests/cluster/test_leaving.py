"""A signal to this process is noticed, whatever the main thread is doing."""

import os
import signal
import threading
from contextlib import suppress

import pytest

from airshower.cluster.leaving import asked_to_end, interruptible


def test_an_interrupt_that_a_library_took_is_raised_again():
    with interruptible() as raise_if_lost:
        raise_if_lost()
        with suppress(BaseException):  # as around an import of something that may be missing
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            raise_if_lost()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_interrupt_is_raised_where_it_came():
    with pytest.raises(KeyboardInterrupt), interruptible():
        signal.raise_signal(signal.SIGINT)


def test_an_ignored_interrupt_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interruptible() as raise_if_lost:
            signal.raise_signal(signal.SIGINT)
            raise_if_lost()
    finally:
        signal.signal(signal.SIGINT, before)


def test_asked_twice_the_process_ends():
    before = signal.getsignal(signal.SIGTERM)
    with asked_to_end() as asked:
        os.kill(os.getpid(), signal.SIGTERM)
        assert asked.wait(5)
        with pytest.raises(SystemExit, match="143"):
            os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before


def test_other_threads_leave_handlers_alone():
    def run() -> None:
        with asked_to_end() as asked, interruptible() as raise_if_lost:
            raise_if_lost()
            seen.append((asked.is_set(), signal.getsignal(signal.SIGINT)))

    seen: list[object] = []
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == [(False, signal.default_int_handler)]
