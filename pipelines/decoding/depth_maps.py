"""Depth as numbers, into the grey levels of the depth control: 0 the farthest of the clip, 255 the nearest.

The published control is inverse depth, stretched over the whole clip. A file holds levels of that kind with more bits,
distances in whatever unit (the stretch takes it out again), or inverse depth itself; which, no file says. Read are PNG
and TIFF of 16 bits or floats, EXR, .npy and .npz, and folders with a file per frame. Depth as ordinary video or picture
isn't handled here: its levels are taken as they are.
"""

import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from PIL import Image

from airshower.cluster import storage
from airshower.configs.sizes import Size
from airshower.configs.spec import DepthValues
from airshower.pipelines.decoding.arrays import listed, read_npy, read_npz
from airshower.pipelines.decoding.errors import MediaError, memory_named
from airshower.pipelines.decoding.file_kinds import EXR, HEAD_BYTES, NPY, ZIP
from airshower.pipelines.decoding.limits import MediaLimits
from airshower.pipelines.decoding.name_order import in_name_order

_ARRAY_NAMES = ("depth", "depths", "data", "arr_0")  # in an .npz of several, the first of these that is there
_EXR_CHANNELS = ("Z", "depth.Z", "Depth.Z", "V", "Depth.V", "Y", "R")  # likewise
_PICTURES = ("PNG", "TIFF")
_TIFFS = (b"II*\0", b"MM\0*")
_FULL_RANGE = 2**15  # 16-bit values that go beyond are levels rather than millimetres
_FLAT = 1e-5  # share of the largest value: what differs by less is one depth and rounding


@dataclass(frozen=True, kw_only=True)
class DepthMaps:
    """Grey levels, uint8 (F, H, W, 3), and what was taken for granted, in words."""

    frames: np.ndarray
    notes: tuple[str, ...]


@memory_named
def holds_depth(path: str, limits: MediaLimits) -> bool:
    """Whether a file or folder holds depth as numbers; raises OSError where it can't be read.

    Raises MediaError for a picture that is larger than allowed.
    """
    if storage.is_folder(path):
        return True
    with storage.open_file(path) as file:
        head = file.read(HEAD_BYTES)
    if head.startswith(ZIP):
        return b".npy" in head[:256]
    if head.startswith((NPY, EXR)):
        return True
    if head.startswith(b"\x89PNG"):
        return head[24:25] == b"\x10" and head[25:26] == b"\0"  # 16 bits, grey
    return head.startswith(_TIFFS) and _is_deep_tiff(storage.read_bytes(path), path, limits)


@memory_named
def read_depth(path: str, *, most: int | None, values: DepthValues | None, limits: MediaLimits) -> DepthMaps:
    """The depth control of the first `most` maps of a file or folder; `values` None: what they most likely are.

    Raises MediaError for what can't be read or doesn't fit `values`, OSError for what isn't there.
    """
    maps = _maps(path, most, limits)
    taken, note = _meaning(maps, values, path)
    levels = _levels(maps) if taken == "levels" else _stretched(maps, inverse=taken == "inverse")
    return DepthMaps(frames=np.repeat(levels[..., None], 3, axis=3), notes=() if note is None else (note,))


def _maps(path: str, most: int | None, limits: MediaLimits) -> np.ndarray:
    """Numbers (F, H, W)."""
    if not storage.is_folder(path):
        maps = _of_file(path, limits)[:most]
        if not len(maps):
            raise MediaError(f"{path}: no map in it: save an array of shape (frames, height, width)")
        return maps
    files = in_name_order(storage.list_files(path))
    if not files:
        raise MediaError(f"{path}: no file in this folder: put one depth map per frame there")
    single = [_of_file(file, limits) for file in files[:most]]
    shapes = {one.shape for one in single}
    if len(shapes) > 1 or len(single[0]) != 1:
        raise MediaError(f"{path}: its files have maps of different shapes: put one map of one size per frame there")
    return np.concatenate(single)


def _of_file(path: str, limits: MediaLimits) -> np.ndarray:
    """Numbers (F, H, W)."""
    data = storage.read_bytes(path)
    if data.startswith(EXR):
        array = _exr(data, path, limits)
    elif data.startswith((NPY, ZIP)):
        array = _array(data, path, limits)
    else:
        array = _picture(data, path, limits)
    if array.ndim == 4 and 1 in (array.shape[1], array.shape[3]):
        array = array[:, 0] if array.shape[1] == 1 else array[..., 0]
    array = array[None] if array.ndim == 2 else array
    if array.ndim != 3 or array.dtype.kind not in "fiu" or 0 in array.shape:
        raise MediaError(
            f"{path}: is {array.dtype} {array.shape}: expected numbers of shape (frames, height, width) or (height, "
            "width)"
        )
    return array


def _array(data: bytes, path: str, limits: MediaLimits) -> np.ndarray:
    def choose(names: Sequence[str]) -> str:
        name = next((one for one in _ARRAY_NAMES if one in names), None) or next(iter(names), "")
        if len(names) != 1 and name not in _ARRAY_NAMES:
            raise MediaError(f"{path}: holds {listed(names)}: give the one of depth the name 'depth', or save it alone")
        return name

    try:
        return read_npy(data, path, limits) if data.startswith(NPY) else read_npz(data, path, limits, choose)
    except MediaError:
        raise
    except ValueError as error:
        raise MediaError(f"{path}: not a whole .npy or .npz file: make or copy it again") from error


def _exr(data: bytes, path: str, limits: MediaLimits) -> np.ndarray:
    import OpenEXR

    try:
        with OpenEXR.File(io.BytesIO(data), separate_channels=True, header_only=True) as head:
            low, high = head.header()["dataWindow"]
            limits.check_frame(path, int(high[1] - low[1]) + 1, int(high[0] - low[0]) + 1)
        with OpenEXR.File(io.BytesIO(data), separate_channels=True) as file:  # which is empty after the block
            pixels = {name: np.array(channel.pixels, np.float32) for name, channel in file.channels().items()}
    except (MediaError, MemoryError):
        raise
    except Exception as error:  # its binding raises whatever the library says
        raise MediaError(f"{path}: damaged or cut off: copy or make it again") from error
    name = next((one for one in _EXR_CHANNELS if one in pixels), None)
    if name is None:
        raise MediaError(f"{path}: its channels are {', '.join(pixels)}: name the depth Z")
    return pixels[name]


def _picture(data: bytes, path: str, limits: MediaLimits) -> np.ndarray:
    """A PNG, or all pages of a TIFF; grey, since a colour is no depth."""
    _check_size(data, path, limits)
    whole, pages = cv2.imdecodemulti(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if not whole or not pages:
        raise MediaError(f"{path}: not a picture, or cut off: copy or make it again")
    if any(page.ndim != 2 or page.shape != pages[0].shape for page in pages):
        raise MediaError(f"{path}: is in colour, or of different sizes: save depth in grey")
    return np.stack(pages)


def _check_size(data: bytes, path: str, limits: MediaLimits) -> None:
    """Raises MediaError for a picture that is larger than allowed; what Pillow can't tell is left to OpenCV's limit."""
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(data), formats=_PICTURES) as image:
            limits.check_frame(path, image.height, image.width)
            limits.check_clip(path, getattr(image, "n_frames", 1), Size(image.height, image.width))
    except MediaError:
        raise
    except Exception as error:  # it raises whatever a damaged file leads to
        if isinstance(error, Image.DecompressionBombError):
            raise MediaError(f"{path}: is larger than what is read: save smaller maps") from error


def _is_deep_tiff(data: bytes, path: str, limits: MediaLimits) -> bool:
    """Whether a TIFF is grey with more than 8 bits."""
    _check_size(data, path, limits)
    page: Any = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    return page is not None and page.ndim == 2 and page.dtype != np.uint8


def _meaning(maps_FHW: np.ndarray, values: DepthValues | None, path: str) -> tuple[DepthValues, str | None]:
    """What the numbers are, and what the user is to know where that was not said."""
    whole = maps_FHW.dtype in (np.uint8, np.uint16)
    if values is not None:
        if values == "levels" and not whole:
            raise MediaError(
                f"{path}: holds {maps_FHW.dtype}, and levels are whole numbers of 8 or 16 bits: set values to distance "
                "or inverse"
            )
        return values, None
    if maps_FHW.dtype == np.uint8 or (whole and maps_FHW.max() >= _FULL_RANGE):
        return "levels", None
    return "distance", (
        f"holds values up to {maps_FHW[np.isfinite(maps_FHW)].max(initial=0):g}, which were taken for distances: set "
        'depth.values to "distance", or to "inverse" or "levels" where near is large'
    )


def _levels(maps_FHW: np.ndarray) -> np.ndarray:
    """8 bits as they are, 16 bits rounded to 8."""
    if maps_FHW.dtype == np.uint8:
        return maps_FHW
    return np.stack([((one.astype(np.uint32) + 128) // 257).astype(np.uint8) for one in maps_FHW])


def _stretched(maps_FHW: np.ndarray, *, inverse: bool) -> np.ndarray:
    """Inverse depth over the clip's whole range; where nothing was measured (0, or no number) is far."""
    maps = [_inverse(one, given=inverse) for one in maps_FHW]
    low, high = _range(maps)
    span = high - low
    if span <= _FLAT * max(abs(low), abs(high)):
        return np.zeros(maps_FHW.shape, np.uint8)
    return np.stack([np.nan_to_num((one - low) * (255 / span)).round().clip(0, 255).astype(np.uint8) for one in maps])


def _inverse(one_HW: np.ndarray, *, given: bool) -> np.ndarray:
    """Inverse depth as float32, NaN where nothing was measured."""
    values = one_HW.astype(np.float32)
    if given:
        return np.where(np.isfinite(values), values, np.nan).astype(np.float32)
    measured = np.isfinite(values) & (values > np.finfo(np.float32).smallest_normal)  # whose inverse is a number
    return np.where(measured, 1 / np.where(measured, values, 1), np.nan).astype(np.float32)


def _range(maps: Sequence[np.ndarray]) -> tuple[float, float]:
    """Lowest and highest measured value of all maps; 0, 0 where there is none."""
    measured = [one[np.isfinite(one)] for one in maps]
    measured = [one for one in measured if one.size]
    if not measured:
        return 0.0, 0.0
    return min(float(one.min()) for one in measured), max(float(one.max()) for one in measured)
