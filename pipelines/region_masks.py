"""Masks of a region in time and space: a video, a folder of images or an array of labels, at a clip's size and length.

Videos and images count as covered where channel 0 is above the middle, after a linear resize. Labels never mix: a cell
is covered or not before it is resized, to the nearest. Paths may be local or any fsspec URL. Frame rates are not
compared: folders and arrays have none.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from airshower.cluster import storage
from airshower.configs.sizes import Size
from airshower.pipelines.decoding.arrays import listed, read_npz
from airshower.pipelines.decoding.errors import MediaError, memory_named
from airshower.pipelines.decoding.limits import MediaLimits
from airshower.pipelines.decoding.name_order import in_name_order
from airshower.pipelines.decoding.source import Reading
from airshower.pipelines.doubts import mask_doubt, shape_doubt
from airshower.pipelines.media import Video, read_video

MASK_THRESHOLD = 127.5
ARRAY_NAME = "arr_0"  # what numpy.savez calls an array that is given without a name


@dataclass(frozen=True, kw_only=True)
class RegionMask:
    """Where a region is, bool (frames, height, width), and what is doubtful or was converted, in words."""

    covered_FHW: np.ndarray
    notes: tuple[str, ...] = ()


@memory_named
def read_region_mask(
    path: str,
    *,
    frames: int,
    size: Size,
    source_size: Size | None = None,
    foreground_labels: Collection[int] | None = None,
    reading: Reading | None = None,
) -> RegionMask:
    """The mask in a video, an .npz file or a folder of images.

    What is longer is cut. `source_size` is that of the clip's input, whose shape the mask should have; by default the
    clip's own. `foreground_labels` are those of an .npz file that count as covered; by default all but 0.
    Raises MediaError where the file is damaged or too short for the clip and OSError where it is missing, both with one
    line that names it.
    """
    clip = _Clip(frames=frames, size=size, source_size=source_size or size)
    reading = reading or Reading()
    if path.lower().endswith(".npz"):
        return _from_labels(path, clip, foreground_labels, reading.limits)
    if foreground_labels is not None:
        raise MediaError(f"{path}: foreground labels are given and only .npz files have labels: remove them")
    if not storage.is_folder(path):
        return _from_video(path, clip, reading)
    files = in_name_order(storage.list_files(path))
    if not files:
        raise MediaError(f"{path}: no file in this folder: put one image per frame there")
    _check_length(path, len(files), clip.frames)
    return _from_pictures([_picture(file, 1, clip, reading) for file in files[: clip.frames]], clip)


@dataclass(frozen=True, kw_only=True)
class _Clip:
    """What a mask has to fit."""

    frames: int
    size: Size
    source_size: Size

    def shape_doubt(self, size: Size) -> str | None:
        return shape_doubt(size, "the input", self.source_size)


def _from_video(path: str, clip: _Clip, reading: Reading) -> RegionMask:
    video = _picture(path, clip.frames, clip, reading)
    _check_length(path, len(video.frames), clip.frames)
    return _from_pictures([video], clip)


def _picture(path: str, most: int, clip: _Clip, reading: Reading) -> Video:
    return read_video(
        path,
        max_frames=most,
        fit=lambda _height, _width: clip.size,
        interpolation=cv2.INTER_LINEAR,
        reading=reading,
    )


def _from_pictures(videos: Sequence[Video], clip: _Clip) -> RegionMask:
    pixels = np.concatenate([video.frames for video in videos])
    covered = pixels[..., 0] > MASK_THRESHOLD
    first = videos[0]
    shape = clip.shape_doubt(Size(first.source_height, first.source_width))
    notes = (*first.notes, shape, mask_doubt(pixels, covered))
    return RegionMask(covered_FHW=covered, notes=tuple(note for note in notes if note))


def _from_labels(path: str, clip: _Clip, foreground_labels: Collection[int] | None, limits: MediaLimits) -> RegionMask:
    labels = _read_labels(path, limits)
    frames, size = clip.frames, clip.size
    if labels.ndim != 3 or labels.dtype.kind not in "biu" or 0 in labels.shape:
        raise MediaError(
            f"{path}: {ARRAY_NAME} is {labels.dtype} {labels.shape}: expected integers or bool (frames, height, width)"
        )
    _check_axes(path, labels.shape, clip.source_size)
    _check_length(path, len(labels), frames)
    labels = labels[:frames]
    covered = labels != 0 if foreground_labels is None else np.isin(labels, list(foreground_labels))
    nearest = [
        cv2.resize(mask, (size.width, size.height), interpolation=cv2.INTER_NEAREST) for mask in covered.view(np.uint8)
    ]
    whole = np.stack(nearest).astype(bool)
    notes = (clip.shape_doubt(Size(*labels.shape[1:])), _labels_doubt(whole, foreground_labels))
    return RegionMask(covered_FHW=whole, notes=tuple(note for note in notes if note))


def _labels_doubt(covered_FHW: np.ndarray, foreground_labels: Collection[int] | None) -> str | None:
    if covered_FHW.all():
        return "covers everything, as if there were no mask"
    if covered_FHW.any():
        return None
    labels = ", ".join(map(str, foreground_labels or ()))
    wanted = "no label but 0" if foreground_labels is None else f"none of the labels {labels}"
    return f"covers nothing: {wanted} is in it"


def _check_axes(path: str, shape: tuple[int, ...], source_size: Size) -> None:
    """Raises MediaError for an array whose axes stand in another order: its pictures have the clip's shape then."""
    if not _alike(shape[1:], source_size) and (_alike(shape[:2], source_size) or _alike(shape[1::-1], source_size)):
        raise MediaError(
            f"{path}: {ARRAY_NAME} is {shape}: expected (frames, height, width), and the input is {source_size}: "
            "move its axes, as numpy.moveaxis(labels, -1, 0) does"
        )


def _alike(height_width: tuple[int, ...], size: Size) -> bool:
    """Whether a picture has about the shape of a size."""
    height, width = height_width
    return abs(width / height * size.height / size.width - 1) < 0.05


def _read_labels(path: str, limits: MediaLimits) -> np.ndarray:
    def choose(names: Sequence[str]) -> str:
        if ARRAY_NAME not in names:
            raise MediaError(
                f"{path}: no {ARRAY_NAME} in it, only {listed(names)}: save it with numpy.savez(path, labels)"
            )
        return ARRAY_NAME

    data = storage.read_bytes(path)
    try:
        return read_npz(data, path, limits, choose)
    except MediaError:
        raise
    except ValueError as error:
        raise MediaError(f"{path}: not an .npz file, or truncated: make or copy it again") from error


def _check_length(path: str, found: int, frames: int) -> None:
    if found < frames:
        raise MediaError(f"{path}: has {found} frames and the clip {frames}: give one mask per frame of the clip")
