"""The HTTP interface: post a row, follow it, download the video.

A FastAPI application over a job table and a runner; every refusal is one line of JSON, `{"error": ...}`, that names the
field, the rule and the remedy. It has no accounts: put it behind something that does before the world can reach it.
"""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from fastapi import FastAPI, Request, Response
from fastapi.responses import FileResponse, JSONResponse
from starlette.exceptions import HTTPException

import airshower
from airshower.configs.presets import ModelPreset
from airshower.platform.access import Access, AccessError
from airshower.platform.api_schema import DESCRIPTION, Health, Model, ModelList, VideoList, problems, request_body
from airshower.platform.job_runner import JobRunner, QueueFullError
from airshower.platform.jobs import JobTable, Video
from airshower.platform.requests import row_of
from airshower.platform.uploads import BodyError, BodyTooLargeError, form_spec, json_spec, with_files

RETRY_AFTER_S = 10
MEDIA_TYPES = {".mp4": "video/mp4", ".jpg": "image/jpeg", ".json": "application/json"}  # of results, by ending


class VideoApi:
    """The routes, over one job table and one runner."""

    def __init__(
        self,
        jobs: JobTable,
        runner: JobRunner,
        *,
        preset: ModelPreset,
        access: Access,
        upload_limit_bytes: int,
        ready_replicas: Callable[[], int],
    ) -> None:
        self._jobs = jobs
        self._runner = runner
        self._preset = preset
        self._access = access
        self._upload_limit_bytes = upload_limit_bytes
        self._ready_replicas = ready_replicas

    def app(self) -> FastAPI:
        """The application; its life is the runner's."""

        @asynccontextmanager
        async def life(_: FastAPI) -> AsyncIterator[None]:
            self._runner.resume()
            yield
            await self._runner.stop()

        app = FastAPI(title="Airshower", version=airshower.__version__, description=DESCRIPTION, lifespan=life)
        app.add_exception_handler(HTTPException, _refused)
        self._add_video_routes(app)
        app.add_api_route("/v1/models", self.models, response_model=ModelList, summary="Models that run here")
        app.add_api_route(
            "/healthz", self.health, response_model=Health, responses={503: {"model": Health}}, summary="Ready or not"
        )
        return app

    def _add_video_routes(self, app: FastAPI) -> None:
        app.add_api_route(
            "/v1/videos",
            self.post,
            methods=["POST"],
            status_code=202,
            response_model=Video,
            responses=problems(413, 415, 422, 429, 507),
            openapi_extra=request_body(self._preset),
            summary="Request a video",
        )
        app.add_api_route("/v1/videos", self.list, response_model=VideoList, summary="All videos, newest first")
        one = "/v1/videos/{video_id}"
        app.add_api_route(one, self.get, response_model=Video, responses=problems(404), summary="How far a video is")
        app.add_api_route(
            one,
            self.delete,
            methods=["DELETE"],
            status_code=204,
            responses=problems(404),
            summary="Stop a video and delete its files",
        )
        clip: dict[str, Any] = {"responses": _file("video/mp4", "image/jpeg"), "response_class": FileResponse}
        app.add_api_route(f"{one}/content", self.content, **clip, summary="The generated video, or image of one frame")
        app.add_api_route(f"{one}/controls/{{key}}", self.control, **clip, summary="A control as the model saw it")
        app.add_api_route(f"{one}/views/{{key}}", self.view, **clip, summary="One camera, or grid: all of them")
        app.add_api_route(f"{one}/masks/{{key}}", self.mask, **clip, summary="A control's mask as words found it")
        record: dict[str, Any] = {"responses": _file("application/json"), "response_class": FileResponse}
        app.add_api_route(f"{one}/record", self.record, **record, summary="Settings, model, timings and versions")

    async def post(self, request: Request) -> Video:
        """Takes a row as in the batch command; files come as form parts, named after controls or cameras."""
        video_id = uuid4().hex
        folder = self._jobs.folder(video_id)
        try:
            self._runner.check_room()
            spec = await self._read_spec(request, folder / "uploads")
            row = await asyncio.to_thread(row_of, spec, folder, self._preset)
            if row.error is not None:
                raise HTTPException(422, row.error.message)
            return self._runner.submit(video_id, row)
        except BaseException as error:
            # Whatever ends the request early, a client that hangs up included: nothing of it stays.
            shutil.rmtree(folder, ignore_errors=True)
            raise _as_refusal(error) from error

    async def _read_spec(self, request: Request, uploads: Path) -> dict[str, Any]:
        content_type = request.headers.get("content-type", "application/json")
        kind = content_type.split(";")[0].strip().lower()
        if kind == "application/json":
            spec = await json_spec(request.stream())
            self._access.check(spec)
            return spec
        if kind != "multipart/form-data":
            raise HTTPException(415, f"content type {kind!r}: send application/json or multipart/form-data")
        uploads.mkdir(parents=True)
        spec, files = await form_spec(request.stream(), content_type, uploads, self._upload_limit_bytes)
        self._access.check(spec)
        return with_files(spec, files)

    async def list(self) -> VideoList:
        return VideoList(videos=self._jobs.all()[::-1])

    async def get(self, video_id: str) -> Video:
        video = self._jobs.get(video_id)
        if video is None:
            raise HTTPException(404, f"video {video_id!r} is unknown here: GET /v1/videos lists all")
        return video

    async def delete(self, video_id: str) -> None:
        await self.get(video_id)
        await self._runner.cancel(video_id)
        self._jobs.remove(video_id)

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
        video = await self.get(video_id)
        if video.error is not None:
            raise HTTPException(422, f"the video failed in stage {video.error.stage}: {video.error.message}")
        if video.status != "done":
            raise HTTPException(409, f"the video is {video.status} ({video.progress:.0%}): ask again when it is done")
        if kind not in video.outputs:
            raise HTTPException(404, f"{kind} is no result of this video: it has {', '.join(video.outputs)}")
        path = self._jobs.folder(video_id) / video.outputs[kind]
        return FileResponse(
            path, media_type=MEDIA_TYPES[path.suffix], filename=path.name, content_disposition_type="inline"
        )

    async def models(self) -> ModelList:
        return ModelList(models=[Model.of(self._preset)])

    async def health(self, response: Response) -> Health:
        replicas = await asyncio.to_thread(self._ready_replicas)
        response.status_code = 200 if replicas else 503
        return Health(ready=replicas > 0, replicas=replicas, unfinished=len(self._jobs.unfinished()))


def _as_refusal(error: BaseException) -> BaseException:
    if isinstance(error, QueueFullError):
        return HTTPException(429, str(error), headers={"Retry-After": str(RETRY_AFTER_S)})
    if isinstance(error, AccessError):
        return HTTPException(422, str(error))
    if isinstance(error, BodyTooLargeError):
        return HTTPException(413, str(error))
    if isinstance(error, BodyError):
        return HTTPException(422, str(error))
    if isinstance(error, OSError):
        return HTTPException(
            507, f"the server can't store the request ({error.strerror}): free space in its work folder"
        )
    return error


async def _refused(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # what it is registered for
    return JSONResponse({"error": error.detail}, error.status_code, headers=error.headers)


def _file(*media_types: str) -> dict[int | str, dict[str, Any]]:
    return {200: {"content": {media_type: {} for media_type in media_types}}, **problems(404, 409, 422)}
