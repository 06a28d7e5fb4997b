"""What a training run reports on its way, from Ray Train's controller to the driver.

The controller, a process of its own, imports this file to make the callback: so nothing heavy is imported here.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any

from ray.train import UserCallback
from ray.util.queue import Queue

Metrics = dict[str, Any]


class NewsCallback(UserCallback):
    """Passes rank 0's metrics on. Ray Train calls it in its controller: hence the queue."""

    def __init__(self, news: Queue) -> None:
        self._news = news

    def after_report(self, run_context: Any, metrics: list[Metrics], checkpoint: Any) -> None:  # noqa: ANN401
        self._news.put(metrics[0])


@contextmanager
def listening(on_metrics: Callable[[Metrics], None]) -> Iterator[NewsCallback]:
    """A callback whose metrics reach `on_metrics`, on a thread: the main thread belongs to Ray Train's signals."""
    news = Queue()

    def listen() -> None:
        while (metrics := news.get()) is not None:
            on_metrics(metrics)

    listener = Thread(target=listen, daemon=True)
    listener.start()
    try:
        yield NewsCallback(news)
    finally:
        news.put(None)
        listener.join()
        news.shutdown()
