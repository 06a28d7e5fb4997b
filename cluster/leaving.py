"""What is about to end: nodes that Ray drains (for an autoscaler or a spot notice), and this process by a signal.

Only the main thread can install handlers of signals: in another one nothing is noticed here.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_EXIT_CODE = 128 + signal.SIGTERM


def leaving_nodes() -> frozenset[str]:
    """The ids of nodes that take no new work and will be gone."""
    from ray._private.state import state  # as Ray Data and Ray Train ask; there is no public way

    return frozenset(state.get_draining_nodes())


@contextmanager
def asked_to_end() -> Iterator[threading.Event]:
    """An event that SIGTERM sets, within the block; a second one ends the process.

    Ray's own handler ends it at once, so this one is installed when Ray is connected.
    """
    asked = threading.Event()

    def on_sigterm(_number: int, _frame: FrameType | None) -> None:
        if asked.is_set():
            raise SystemExit(_EXIT_CODE)
        asked.set()

    with _handled(signal.SIGTERM, on_sigterm):
        yield asked


@contextmanager
def interruptible() -> Iterator[Callable[[], None]]:
    """Ctrl-C raises KeyboardInterrupt, as ever; what is yielded raises it again, should it have been lost.

    Python raises it wherever the main thread is. That may be a finalizer, or a library that takes whatever is raised
    for a missing module: nothing comes out there, and the user's Ctrl-C would count for nothing.
    """
    pressed = threading.Event()

    def on_sigint(_number: int, _frame: FrameType | None) -> None:
        pressed.set()
        raise KeyboardInterrupt

    def raise_if_lost() -> None:
        if pressed.is_set():
            raise KeyboardInterrupt

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        with _handled(signal.SIGINT, on_sigint):
            yield raise_if_lost
    else:  # ignored, as shells have it after `&`, or somebody else's
        yield raise_if_lost


@contextmanager
def _handled(number: signal.Signals, handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, before)
