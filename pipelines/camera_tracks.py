"""A row's cameras from its `camera_path`: read, checked against the clip, and cut to it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import ValidationError

from airshower.cluster import storage
from airshower.configs.camera_file import CameraFile, CameraTrack
from airshower.configs.sizes import Size
from airshower.pipelines.media import RATE_TOLERANCE

ALONE = "camera"  # the name of a row's only camera
_POSE_TOLERANCE = 1e-3
_ASPECT_TOLERANCE = 0.01


@dataclass(frozen=True, kw_only=True)
class FilmedClip:
    """What a clip says of the cameras that filmed it; `size` is that of its first file, before it is resized."""

    cameras: Sequence[str] | None  # None: one, whatever its name
    frames: int
    fps: float
    size: Size


def read_camera_tracks(path: str | None, clip: FilmedClip) -> dict[str, CameraTrack]:
    """The clip's cameras, one matrix per frame; none without a file.

    Files may be longer than the clip and may run at a whole multiple of its rate. Raises ValueError, or OSError for a
    file that can't be read, with one line that names the field and the file.
    """
    if path is None:
        return {}
    where = f"camera_path: {path}"
    file = _parsed(path, where)
    tracks = _of_clip(file.cameras, clip.cameras, where)
    every = _every(file.fps, clip, where)
    return {
        name: _cut(track, every, clip, where if clip.cameras is None else f"{where}: {name}")
        for name, track in tracks.items()
    }


def _parsed(path: str, where: str) -> CameraFile:
    try:
        data = storage.read_bytes(path)
    except OSError as error:
        raise type(error)(f"camera_path: {error}") from None
    try:
        return CameraFile.model_validate_json(data)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise ValueError(f"{where}: {place}: {first['msg']}: write it as docs/export.md says") from None


def _of_clip(tracks: dict[str, CameraTrack], cameras: Sequence[str] | None, where: str) -> dict[str, CameraTrack]:
    if cameras is None:
        if len(tracks) > 1:
            raise ValueError(f"{where} has the cameras {', '.join(tracks)}: a row of one camera needs a file of one")
        return {ALONE: next(iter(tracks.values()))}
    missing = [name for name in cameras if name not in tracks]
    if missing:
        raise ValueError(f"{where} has no camera {missing[0]}, only {', '.join(tracks)}: add it, or fix its name")
    return {name: tracks[name] for name in cameras}


def _every(fps: float, clip: FilmedClip, where: str) -> int:
    """Every how many matrices of the file belong to frames."""
    if clip.frames == 1:  # the rate of a single frame means nothing
        return 1
    every = round(fps / clip.fps)
    if every < 1 or abs(fps - every * clip.fps) > RATE_TOLERANCE * fps:
        raise ValueError(f"{where} runs at {fps:g} fps and the clip at {clip.fps:g}: give one matrix per frame")
    return every


def _cut(track: CameraTrack, every: int, clip: FilmedClip, where: str) -> CameraTrack:
    matrices = track.camera_to_world[::every][: clip.frames]
    if len(matrices) < clip.frames:
        raise ValueError(f"{where} has {len(matrices)} matrices and the clip {clip.frames} frames: give one for each")
    filmed, given = clip.size.width / clip.size.height, track.width_px / track.height_px
    if abs(filmed / given - 1) > _ASPECT_TOLERANCE:
        raise ValueError(
            f"{where} is for pictures of {track.width_px}x{track.height_px}, and the clip's input has "
            f"{clip.size}, which no resizing makes of them: give the intrinsics of the input"
        )
    bad = _no_pose(np.array(matrices))
    if bad is not None:
        raise ValueError(f"{where}: matrix {bad} is no pose: its axes must be at right angles, its last row 0 0 0 1")
    return track.model_copy(update={"camera_to_world": matrices})


def _no_pose(matrices_F44: np.ndarray) -> int | None:
    """The first matrix that isn't a right-handed rotation and a place."""
    axes = matrices_F44[:, :3, :3]
    uneven = np.abs(axes.transpose(0, 2, 1) @ axes - np.eye(3)).max(axis=(1, 2)) > _POSE_TOLERANCE
    wrong = uneven | (np.linalg.det(axes) < 0) | (matrices_F44[:, 3] != (0, 0, 0, 1)).any(axis=1)
    return int(np.argmax(wrong)) if wrong.any() else None
