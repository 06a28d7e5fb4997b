"""The entries of graphs that run, as they come, in a form that lets the caller look elsewhere meanwhile.

Ray Data's iterators block until a row is done; a thread waits for each graph, so events and Ctrl-C get through. A
caller who stops listening stops the graphs.
"""

import queue
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ray.data import Dataset
from ray.data._internal.execution.streaming_executor import StreamingExecutor

from airshower.cluster.lost_nodes import taking_leave
from airshower.pipelines.dispatch.parcels import unpacked
from airshower.pipelines.manifest import ManifestEntry

_Arrived = queue.SimpleQueue[list[ManifestEntry] | Exception | None]


@contextmanager
def entries_of(graphs: Sequence[Dataset], poll_interval_s: float) -> Iterator[Iterator[list[ManifestEntry]]]:
    """All entries that are there, at least so often, none where there are none; they raise what an execution raises.

    The graphs are stopped when the block ends.
    """
    arrived: _Arrived = queue.SimpleQueue()
    others = set(threading.enumerate())

    def pump(graph: Dataset) -> None:
        try:
            for batch in graph.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
                arrived.put(unpacked(batch))
            arrived.put(None)
        except Exception as error:  # noqa: BLE001 -- crosses to the caller's thread
            arrived.put(error)

    def stop() -> None:
        # Ray Data hands out an iterator, and no way to stop what is behind it: a thread of its own.
        for thread in set(threading.enumerate()) - others:
            if isinstance(thread, StreamingExecutor):
                thread.shutdown(force=True)

    for graph in graphs:
        threading.Thread(target=pump, args=(graph,), name="entries", daemon=True).start()
    with taking_leave(stop):
        yield _entries(arrived, len(graphs), poll_interval_s)


def _entries(arrived: _Arrived, running: int, poll_interval_s: float) -> Iterator[list[ManifestEntry]]:
    while running:
        entries: list[ManifestEntry] = []
        for item in _available(arrived, poll_interval_s):
            if isinstance(item, Exception):
                raise item
            if item is None:
                running -= 1
            else:
                entries += item
        yield entries


def _available(arrived: _Arrived, wait_s: float) -> Iterator:
    try:
        yield arrived.get(timeout=wait_s)
        while True:
            yield arrived.get_nowait()
    except queue.Empty:
        return
