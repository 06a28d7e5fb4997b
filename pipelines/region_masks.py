"""Masks of a region in time and space: a video, a folder of images or an array of labels, at a clip's size and length.

Videos and images count as covered where channel 0 is above the middle, after a linear resize. Labels never mix: a cell
is covered or not before it is resized, to the nearest. Paths may be local or any fsspec URL. Frame rates are not
compared: folders and arrays have none.
"""

import io
import re
import zipfile
import zlib
from collections.abc import Collection, Iterable

import cv2
import numpy as np

from airshower.cluster import storage
from airshower.configs.sizes import Size
from airshower.pipelines.media import MediaError, read_video

MASK_THRESHOLD = 127.5
ARRAY_NAME = "arr_0"  # what numpy.savez calls an array that is given without a name


def read_region_mask(
    path: str, *, frames: int, size: Size, foreground_labels: Collection[int] | None = None
) -> np.ndarray:
    """The mask in a video, an .npz file or a folder of images, bool (frames, height, width).

    What is longer is cut. `foreground_labels` are those of an .npz file that count as covered; by default all but 0.
    Raises MediaError where the file is damaged or too short for the clip and OSError where it is missing, both with one
    line that names it.
    """
    if path.lower().endswith(".npz"):
        return _from_labels(path, frames, size, foreground_labels)
    if foreground_labels is not None:
        raise MediaError(f"{path}: foreground labels are given and only .npz files have labels: remove them")
    if storage.is_folder(path):
        return _from_images(path, frames, size)
    return _from_video(path, frames, size)


def _from_video(path: str, frames: int, size: Size) -> np.ndarray:
    video = read_video(path, max_frames=frames, fit=lambda _height, _width: size, interpolation=cv2.INTER_LINEAR).frames
    _check_length(path, len(video), frames)
    return video[..., 0] > MASK_THRESHOLD


def _from_images(folder: str, frames: int, size: Size) -> np.ndarray:
    files = in_name_order(file for file in storage.list_files(folder) if not _name(file).startswith("."))
    if not files:
        raise MediaError(f"{folder}: no file in this folder: put one image per frame there")
    _check_length(folder, len(files), frames)
    return np.stack([_from_image(file, size) for file in files[:frames]])


def _from_image(path: str, size: Size) -> np.ndarray:
    # OpenCV, because FFmpeg takes half a JPEG for a whole one
    content = np.frombuffer(storage.read_bytes(path), np.uint8)
    pixels = cv2.imdecode(content, cv2.IMREAD_COLOR_RGB) if content.size else None
    if pixels is None:
        raise MediaError(f"{path}: not an image, or truncated: copy it again, or take it out of the folder")
    return cv2.resize(pixels[..., 0], (size.width, size.height), interpolation=cv2.INTER_LINEAR) > MASK_THRESHOLD


def _from_labels(path: str, frames: int, size: Size, foreground_labels: Collection[int] | None) -> np.ndarray:
    labels = _read_labels(path)
    if labels.ndim != 3 or labels.dtype.kind not in "biu" or 0 in labels.shape:
        raise MediaError(
            f"{path}: {ARRAY_NAME} is {labels.dtype} {labels.shape}: expected integers or bool (frames, height, width)"
        )
    _check_length(path, len(labels), frames)
    labels = labels[:frames]
    covered = labels != 0 if foreground_labels is None else np.isin(labels, list(foreground_labels))
    nearest = [
        cv2.resize(mask, (size.width, size.height), interpolation=cv2.INTER_NEAREST) for mask in covered.view(np.uint8)
    ]
    return np.stack(nearest).astype(bool)


def _read_labels(path: str) -> np.ndarray:
    content = storage.read_bytes(path)
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            if ARRAY_NAME not in archive:
                found = ", ".join(archive.files) or "nothing"
                raise MediaError(f"{path}: no {ARRAY_NAME} in it, only {found}: save it with numpy.savez(path, labels)")
            return archive[ARRAY_NAME]
    except MediaError:
        raise
    # what numpy raises for: no zip, cut off, no end, pickles and shapes it can't read, damaged data; a lone .npy file
    # loads as an array, which is no context manager
    except (zipfile.BadZipFile, EOFError, OSError, ValueError, zlib.error, TypeError) as error:
        raise MediaError(f"{path}: not an .npz file, or truncated: make or copy it again") from error


def _check_length(path: str, found: int, frames: int) -> None:
    if found < frames:
        raise MediaError(f"{path}: has {found} frames and the clip {frames}: give one mask per frame of the clip")


def in_name_order(paths: Iterable[str]) -> list[str]:
    """Paths of one folder by name, numbers in it by value: frame_2 before frame_10."""
    return sorted(paths, key=lambda path: [int(part) if part.isdecimal() else part for part in _parts(path)])


def _parts(path: str) -> list[str]:
    """A file's name cut before and after its numbers: text and numbers take turns."""
    return re.split(r"([0-9]+)", _name(path))


def _name(path: str) -> str:
    return path.rpartition("/")[2]
