"""Takes each video of the service through its stages: prepare and write as Ray tasks, generate on a served replica.

The heavy payloads stay in Ray's object store; only a row's outcome and the generated clip pass through here. A replica
that dies costs the video one of its attempts. It assumes one runner per job table, on one event loop.
"""

import asyncio
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast

import ray
from ray.exceptions import RayActorError, RayTaskError
from ray.serve.handle import DeploymentHandle, DeploymentResponseGenerator

from airshower.configs.messages import Row, RowError
from airshower.pipelines.row_errors import one_line
from airshower.pipelines.sandbox.rows import SandboxedReading
from airshower.platform.jobs import JobTable, Video, VideoError
from airshower.platform.row_tasks import prepare_row, write_row

ATTEMPTS = 3  # a row that takes three replicas down with it is not tried on a fourth
CANCEL_TIMEOUT_S = 10.0

logger = logging.getLogger(__name__)


class QueueFullError(RuntimeError):
    """As many videos wait as the service takes."""


class JobRunner:
    """Runs queued videos, `in_flight` of them at a time, and keeps the job table up to date."""

    def __init__(
        self,
        jobs: JobTable,
        generator: DeploymentHandle,
        reading: SandboxedReading,
        *,
        in_flight: int,
        max_queued: int,
    ) -> None:
        self._jobs = jobs
        self._generator = generator.options(stream=True)
        self._reading = reading
        self._slots = asyncio.Semaphore(in_flight)
        self._max_queued = max_queued
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._coming = 0

    def resume(self) -> None:
        """Queues again what an earlier service left unfinished."""
        for video in self._jobs.unfinished():
            row = Row(index=0, name=video.spec.name, source=video.id, spec=video.spec, prompt=video.prompt)
            self._jobs.update(video.id, status="queued", stage=None, progress=0.0, started_at=None)
            self._start(video.id, row)

    @contextmanager
    def place(self) -> Iterator[None]:
        """Holds a place in the queue for a video whose files are still coming; raises QueueFullError."""
        taken = len(self._tasks) + self._coming
        if taken >= self._max_queued:
            raise QueueFullError(f"{taken} videos are queued or running, the most this service takes: wait")
        self._coming += 1
        try:
            yield
        finally:
            self._coming -= 1

    def submit(self, video_id: str, row: Row) -> Video:
        """Queues a validated row, for which a place is held; raises OSError where it can't be recorded."""
        if row.spec is None:
            raise ValueError(f"{row.name}: only a validated row can be queued")
        video = self._jobs.add(Video(id=video_id, spec=row.spec, prompt=row.prompt))
        self._start(video_id, row)
        return video

    async def cancel(self, video_id: str) -> None:
        """Stops a video's work, wherever it is; returns when nothing of it can write files any more."""
        task = self._tasks.get(video_id)
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def stop(self) -> None:
        """Stops everything; unfinished videos stay queued on disk for the next start."""
        await asyncio.gather(*(self.cancel(video_id) for video_id in list(self._tasks)))

    def _start(self, video_id: str, row: Row) -> None:
        task = asyncio.create_task(self._run(video_id, row))
        self._tasks[video_id] = task
        task.add_done_callback(lambda _: self._tasks.pop(video_id, None))

    async def _run(self, video_id: str, row: Row) -> None:
        async with self._slots:
            try:
                self._jobs.update(video_id, status="running", stage="prepare", started_at=datetime.now(UTC))
                row = await self._stages(video_id, row)
                result = self._done(video_id, row) if row.error is None else {}
            except Exception as fault:  # whatever went wrong, the video must end as failed
                logger.exception("video %s failed outside its stages", video_id)
                row = row.failed("service", fault.cause if isinstance(fault, RayTaskError) else fault)
            if row.error is not None:
                result = {"status": "failed", "error": self._told(video_id, row.error), "seconds": row.seconds}
            self._jobs.update(video_id, finished_at=datetime.now(UTC), stage=None, **result)

    async def _stages(self, video_id: str, row: Row) -> Row:
        outcome_ref, prepared_ref = cast(  # two returns
            "list[ray.ObjectRef[Row]]", prepare_row.remote(row, self._reading)
        )
        outcome = await _outcome(outcome_ref)
        if outcome.error is None:
            self._jobs.update(video_id, stage="generate", seconds=outcome.seconds)
            outcome = await self._generate(video_id, outcome, prepared_ref)
        if outcome.error is None:
            self._jobs.update(video_id, stage="write", seconds=outcome.seconds)
            outcome = await _outcome(write_row.remote(prepared_ref, outcome, str(self._jobs.folder(video_id))))
        return outcome

    async def _generate(self, video_id: str, row: Row, prepared_ref: "ray.ObjectRef[Row]") -> Row:
        for attempt in range(1, ATTEMPTS + 1):
            stream = cast(DeploymentResponseGenerator, self._generator.generate.remote(prepared_ref))
            try:
                async for sign in stream:
                    if isinstance(sign, Row):
                        return sign
                    # Not 1 yet: the video is still to be written.
                    self._jobs.update(video_id, progress=min(0.99, sign))
            except RayActorError as error:
                logger.warning("video %s: replica lost in attempt %d: %s", video_id, attempt, error)
            except asyncio.CancelledError:
                stream.cancel()
                raise
        lost = RowError(
            stage="generate",
            type="ReplicaLost",
            message=f"{ATTEMPTS} replicas died while generating this row: ask for fewer frames or a smaller resolution",
        )
        return replace(row, error=lost)

    def _told(self, video_id: str, error: RowError) -> VideoError:
        """The error as the client hears it, who knows uploads by the names of their parts."""
        message = one_line(self._jobs.as_clients_name(video_id, error.message))
        return VideoError(stage=error.stage, type=error.type, message=message)

    def _done(self, video_id: str, row: Row) -> dict[str, Any]:
        record = json.loads((self._jobs.folder(video_id) / row.outputs["record"]).read_text(encoding="utf-8"))
        return {
            "status": "done",
            "progress": 1.0,
            "outputs": row.outputs,
            "frames_sha256": record["frames_sha256"],
            "seconds": record["seconds"] | row.seconds,
        }


async def _outcome(ref: "ray.ObjectRef[Row]") -> Row:
    """The row that a task returns; when the caller is cancelled, so is the task, and its end is waited for."""
    try:
        return await ref
    except asyncio.CancelledError:
        await _cancelled(ref)
        raise


async def _cancelled(ref: "ray.ObjectRef[Row]") -> None:
    """Ends a task, which might else still write into a folder that is being deleted; with its process if need be."""
    end = asyncio.gather(ref, return_exceptions=True)
    for force in (False, True):
        ray.cancel(ref, force=force)
        if (await asyncio.wait([end], timeout=CANCEL_TIMEOUT_S))[0]:
            return
    logger.error("a task can't be cancelled: %s", ref)
