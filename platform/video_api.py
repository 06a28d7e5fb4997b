"""The HTTP interface: post a row, follow it, download the video.

A FastAPI application over a job table and, once it is open, a runner; every refusal is one line of JSON,
`{"error": ...}`, that names the field, the rule and the remedy. It has no accounts: put it behind something that does
before the world can reach it.
"""

import asyncio
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

from fastapi import Depends, FastAPI, Request, Response
from fastapi.responses import FileResponse, HTMLResponse
from starlette.exceptions import HTTPException

import airshower
from airshower.configs.presets import ModelPreset
from airshower.platform.access import Access
from airshower.platform.api_docs.page import docs_page
from airshower.platform.api_schema import (
    DESCRIPTION,
    Health,
    Model,
    ModelList,
    Phase,
    VideoList,
    files,
    problems,
    request_body,
)
from airshower.platform.job_runner import JobRunner
from airshower.platform.jobs import JobTable, Video
from airshower.platform.refusals import add_refusals, as_refusal, not_open
from airshower.platform.requests import row_of
from airshower.platform.uploads import (
    PLAIN_CODINGS,
    BodyTooLargeError,
    form_spec,
    in_thread,
    json_spec,
    with_files,
)

MEDIA_TYPES = {".mp4": "video/mp4", ".jpg": "image/jpeg", ".json": "application/json"}  # of results, by ending


class VideoApi:
    """The routes, over one job table; those of videos answer 503 before `open` and from `close` on."""

    def __init__(self, jobs: JobTable, *, preset: ModelPreset, access: Access, upload_limit_bytes: int) -> None:
        self._jobs = jobs
        self._preset = preset
        self._access = access
        self._upload_limit_bytes = upload_limit_bytes
        self._phase: Phase = "starting"
        self._open_runner: JobRunner | None = None
        self._ready_replicas: Callable[[], int] = lambda: 0
        self._posts: set[asyncio.Task[Any]] = set()

    async def open(self, runner: JobRunner, ready_replicas: Callable[[], int]) -> None:
        """From now on videos are taken, and those that an earlier service left go on."""
        runner.resume()
        self._open_runner, self._ready_replicas, self._phase = runner, ready_replicas, "ready"

    async def close(self) -> None:
        """Ends uploads and videos, which leave no task; unfinished videos wait on disk for the next start."""
        self._phase = "stopping"
        for post in self._posts:
            post.cancel()
        await asyncio.gather(*self._posts, return_exceptions=True)
        if self._open_runner is not None:
            await self._open_runner.stop()

    def app(self) -> FastAPI:
        """The application."""
        app = FastAPI(
            title="Airshower",
            version=airshower.__version__,
            description=DESCRIPTION,
            docs_url=None,  # that page loads scripts from elsewhere
            redoc_url=None,
        )
        add_refusals(app)
        self._add_video_routes(app)
        app.add_api_route("/v1/models", self.models, response_model=ModelList, summary="Models that run here")
        app.add_api_route(
            "/healthz", self.health, response_model=Health, responses={503: {"model": Health}}, summary="Ready or not"
        )
        for path, handler in (("/v1/models", self.models), ("/healthz", self.health)):
            _add_head(app, path, handler)
        page = docs_page(app.openapi())

        def docs(request: Request) -> HTMLResponse:
            return HTMLResponse(page(address=request.url.netloc))

        app.add_api_route("/docs", docs, methods=["GET", "HEAD"], include_in_schema=False)
        return app

    def _add_video_routes(self, app: FastAPI) -> None:
        def add(path: str, handler: Callable[..., Any], summary: str, *statuses: int, **how: Any) -> None:  # noqa: ANN401
            responses = problems(*statuses, 503) | how.pop("responses", {})
            open_only = [Depends(self._require_open)]
            app.add_api_route(path, handler, summary=summary, dependencies=open_only, responses=responses, **how)
            if "methods" not in how:
                _add_head(app, path, handler, open_only)

        posting: dict[str, Any] = {"methods": ["POST"], "status_code": 202, "response_model": Video}
        posting["openapi_extra"] = request_body(self._preset)
        add("/v1/videos", self.post, "Request a video", 408, 413, 415, 422, 429, 507, **posting)
        add("/v1/videos", self.list, "All videos, newest first", response_model=VideoList)
        one = "/v1/videos/{video_id}"
        add(one, self.get, "How far a video is", 404, 422, response_model=Video)
        deleting: dict[str, Any] = {"methods": ["DELETE"], "status_code": 204}
        add(one, self.delete, "Stop a video and delete its files", 404, 422, 507, **deleting)
        clip: dict[str, Any] = {"responses": files("video/mp4", "image/jpeg"), "response_class": FileResponse}
        add(f"{one}/content", self.content, "The generated video, or image of one frame", 404, 409, 422, **clip)
        add(f"{one}/controls/{{key}}", self.control, "A control as the model saw it", 404, 409, 422, **clip)
        add(f"{one}/views/{{key}}", self.view, "One camera, or grid: all of them", 404, 409, 422, **clip)
        add(f"{one}/masks/{{key}}", self.mask, "A control's mask as words found it", 404, 409, 422, **clip)
        record: dict[str, Any] = {"responses": files("application/json"), "response_class": FileResponse}
        add(f"{one}/record", self.record, "Settings, model, timings and versions", 404, 409, 422, **record)

    async def _require_open(self) -> None:
        if self._phase != "ready":
            raise not_open(self._phase)

    @property
    def _runner(self) -> JobRunner:
        if self._open_runner is None:
            raise not_open(self._phase)
        return self._open_runner

    async def post(self, request: Request) -> Video:
        """Takes a row as in the batch command; files come as form parts, named after controls or cameras."""
        video_id = uuid4().hex
        task = asyncio.current_task()
        assert task is not None  # the server runs each request in one
        self._posts.add(task)
        try:
            with self._runner.place():
                return await self._posted(request, video_id)
        except BaseException as error:
            # Whatever ends the request early, a client that hangs up included: nothing of it stays.
            shutil.rmtree(self._jobs.folder(video_id), ignore_errors=True)
            if isinstance(error, asyncio.CancelledError) and self._phase == "stopping":
                task.uncancel()
                raise not_open(self._phase) from error
            raise as_refusal(error) from error
        finally:
            self._posts.discard(task)

    async def _posted(self, request: Request, video_id: str) -> Video:
        spec = await self._read_spec(request, self._jobs.uploads(video_id))
        row = await in_thread(row_of, spec, self._jobs.folder(video_id), self._preset)
        if row.error is not None:
            raise HTTPException(422, self._jobs.as_clients_name(video_id, row.error.message))
        return self._as_told(self._runner.submit(video_id, row))

    async def _read_spec(self, request: Request, uploads: Path) -> dict[str, Any]:
        coding = request.headers.get("content-encoding", "").strip().lower()
        if coding not in PLAIN_CODINGS:
            raise HTTPException(415, f"content encoding {coding!a:.60}: send the body as it is")
        announced = request.headers.get("content-length", "")
        if announced.isascii() and announced.isdigit() and int(announced) > self._upload_limit_bytes:
            raise BodyTooLargeError(f"the request is larger than {self._upload_limit_bytes} bytes: send less")
        content_type = request.headers.get("content-type", "application/json")
        kind = content_type.split(";")[0].strip().lower()
        if kind == "application/json":
            spec = await json_spec(request.stream())
            self._access.check(spec)
            return spec
        if kind != "multipart/form-data":
            raise HTTPException(415, f"content type {kind!a:.60}: send application/json or multipart/form-data")
        uploads.mkdir(parents=True)
        spec, uploaded = await form_spec(request.stream(), content_type, uploads, self._upload_limit_bytes)
        self._access.check(spec)
        return with_files(spec, uploaded)

    async def list(self) -> VideoList:
        return VideoList(videos=[self._as_told(video) for video in self._jobs.all()[::-1]])

    async def get(self, video_id: str) -> Video:
        return self._as_told(self._known(video_id))

    def _as_told(self, video: Video) -> Video:
        """With names of uploads in place of where this machine keeps them."""
        spec = video.spec
        for name, path in spec.files().items():
            spec = spec.with_file(name, self._jobs.as_clients_name(video.id, path))
        return video.model_copy(update={"spec": spec})

    def _known(self, video_id: str) -> Video:
        video = self._jobs.get(video_id)
        if video is None:
            raise HTTPException(404, f"video {video_id!a:.60} is unknown here: GET /v1/videos lists all")
        return video

    async def delete(self, video_id: str) -> None:
        self._known(video_id)
        await self._runner.cancel(video_id)
        try:
            self._jobs.remove(video_id)
        except OSError as error:
            raise HTTPException(507, f"the video is stopped; its files stay ({error.strerror}): remove them") from error

    async def content(self, video_id: str) -> FileResponse:
        return await self._output(video_id, "video")

    async def control(self, video_id: str, key: str) -> FileResponse:
        return await self._output(video_id, f"control_{key}")

    async def view(self, video_id: str, key: str) -> FileResponse:
        return await self._output(video_id, key if key == "grid" else f"view_{key}")

    async def mask(self, video_id: str, key: str) -> FileResponse:
        return await self._output(video_id, f"mask_{key}")

    async def record(self, video_id: str) -> FileResponse:
        return await self._output(video_id, "record")

    async def _output(self, video_id: str, kind: str) -> FileResponse:
        video = self._known(video_id)
        if video.error is not None:
            raise HTTPException(422, f"the video failed in stage {video.error.stage}: {video.error.message}")
        if video.status != "done":
            raise HTTPException(409, f"the video is {video.status} ({video.progress:.0%}): ask again when it is done")
        if kind not in video.outputs:
            raise HTTPException(404, f"{kind!a:.60} is no result of this video: it has {', '.join(video.outputs)}")
        path = self._jobs.folder(video_id) / video.outputs[kind]
        try:
            status = os.stat(path)
        except OSError as error:
            raise HTTPException(404, f"{path.name} is gone from the work folder: make the video again") from error
        return FileResponse(
            path,
            stat_result=status,
            media_type=MEDIA_TYPES[path.suffix],
            filename=path.name,
            content_disposition_type="inline",
            headers={"X-Content-Type-Options": "nosniff"},
        )

    async def models(self) -> ModelList:
        return ModelList(models=[Model.of(self._preset)])

    async def health(self, response: Response) -> Health:
        replicas = await asyncio.to_thread(self._ready_replicas) if self._phase == "ready" else 0
        phase: Phase = "starting" if self._phase == "ready" and not replicas else self._phase
        response.status_code = 200 if phase == "ready" else 503
        unfinished = len(self._jobs.unfinished())
        return Health(status=phase, ready=phase == "ready", replicas=replicas, unfinished=unfinished)


def _add_head(app: FastAPI, path: str, handler: Callable[..., Any], dependencies: Sequence[Any] = ()) -> None:
    """Answers HEAD as GET, without the body: uptime checks and download tools ask so first."""
    app.add_api_route(path, handler, methods=["HEAD"], dependencies=dependencies, include_in_schema=False)
