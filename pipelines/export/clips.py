"""A committed clip as datasets take it: the video of each camera, what is beside it, and what is known of it.

A row of several cameras that was kept as one video is cut into one for each of them, which are encoded again, at a
quality above that of the first time. Every file is compared with its commit.
"""

import hashlib
import io
import json
from dataclasses import dataclass
from itertools import islice
from pathlib import PurePosixPath
from typing import Any

import av
import numpy as np

from airshower.configs.camera_file import CameraFile
from airshower.configs.export_records import ExportSettings
from airshower.configs.records import Commit
from airshower.pipelines.camera_tracks import ALONE
from airshower.pipelines.export.offered import (
    CAMERAS,
    CONTROL,
    INPUT,
    MASK,
    RECORD,
    VIDEO,
    VIEW,
    Offered,
    exported_files,
)
from airshower.pipelines.ledger.ledger import Ledger
from airshower.pipelines.media import jpeg, write_video

_CUT_CRF = 10
_KEY_NAME_CHARACTERS = 60  # of 100 that a name in a tar archive may have
_KEY_DIGITS = 12


class ExportError(ValueError):
    """A run can't be exported as it was asked for; the message says what to do."""


@dataclass(frozen=True, kw_only=True)
class Media:
    """A video, or the image of a clip of one frame, as a file."""

    data: bytes
    ending: str  # mp4 or jpg
    height_px: int
    width_px: int


@dataclass(frozen=True, kw_only=True)
class Clip:
    """A clip in memory; `sample` is its name in a dataset, without dots and unlike that of any other clip."""

    key: str
    name: str
    sample: str
    caption: str
    record: dict[str, Any]  # as the run wrote it
    views: dict[str, Media]  # by camera
    beside: dict[str, Media]  # edge, ..., mask_edge, ..., input
    cameras: CameraFile | None

    @property
    def frames(self) -> int:
        """Frames of each view."""
        return int(self.record["frames"])

    @property
    def fps(self) -> float:
        """Frames per second."""
        return float(self.record["fps"])

    def described(self) -> dict[str, Any]:
        """What is known of the clip, for people and programs that read the dataset."""
        record = self.record
        first = next(iter(self.views.values()))
        return {
            "key": self.key,
            "name": self.name,
            "caption": self.caption,
            "negative_prompt": record["spec"].get("negative_prompt"),
            "seed": record["seed"],
            "frames": self.frames,
            "fps": self.fps,
            "height": first.height_px,
            "width": first.width_px,
            "views": list(self.views),
            "cameras": None if self.cameras is None else self.cameras.model_dump(mode="json")["cameras"],
            "model": record["model"],
            "annotators": record["annotators"],
            "spec": record["spec"],
            "frames_sha256": record["frames_sha256"],
            "versions": record["versions"],
        }


def load_clip(ledger: Ledger, clip: Offered, settings: ExportSettings, kinds: tuple[str, ...] | None) -> Clip:
    """Reads what is exported of a commit; raises ExportError for files that aren't as committed, or OSError."""
    key, name, commit = clip.key, clip.name, ledger.commit_of(clip.key, clip.edition)
    if commit is None:
        raise ExportError(f"{ledger.store.location}: clip {name} is no longer committed: export to another folder")
    files = {kind: _read(ledger, commit, path) for kind, path in exported_files(commit, settings, kinds).items()}
    record = json.loads(files[RECORD])
    return Clip(
        key=key,
        name=name,
        sample=f"{name.replace('.', '_')[:_KEY_NAME_CHARACTERS]}-{key[:_KEY_DIGITS]}",
        caption=record["prompt"],
        record=record,
        views=_views(commit, files, record),
        beside={
            kind.removeprefix(CONTROL): _media(data, commit.outputs[kind])
            for kind, data in files.items()
            if kind.startswith((CONTROL, MASK)) or kind == INPUT
        },
        cameras=CameraFile.model_validate_json(files[CAMERAS]) if CAMERAS in files else None,
    )


def _read(ledger: Ledger, commit: Commit, path: str) -> bytes:
    where = f"{commit.folder}/{path}"
    try:
        data = ledger.store.read(where)
    except FileNotFoundError:
        data = None
    if data is None or hashlib.sha256(data).hexdigest() != commit.files[path].sha256:
        state = "is missing" if data is None else "has other content than was committed"
        raise ExportError(
            f"{ledger.store.url(where)} {state}: clip {commit.name} can't be exported: bring the file back, make "
            "the clip again by its generate command with --verify, or leave it out by --select (airshower runs show "
            f"{ledger.store.location} --verify finds all such files)"
        )
    return data


def _views(commit: Commit, files: dict[str, bytes], record: dict[str, Any]) -> dict[str, Media]:
    if VIDEO not in files:
        views = {kind.removeprefix(VIEW): kind for kind in files if kind.startswith(VIEW)}
        return {camera: _media(files[kind], commit.outputs[kind]) for camera, kind in views.items()}
    if not record["cameras"]:
        return {ALONE: _media(files[VIDEO], commit.outputs[VIDEO])}
    if len(record["cameras"]) == 1:
        return {record["cameras"][0]: _media(files[VIDEO], commit.outputs[VIDEO])}
    return _cut(files[VIDEO], record["cameras"], int(record["frames"]), float(record["fps"]))


def _cut(data: bytes, cameras: list[str], frames: int, fps: float) -> dict[str, Media]:
    """The videos of cameras that stand one after the other in one, each of so many frames."""
    views = {}
    with av.open(io.BytesIO(data), "r") as container:
        decoded = (frame.to_ndarray(format="rgb24") for frame in container.decode(video=0))
        for camera in cameras:  # one at a time: raw frames of all of them are gigabytes
            views[camera] = _encoded(np.stack(list(islice(decoded, frames))), fps)
    return views


def _encoded(frames: np.ndarray, fps: float) -> Media:
    if len(frames) == 1:
        return _media(jpeg(frames[0]), "one.jpg")
    file = io.BytesIO()
    write_video(file, frames, fps, crf=_CUT_CRF)
    return _media(file.getvalue(), "one.mp4")


def _media(data: bytes, path: str) -> Media:
    with av.open(io.BytesIO(data)) as container:
        stream = container.streams.video[0]
        size = {"height_px": stream.height, "width_px": stream.width}
    return Media(data=data, ending=PurePosixPath(path).suffix.removeprefix("."), **size)
