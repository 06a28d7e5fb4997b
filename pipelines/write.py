"""Writing a finished row: its videos first, then its record, each under its final name only when it is complete.

Assumes that the run folder is a local path, reachable from every node that writes. Files grow under hidden names
beside their final ones, so a worker that dies leaves nothing half-written under a final name, and writing a row again
replaces its files by the same ones. Deliberately no URLs: a run is copied to object storage when it is done.
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

import cv2
import numpy as np

import airshower
from airshower.cluster.packing import unpack_frames
from airshower.configs.messages import GeneratedClip, PreparedClip, Row
from airshower.configs.spec import ClipSpec
from airshower.pipelines.media import write_video

_UNFINISHED = ".*.part"  # what `write_video` and `final_file` write to before they rename
_REMEDY = "free space there, move what is in the way or give another --output"
_RECORDED_PACKAGES = ("torch", "ray", "diffusers", "transformers")


class OutputError(ValueError):
    """A folder or file of a run can't be written; the message names the path and the remedy."""


def open_run_folder(output: str) -> str:
    """The absolute path of the run folder, created and writable; raises OutputError."""
    if "://" in output:
        raise OutputError(
            f"output {output!r} is a URL: runs are written to local folders: give a folder, copy it afterwards"
        )
    folder = Path(output).expanduser().absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".{uuid.uuid4().hex}.part"
        probe.write_bytes(b"probe")
        probe.unlink()
    except OSError as error:
        raise OutputError(f"output {str(folder)!r} can't be written ({error.strerror}): {_REMEDY}") from error
    return str(folder)


def sweep_run_folder(folder: str) -> None:
    """Removes what workers that died left unfinished."""
    for unfinished in Path(folder).glob(_UNFINISHED):
        unfinished.unlink(missing_ok=True)


def write_row(row: Row, folder: str) -> Row:
    """Writes NAME.mp4, the shown inputs and NAME.json into the run folder; adds `outputs`, paths in that folder.

    Raises OSError or OutputError, with path and remedy, when a file can't be written, ValueError when the row was not
    generated.
    """
    if row.spec is None or row.prepared is None or row.generated is None:
        raise ValueError(f"row {row.name}: reached write without a generated clip: this is a bug in the graph")
    begun_s = time.perf_counter()
    frames = unpack_frames(row.generated.frames)
    fps = row.prepared.fps
    videos = {"video": (f"{row.name}.mp4", shown_frames(row.spec, row.prepared, frames))}
    for key, packed in row.prepared.controls.items():
        videos[f"control_{key}"] = (f"{row.name}_control_{key}.mp4", unpack_frames(packed))
    for key in row.spec.mask_prompts:
        videos[f"mask_{key}"] = (f"{row.name}_mask_{key}.mp4", unpack_frames(row.prepared.masks[key]))
    if row.prepared.input_frames is not None:
        videos["input"] = (f"{row.name}_input.mp4", unpack_frames(row.prepared.input_frames))
    for path, video in videos.values():
        write_video(Path(folder) / path, video, fps)
    outputs = {kind: path for kind, (path, _) in videos.items()} | {"record": f"{row.name}.json"}
    seconds = {**row.seconds, "write": time.perf_counter() - begun_s, **row.generated.seconds}
    record = record_of(row, row.spec, row.prepared, row.generated, outputs, seconds, frames)
    with final_file(Path(folder) / outputs["record"]) as part:
        part.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return Row(**{**vars(row), "outputs": outputs})


def record_of(
    row: Row,
    spec: ClipSpec,
    prepared: PreparedClip,
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
        "annotators": prepared.annotators,
        "seed": spec.seed,
        "fps": prepared.fps,
        "frames": generated.frames.frames,
        "height": generated.frames.height,
        "width": generated.frames.width,
        "chunks": generated.chunks,
        "frames_sha256": hashlib.sha256(frames.tobytes()).hexdigest(),
        "seconds": {key: round(value, 4) for key, value in seconds.items()},
        "peak_gpu_gib": None if generated.peak_gpu_gib is None else round(generated.peak_gpu_gib, 2),
        "outputs": outputs,
        "versions": recorded_versions(),
    }


def shown_frames(spec: ClipSpec, prepared: PreparedClip, frames: np.ndarray) -> np.ndarray:
    """The frames as the row asks to see them: at the input's size, right of the input and the controls."""
    panels = [frames]
    if spec.show_control_condition:
        panels[:0] = [unpack_frames(packed) for packed in prepared.controls.values()]
    if spec.show_input and prepared.input_frames is not None:
        panels.insert(0, unpack_frames(prepared.input_frames))
    if spec.keep_input_resolution:
        height, width = prepared.input_height // 2 * 2, prepared.input_width // 2 * 2  # h264 wants even sides
        panels = [_resized(panel, height, width) for panel in panels]
    return panels[0] if len(panels) == 1 else np.concatenate(panels, axis=2)


@cache
def recorded_versions() -> dict[str, str]:
    """Versions of what a clip depends on, by package name."""
    packages = {name: version(name) for name in _RECORDED_PACKAGES}
    return {"airshower": airshower.__version__, **packages, "python": sys.version.split()[0]}


def _resized(frames: np.ndarray, height: int, width: int) -> np.ndarray:
    if frames.shape[1:3] == (height, width):
        return frames
    return np.stack([cv2.resize(frame, (width, height), interpolation=cv2.INTER_LANCZOS4) for frame in frames])


@contextmanager
def final_file(path: Path) -> Iterator[Path]:
    """A path to write to that takes the place of `path` when the block ends well, and vanishes otherwise.

    Raises OutputError for what the file system refuses.
    """
    # unique, since Ray may run a row again while its first attempt still lives on a lost node
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        yield part
        os.replace(part, path)
    except OSError as error:
        raise OutputError(f"{path}: can't be written ({error.strerror or error}): {_REMEDY}") from error
    finally:
        part.unlink(missing_ok=True)
