"""Writing a finished row: its videos first, then its record, each under its final name only when it is complete.

A clip of one frame is an image: it and what is shown of its inputs are written as NAME.jpg instead of NAME.mp4.

Assumes a local folder; what makes the files of a batch count, wherever they go from there, is
`airshower.pipelines.ledger.committer`. Files grow under hidden names beside their final ones, so a worker that dies
leaves nothing half-written under a final name, and writing a row again replaces its files by the same ones.
"""

import hashlib
import json
import os
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version
from pathlib import Path

import numpy as np

import airshower
from airshower.cluster.packing import unpack_frames
from airshower.configs.camera_file import CameraFile
from airshower.configs.messages import GeneratedClip, PreparedClip, PreparedViews, Row
from airshower.configs.row_formats import AnySpec, ClipSpec, MultiviewSpec
from airshower.configs.sizes import Size
from airshower.pipelines.media import jpeg, write_video
from airshower.pipelines.shown_clip import Videos, clip_videos, kept_size
from airshower.pipelines.shown_views import views_videos

_REMEDY = "free space there, move what is in the way or give another --output"
_JPEG = b"\xff\xd8"
_RECORDED_PACKAGES = ("torch", "ray", "diffusers", "transformers")


class OutputError(ValueError):
    """A folder or file of a run can't be written; the message names the path and the remedy."""


def open_run_folder(output: str) -> str:
    """The absolute path of a local folder, created and writable; raises OutputError."""
    if "://" in output:
        raise OutputError(f"output {output!r} is a URL: this needs a local folder: give one, copy it afterwards")
    folder = Path(output).expanduser().absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".{uuid.uuid4().hex}.part"
        probe.write_bytes(b"probe")
        probe.unlink()
    except OSError as error:
        raise OutputError(f"output {str(folder)!r} can't be written ({error.strerror}): {_REMEDY}") from error
    return str(folder)


def write_row(row: Row, folder: str) -> Row:
    """Writes NAME.mp4 or NAME.jpg, the shown inputs, cameras and NAME.json into the folder; adds `outputs`, paths.

    Raises OSError or OutputError, with path and remedy, when a file can't be written, ValueError when the row was not
    generated.
    """
    if row.spec is None or row.prepared is None or row.generated is None:
        raise ValueError(f"row {row.name}: reached write without a generated clip: this is a bug in the graph")
    begun_s = time.perf_counter()
    frames = unpack_frames(row.generated.frames)
    outputs = {"record": f"{row.name}.json"}
    for kind, (end, video) in _videos(row.spec, row.prepared, frames).items():
        path = f"{row.name}{end}.{'jpg' if _is_picture(video) else 'mp4'}"
        if path not in outputs.values():  # two kinds may be one file
            _write_shown(Path(folder) / path, video, row.prepared.fps)
        outputs[kind] = path
    if row.prepared.camera_tracks:
        outputs["cameras"] = f"{row.name}_cameras.json"
        with final_file(Path(folder) / outputs["cameras"]) as part:
            part.write_text(_camera_file(row.spec, row.prepared, frames).model_dump_json() + "\n", encoding="utf-8")
    seconds = {**row.seconds, "write": time.perf_counter() - begun_s, **row.generated.seconds}
    record = record_of(row, row.spec, row.prepared, row.generated, outputs, seconds, frames)
    with final_file(Path(folder) / outputs["record"]) as part:
        part.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return Row(**{**vars(row), "outputs": outputs})


def _videos(spec: AnySpec, prepared: PreparedClip | PreparedViews, frames: np.ndarray) -> Videos:
    if isinstance(spec, MultiviewSpec) and isinstance(prepared, PreparedViews):
        return views_videos(spec, prepared, frames)
    if isinstance(spec, ClipSpec) and isinstance(prepared, PreparedClip):
        return clip_videos(spec, prepared, frames)
    raise ValueError(f"{spec.name}: prepared as another kind of row: this is a bug in the graph")


def _camera_file(spec: AnySpec, prepared: PreparedClip | PreparedViews, frames: np.ndarray) -> CameraFile:
    """The cameras of the pictures as they are written; of the clip alone, where the input or controls are beside it."""
    size = Size(*frames.shape[1:3])
    if isinstance(spec, ClipSpec) and isinstance(prepared, PreparedClip) and spec.keep_input_resolution:
        size = kept_size(prepared)
    tracks = prepared.camera_tracks.items()
    cameras = {name: track.resized(height_px=size.height, width_px=size.width) for name, track in tracks}
    return CameraFile(fps=prepared.fps, cameras=cameras)


def record_of(
    row: Row,
    spec: AnySpec,
    prepared: PreparedClip | PreparedViews,
    generated: GeneratedClip,
    outputs: dict[str, str],
    seconds: dict[str, float],
    frames: np.ndarray,
) -> dict[str, object]:
    """What NAME.json says: everything that shaped the clip, and the hash of its frames before encoding."""
    return {
        "name": row.name,
        "status": "done",
        "source": row.source,
        "spec": spec.model_dump(mode="json"),
        "prompt": row.prompt,
        "model": generated.model,
        "warnings": list(prepared.warnings),
        "annotators": prepared.annotators if isinstance(prepared, PreparedClip) else {},
        "seed": spec.seed,
        "fps": prepared.fps,
        "cameras": list(prepared.cameras) if isinstance(prepared, PreparedViews) else None,
        "frames": prepared.frames,
        "height": prepared.height,
        "width": prepared.width,
        "chunks": generated.chunks,
        "frames_sha256": hashlib.sha256(frames.tobytes()).hexdigest(),
        "seconds": {key: round(value, 4) for key, value in seconds.items()},
        "peak_gpu_gib": None if generated.peak_gpu_gib is None else round(generated.peak_gpu_gib, 2),
        "outputs": outputs,
        "versions": recorded_versions(),
    }


def _is_picture(video: np.ndarray | bytes) -> bool:
    return video.startswith(_JPEG) if isinstance(video, bytes) else len(video) == 1


def _write_shown(path: Path, video: np.ndarray | bytes, fps: float) -> None:
    """Frames (F, H, W, 3) as a video, a single one as an image; what is encoded already as it is."""
    if not isinstance(video, bytes) and len(video) > 1:
        write_video(path, video, fps)  # which is large, and never as a whole in memory
        return
    with final_file(path) as part:
        part.write_bytes(video if isinstance(video, bytes) else jpeg(video[0]))


@cache
def recorded_versions() -> dict[str, str]:
    """Versions of what a clip depends on, by package name."""
    packages = {name: version(name) for name in _RECORDED_PACKAGES}
    return {"airshower": airshower.__version__, **packages, "python": sys.version.split()[0]}


@contextmanager
def final_file(path: Path) -> Iterator[Path]:
    """A path to write to that takes the place of `path` when the block ends well, and vanishes otherwise.

    Raises OutputError for what the file system refuses.
    """
    # unique, since Ray may run a row again while its first attempt still lives on a lost node; without the file's name,
    # which may be as long as a file name can be
    part = path.with_name(f".{uuid.uuid4().hex}.part")
    try:
        yield part
        os.replace(part, path)
    except OSError as error:
        raise OutputError(f"{path}: can't be written ({error.strerror or error}): {_REMEDY}") from error
    finally:
        part.unlink(missing_ok=True)
