"""The service's videos: what each is, how far it is, and a record of it on disk.

One folder per video holds its record (`job.json`), its uploads and its results, so a service started again on the same
work directory knows all of them. Meant for one writer, the service (`airshower.platform.work_folder`). Progress alone
is not written to disk.
"""

import logging
import os
import re
import shutil
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, computed_field

from airshower.configs.row_formats import AnySpec

logger = logging.getLogger(__name__)

_ID = re.compile("[0-9a-f]{32}")  # that the service makes
_RECORD = "job.json"

Status = Literal["queued", "running", "done", "failed"]


class VideoError(BaseModel):
    """Why a video failed."""

    stage: str = Field(description="Stage it failed in: prepare, annotate, text, generate or write")
    type: str = Field(description="Kind of error")
    message: str = Field(description="One line: what is wrong, the rule, the remedy")


class Video(BaseModel):
    """One requested video."""

    model_config = ConfigDict(frozen=True)

    id: str = Field(description="Made by the server")
    status: Status = "queued"
    stage: str | None = Field(default=None, description="Stage it is in: prepare, generate or write")
    progress: float = Field(default=0.0, ge=0, le=1, description="0..1, 1 only when done")
    error: VideoError | None = Field(default=None, description="Set when failed")
    created_at: datetime = Field(default_factory=lambda: datetime.now(UTC))
    started_at: datetime | None = None
    finished_at: datetime | None = None
    seconds: dict[str, float] = Field(default_factory=dict, description="Time spent, in seconds, by stage")
    frames_sha256: str | None = Field(default=None, description="Of the generated frames (uint8 RGB) before encoding")
    prompt: str = ""
    spec: AnySpec = Field(description="The row with every default filled in")
    outputs: dict[str, str] = Field(default_factory=dict, description="Result files by kind, once done")

    @computed_field  # type: ignore[prop-decorator]
    @property
    def links(self) -> dict[str, str]:
        """Where to look next: self, and once done content, record and each control_KEY, mask_KEY and view_KEY."""
        own = f"/v1/videos/{self.id}"
        links = {"self": own}
        for kind in self.outputs:
            if kind == "video":
                links["content"] = f"{own}/content"
            elif kind.startswith("control_"):
                links[kind] = f"{own}/controls/{kind.removeprefix('control_')}"
            elif kind.startswith("mask_"):
                links[kind] = f"{own}/masks/{kind.removeprefix('mask_')}"
            elif kind == "grid" or kind.startswith("view_"):
                links[kind] = f"{own}/views/{kind.removeprefix('view_')}"
            elif kind == "record":
                links["record"] = f"{own}/record"
        return links

    @property
    def finished(self) -> bool:
        return self.status in ("done", "failed")


class JobTable:
    """All videos of one work directory, newest last."""

    def __init__(self, work_dir: Path) -> None:
        """Reads the records that are there, and removes uploads that never became a video.

        Raises OSError when the folder can't be made or read.
        """
        self._folder = work_dir / "videos"
        self._folder.mkdir(parents=True, exist_ok=True)
        for left in self._folder.iterdir():  # by a service that was killed meanwhile
            if _ID.fullmatch(left.name) and not (left / _RECORD).exists():
                shutil.rmtree(left, ignore_errors=True)
        records = [video for path in self._folder.glob(f"*/{_RECORD}") if (video := _read(path)) is not None]
        self._videos = {video.id: video for video in sorted(records, key=lambda video: video.created_at)}

    def folder(self, video_id: str) -> Path:
        """The folder of one video."""
        return self._folder / video_id

    def uploads(self, video_id: str) -> Path:
        """The folder of what was uploaded for one video."""
        return self.folder(video_id) / "uploads"

    def as_clients_name(self, video_id: str, text: str) -> str:
        """A text about a video's files, in which uploads have the names that clients know."""
        return text.replace(f"{self.uploads(video_id)}/", "")

    def get(self, video_id: str) -> Video | None:
        return self._videos.get(video_id)

    def all(self) -> list[Video]:
        """Every video, oldest first."""
        return list(self._videos.values())

    def unfinished(self) -> list[Video]:
        return [video for video in self._videos.values() if not video.finished]

    def add(self, video: Video) -> Video:
        """Raises OSError where its record can't be written."""
        self._write(video)
        self._videos[video.id] = video
        return video

    def update(self, video_id: str, **changes: Any) -> Video:  # noqa: ANN401 - fields of Video
        """Changes a video and, unless only its progress changed, its record, as far as that can be written."""
        video = self._videos[video_id].model_copy(update=changes)
        self._videos[video_id] = video
        if set(changes) != {"progress"}:
            try:
                self._write(video)
            except OSError as error:
                logger.warning("the record of video %s is out of date: %s", video_id, error)
        return video

    def remove(self, video_id: str) -> None:
        """Forgets a video and deletes its folder; one that is not there is as good as removed. Raises OSError."""
        self._videos.pop(video_id, None)
        with suppress(FileNotFoundError):
            shutil.rmtree(self.folder(video_id))

    def _write(self, video: Video) -> None:
        record = self.folder(video.id) / _RECORD
        record.parent.mkdir(exist_ok=True)
        draft = record.with_suffix(".draft")
        draft.write_text(video.model_dump_json(indent=1))
        os.replace(draft, record)  # a reader, or a service started after a crash, sees a whole record or none


def _read(record: Path) -> Video | None:
    """The video of a record, or None, with a warning, for one this version can't read: the others must be served."""
    try:
        return Video.model_validate_json(record.read_bytes())
    except ValidationError as error:
        logger.warning("%s can't be read and is left alone: delete its folder or fix it (%s)", record, error)
        return None
