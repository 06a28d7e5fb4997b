"""Arrays in .npy and .npz files: their sizes are looked at before anything is unpacked, and nothing is unpickled."""

import io
import math
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import IO

import numpy as np

from airshower.pipelines.decoding.errors import MediaError
from airshower.pipelines.decoding.limits import MediaLimits

_GIB = 2**30
_MOST_SHOWN = 20  # names, and letters of each


def read_npy(data: bytes, path: str, limits: MediaLimits) -> np.ndarray:
    """The array in an .npy file; raises MediaError for one that is larger than allowed, ValueError for damage."""
    with _as_value_error():
        return _checked(io.BytesIO(data), "the array", path, limits)


def read_npz(data: bytes, path: str, limits: MediaLimits, choose: Callable[[Sequence[str]], str]) -> np.ndarray:
    """The array of an .npz file that `choose` names out of all their names.

    Raises MediaError for one that is larger than allowed, ValueError for damage, and what `choose` does.
    """
    with _as_value_error(), zipfile.ZipFile(io.BytesIO(data)) as archive:
        name = choose([one.removesuffix(".npy") for one in archive.namelist()])
        with archive.open(f"{name}.npy") as file:
            return _checked(file, name, path, limits)


@contextmanager
def _as_value_error() -> Iterator[None]:
    try:
        yield
    except (ValueError, MemoryError):
        raise
    except Exception as error:  # zipfile, what unpacks for it and numpy raise whatever a damaged file leads to
        raise ValueError(f"not a whole file of arrays: {error}") from error


def listed(names: Sequence[str]) -> str:
    """Names of arrays, for a message; a file may hold any number of them."""
    shown = ", ".join(name[:_MOST_SHOWN] for name in names[:_MOST_SHOWN]) or "nothing"
    return shown + (f" and {len(names) - _MOST_SHOWN} more" if len(names) > _MOST_SHOWN else "")


def _checked(file: IO[bytes], name: str, path: str, limits: MediaLimits) -> np.ndarray:
    version = np.lib.format.read_magic(file)
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, kind = read_header(file)
    size_bytes = math.prod(shape) * kind.itemsize
    if size_bytes > limits.clip_bytes:
        raise MediaError(f"{path}: {name} takes {size_bytes / _GIB:.1f} GiB: save fewer frames, or in float16")
    file.seek(0)
    return np.lib.format.read_array(file, allow_pickle=False)
