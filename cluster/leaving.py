"""What is about to end: nodes that Ray drains (for an autoscaler or a spot notice), and this process by a signal.

`timeout`, systemd and batch systems send a signal to all processes of a command, some of them twice to the first one.
So what comes within a second counts once, and Ray's processes on this machine are deaf to SIGTERM: the driver ends its
run in good order, and they end with it. Only the main thread can install handlers; elsewhere nothing is changed.
"""

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType

_EXIT_CODE = 128 + signal.SIGTERM
_ONCE_S = 1.0

Clock = Callable[[], float]


def leaving_nodes() -> frozenset[str]:
    """The ids of nodes that take no new work and will be gone."""
    from ray._private.state import state  # as Ray Data and Ray Train ask; there is no public way

    return frozenset(state.get_draining_nodes())


@contextmanager
def asked_to_end(clock: Clock = time.monotonic) -> Iterator[threading.Event]:
    """An event that SIGTERM sets, within the block; a second one, more than a second later, ends the process."""
    asked, counts = threading.Event(), _counting(clock)

    def on_sigterm(_number: int, _frame: FrameType | None) -> None:
        if counts():
            if asked.is_set():
                raise SystemExit(_EXIT_CODE)
            asked.set()

    with _handler(signal.SIGTERM, on_sigterm):
        yield asked


@contextmanager
def interrupted_once(*numbers: signal.Signals, clock: Clock = time.monotonic) -> Iterator[None]:
    """Signals raise KeyboardInterrupt within the block, and not again within a second of that: what has to be done
    then is not interrupted in its turn.
    """
    counts = _counting(clock)

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        if counts():
            raise KeyboardInterrupt

    with ExitStack() as handlers:
        for number in numbers:
            handlers.enter_context(_handler(number, on_signal))
        yield


@contextmanager
def deaf_to_sigterm() -> Iterator[None]:
    """Processes that this thread starts within the block never hear SIGTERM; the thread does, after the block."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def sigterm_handler_kept() -> Iterator[None]:
    """Where SIGTERM is handled already, a handler that the block installs doesn't stay: Ray has one, which exits."""
    before = signal.getsignal(signal.SIGTERM)
    with deaf_to_sigterm():  # not to the block's handler either
        try:
            yield
        finally:
            if before is not signal.SIG_DFL and _is_main_thread():
                signal.signal(signal.SIGTERM, before)


@contextmanager
def _handler(number: signal.Signals, handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    if not _is_main_thread():
        yield
        return
    before = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, before)


def _counting(clock: Clock) -> Callable[[], bool]:
    """Says of every call whether it is the first for a second."""
    last_s = -math.inf

    def counts() -> bool:
        nonlocal last_s
        now_s = clock()
        if now_s - last_s < _ONCE_S:
            return False
        last_s = now_s
        return True

    return counts


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
