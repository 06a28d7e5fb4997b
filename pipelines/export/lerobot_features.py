"""The features of a clip in LeRobot's words: which columns and videos it has, their shapes and values."""

from typing import Any

import numpy as np
import pyarrow as pa

from airshower.pipelines.export.clips import Clip, ExportError, Media

_INTRINSICS = ["fx", "fy", "cx", "cy"]
_POSE = [f"{row}{column}" for row in "xyzw" for column in "xyzt"]  # row by row: x, y, z of each axis, and the place
_INDICES = ("frame_index", "episode_index", "index", "task_index")


def pictures(clip: Clip) -> dict[str, Media]:
    """The clip's videos by feature: its cameras, controls and input."""
    return {f"observation.images.{name}": media for name, media in {**clip.views, **clip.beside}.items()}


def features_of(clip: Clip) -> dict[str, dict[str, Any]]:
    """All features, as `meta/info.json` has them."""
    features = {name: _picture_feature(media, clip.fps) for name, media in pictures(clip).items()}
    for name in () if clip.cameras is None else clip.cameras.cameras:
        features[f"observation.camera_to_world.{name}"] = {"dtype": "float64", "shape": [16], "names": _POSE}
        features[f"observation.intrinsics_px.{name}"] = {"dtype": "float64", "shape": [4], "names": _INTRINSICS}
    features["timestamp"] = {"dtype": "float32", "shape": [1], "names": None}
    return features | {name: {"dtype": "int64", "shape": [1], "names": None} for name in _INDICES}


def frame_values(clip: Clip, *, episode: int, begins: int, task: int) -> dict[str, np.ndarray]:
    """The values of all features but videos, by name: (frames, numbers)."""
    frames = np.arange(clip.frames)
    values: dict[str, np.ndarray] = {}
    for name, track in {} if clip.cameras is None else clip.cameras.cameras.items():
        own = track.intrinsics_px
        values[f"observation.camera_to_world.{name}"] = np.array(track.camera_to_world).reshape(clip.frames, 16)
        values[f"observation.intrinsics_px.{name}"] = np.tile((own.fx, own.fy, own.cx, own.cy), (clip.frames, 1))
    values["timestamp"] = (frames / clip.fps).astype(np.float32)[:, None]
    indices = (frames, np.full_like(frames, episode), begins + frames, np.full_like(frames, task))
    return values | {name: index[:, None] for name, index in zip(_INDICES, indices, strict=True)}


def table_of(values: dict[str, np.ndarray], features: dict[str, dict[str, Any]]) -> pa.Table:
    """The values as columns; those of several numbers are lists of fixed length."""
    columns = {}
    for name, value in values.items():
        kind = pa.from_numpy_dtype(features[name]["dtype"])
        flat = pa.array(value.reshape(-1), kind)
        width = features[name]["shape"][0]
        columns[name] = flat if width == 1 else pa.FixedSizeListArray.from_arrays(flat, width)
    return pa.table(columns)


def refuse_what_differs(clip: Clip, about: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Raises ExportError for a clip that the dataset can't hold beside its first one."""
    remedy = "leave it out by --select, or export to webdataset or parquet, which take both"
    if about["fps"] != wanted["fps"]:
        raise ExportError(f"clip {clip.name} runs at {about['fps']} fps, the first one at {wanted['fps']}: {remedy}")
    own, first = about["features"], wanted["features"]
    for name in [*first, *own]:
        if name not in own or name not in first:
            has, lacks = ("the first one", clip.name) if name in first else (clip.name, "the first one")
            raise ExportError(
                f"clip {clip.name}: LeRobot's clips have the same features, and {has} has {name}, {lacks} hasn't: "
                f"{remedy}, or export without (--no-controls, --no-inputs, --no-cameras)"
            )
        if own[name] != first[name]:
            sizes = ["{1}x{0}".format(*features[name]["shape"]) for features in (own, first)]
            raise ExportError(
                f"clip {clip.name}: {name} has {sizes[0]} and that of the first one {sizes[1]}, which one dataset "
                f"can't hold: {remedy}"
            )


def _picture_feature(media: Media, fps: float) -> dict[str, Any]:
    return {
        "dtype": "video",
        "shape": [media.height_px, media.width_px, 3],
        "names": ["height", "width", "channels"],
        "info": {
            "video.height": media.height_px,
            "video.width": media.width_px,
            "video.codec": "h264",
            "video.pix_fmt": "yuv420p",
            "video.is_depth_map": False,
            "video.fps": fps,
            "video.channels": 3,
            "has_audio": False,
        },
    }
