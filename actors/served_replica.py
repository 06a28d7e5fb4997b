"""The batch replica behind a Serve deployment: the same model class, with progress, health and cancelling around it.

One generation at a time, in one thread that also loads the model, so the event loop stays free for health checks. A row
that fails comes back as a row with its error; only a broken process raises. It knows nothing of HTTP.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Event

from airshower.actors.annotator import Annotator
from airshower.actors.device_fault import is_device_fault
from airshower.actors.replica import Replica
from airshower.actors.row_texts import row_texts
from airshower.actors.text_encoder import TextEncoder
from airshower.cluster.packing import pack_frames, unpack_frames
from airshower.configs.gang_layout import GangLayout
from airshower.configs.messages import Row
from airshower.configs.model_source import ModelSource

# What `airshower.pipelines.annotate.annotate_row` does, until the last argument says to stop; pipelines are above this
# folder.
Annotate = Callable[[Row, Annotator, Callable[[], bool]], Row]


class StoppedError(Exception):
    """The caller of a generation went away."""


class ServedReplica:
    """One loaded model, its text encoder and the annotators, serving one row at a time."""

    def __init__(
        self,
        source: ModelSource,
        annotate: Annotate,
        device: str,
        layout: GangLayout,
        stall_timeout_s: float,
    ) -> None:
        """Loads what every row needs, raises what that raises; unhealthy after `stall_timeout_s` without progress.

        The networks of the annotators wait for the first row that needs them. With a layout of several ranks the
        process ends when one of them does, which Serve's health check notices.
        """
        self._stall_timeout_s = stall_timeout_s
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="model")
        self._text = self._thread.submit(TextEncoder, source, source.preset.text_device(device)).result()
        self._replica = self._thread.submit(Replica, source, device, layout=layout).result()
        self._annotator = self._thread.submit(Annotator, source.annotator_folder, device).result()
        self._annotate = annotate
        self._busy_since_s: float | None = None  # last sign of life of the generation that runs now

    async def generate(self, row: Row) -> AsyncIterator[float | Row]:
        """Yields the fraction done, 0..1, as it grows, then the row with `generated` or `error` set.

        `prepared` comes back only where the annotators added to it.
        """
        loop = asyncio.get_running_loop()
        signs: asyncio.Queue[float | Row] = asyncio.Queue()
        gone = Event()

        def report(fraction: float) -> None:
            if gone.is_set():
                raise StoppedError
            self._busy_since_s = time.monotonic()
            loop.call_soon_threadsafe(signs.put_nowait, fraction)

        work = loop.run_in_executor(self._thread, self._work, row, report, gone.is_set)
        work.add_done_callback(lambda done: None if done.cancelled() else signs.put_nowait(done.result()))
        try:
            sign: float | Row = 0.0
            while not isinstance(sign, Row):
                sign = await signs.get()
                yield sign
        finally:
            gone.set()  # the thread ends at its next progress report; the next row waits for it

    def _work(self, row: Row, report: Callable[[float], None], stopped: Callable[[], bool]) -> Row:
        """Annotates, encodes the prompts and generates; runs in the model's thread."""
        stage, started_s = "annotate", time.monotonic()
        seconds = dict(row.seconds)
        added = None  # by the annotators, to what the row was prepared with
        try:
            report(0.0)
            if row.spec is not None and row.spec.needs_annotator:
                row = self._annotate(row, self._annotator, stopped)
                added = row.prepared
                seconds["annotate"] = time.monotonic() - started_s
                report(0.0)
            stage, started_s = "text", time.monotonic()
            if row.spec is None or row.prepared is None:
                raise ValueError(f"{row.name}: only a prepared row can be generated")
            text, negative_text = row_texts(row.spec, row.prompt, self._text.encode)
            seconds["text"] = time.monotonic() - started_s
            stage, started_s = "generate", time.monotonic()
            generated = self._replica.generate(row.spec, row.prepared, text, negative_text, on_progress=report)
            seconds["generate"] = time.monotonic() - started_s
            frames = pack_frames(unpack_frames(generated.frames))  # they are written elsewhere
            generated = replace(generated, frames=frames)
        except Exception as error:  # noqa: BLE001 - an error is data; the caller reports it as this row's failure
            if is_device_fault(error):
                os._exit(1)  # Serve starts another replica and the caller tries the row again
            return row.failed(stage, error)
        finally:
            self._busy_since_s = None
        return replace(row, prepared=added, generated=generated, seconds=seconds)

    def check_health(self) -> None:
        """Serve calls this; raises RuntimeError when a generation stands still, and Serve replaces the replica."""
        since_s = self._busy_since_s
        if since_s is not None and time.monotonic() - since_s > self._stall_timeout_s:
            raise RuntimeError(f"no progress for {self._stall_timeout_s:.0f} s: the replica hangs")
