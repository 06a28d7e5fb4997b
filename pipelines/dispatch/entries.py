"""The entries of graphs that run, as they come, in a form that lets the caller look elsewhere meanwhile.

Ray Data's iterators block until a row is done; a thread waits for each graph, so events and Ctrl-C get through. A
caller who stops listening stops the graphs.
"""

import queue
import threading
from collections.abc import Iterator, Sequence

from ray.data import Dataset
from ray.data._internal.execution.streaming_executor import StreamingExecutor

from airshower.pipelines.dispatch.parcels import unpacked
from airshower.pipelines.manifest import ManifestEntry


def entries_of(graphs: Sequence[Dataset], poll_interval_s: float) -> Iterator[list[ManifestEntry]]:
    """All entries that are there, at least so often, none where there are none. Raises what an execution raises."""
    arrived: queue.SimpleQueue[list[ManifestEntry] | Exception | None] = queue.SimpleQueue()
    others = set(threading.enumerate())

    def pump(graph: Dataset) -> None:
        try:
            for batch in graph.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
                arrived.put(unpacked(batch))
            arrived.put(None)
        except Exception as error:  # noqa: BLE001 -- crosses to the caller's thread
            arrived.put(error)

    for graph in graphs:
        threading.Thread(target=pump, args=(graph,), name="entries", daemon=True).start()
    running = len(graphs)
    try:
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
    finally:
        # Ray Data hands out an iterator, and no way to stop what is behind it: a thread of its own.
        for thread in set(threading.enumerate()) - others:
            if isinstance(thread, StreamingExecutor):
                thread.shutdown(force=True)


def _available(arrived: "queue.SimpleQueue[list[ManifestEntry] | Exception | None]", wait_s: float) -> Iterator:
    try:
        yield arrived.get(timeout=wait_s)
        while True:
            yield arrived.get_nowait()
    except queue.Empty:
        return
