"""What is about to end: nodes that Ray drains (for an autoscaler or a spot notice), and this process by SIGTERM."""

import signal
import threading
from collections.abc import Iterator
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

    Ray's own handler ends it at once, so this one is installed when Ray is connected. Only the main thread can install
    handlers: in another one the event is never set.
    """
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return

    def on_sigterm(_number: int, _frame: FrameType | None) -> None:
        if asked.is_set():
            raise SystemExit(_EXIT_CODE)
        asked.set()

    before = signal.signal(signal.SIGTERM, on_sigterm)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGTERM, before)
