"""Standing pictures upright: the display matrix that a video's frames carry."""

import struct

import av
import numpy as np
from av.sidedata.sidedata import SideDataContainer, Type

from airshower.pipelines.decoding.errors import MediaError

_ONE = 1 << 16
_STRAIGHT = 0.02  # how far a quarter turn may be off, as a share


def upright(pixels_HW3: np.ndarray, frame: av.VideoFrame, path: str) -> np.ndarray:
    """The frame's pixels turned and mirrored as its display matrix says; raises MediaError for other angles."""
    matrix = _display_matrix(frame)
    if matrix is None:
        return np.ascontiguousarray(np.rot90(pixels_HW3, k=round(frame.rotation / 90) % 4))
    across, down = matrix
    if abs(across[1]) + abs(down[0]) <= _STRAIGHT * (abs(across[0]) + abs(down[1])):
        turned, flips = pixels_HW3, (down[1], across[0])
    elif abs(across[0]) + abs(down[1]) <= _STRAIGHT * (abs(across[1]) + abs(down[0])):
        turned, flips = pixels_HW3.swapaxes(0, 1), (across[1], down[0])
    else:
        raise MediaError(f"{path}: is to be shown turned by an angle that is no quarter turn: save it upright")
    rows, columns = (slice(None, None, -1 if one < 0 else 1) for one in flips)
    return np.ascontiguousarray(turned[rows, columns])


def is_lying(frame: av.VideoFrame) -> bool:
    """Whether rows of the frame become columns of the picture."""
    matrix = _display_matrix(frame)
    if matrix is None:
        return round(frame.rotation / 90) % 2 == 1
    across, down = matrix
    return abs(across[1]) + abs(down[0]) > abs(across[0]) + abs(down[1])


def _display_matrix(frame: av.VideoFrame) -> tuple[tuple[float, float], tuple[float, float]] | None:
    """Where a step along a stored row and one down a stored column go, as (right, down); None where nothing is said."""
    try:
        # Not `frame.side_data`, which the frame keeps: the two hold each other then, and frames pile up in memory.
        data = SideDataContainer(frame).get(Type.DISPLAYMATRIX)  # type: ignore[call-arg]
    except ValueError:  # PyAV knows not all kinds of side data, and reads all or none; rotations it tells otherwise
        return None
    if data is None:
        return (1.0, 0.0), (0.0, 1.0)
    a, b, _, c, d = struct.unpack("=5i", bytes(data)[:20])
    return (a / _ONE, b / _ONE), (c / _ONE, d / _ONE)
