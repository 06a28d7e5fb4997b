"""What in a row's files can hardly be meant, in words: the row is made, and its user is told once.

A mask that covers nothing, a control of one colour, a file of another shape than the clip: the published code makes a
clip of it without a word, and hours go into clips that don't follow their control.
"""

import numpy as np

from airshower.configs.sizes import Size
from airshower.configs.spec import Control

_SHAPE_TOLERANCE = 0.01  # of width / height, as for camera files
_FEW_LEVELS = 32  # of 256, in which a control says next to nothing
_COLOURED = 12  # levels between the channels of a picture that should be grey, on average
_GREY: tuple[Control, ...] = ("edge", "depth")
_WHITE = 127


def shape_doubt(size: Size, leader: str, leader_size: Size) -> str | None:
    """A file of another shape than the one that leads."""
    if abs(_ratio(size) / _ratio(leader_size) - 1) <= _SHAPE_TOLERANCE:
        return None
    return f"is {size} and {leader} {leader_size}, another shape: it is stretched to it"


def stretch_doubt(size: Size, clip_size: Size, tolerance: float = 0.1) -> str | None:
    """A clip whose shape is far from those that the model makes."""
    stretch = _ratio(clip_size) / _ratio(size)
    if abs(stretch - 1) <= tolerance:
        return None
    way = "wider" if stretch > 1 else "narrower"
    return f"is {size} and the clip {clip_size}: things come out {abs(stretch - 1):.0%} {way}"


def mask_doubt(frames_FHW3: np.ndarray, covered_FHW: np.ndarray) -> str | None:
    """A mask, as it was read and as it counts, that covers nothing or everything."""
    if covered_FHW.all():
        return "covers everything, as if there were no mask"
    if covered_FHW.any():
        return None
    brightest, others = int(frames_FHW3[..., 0].max()), int(frames_FHW3[..., 1:].max())
    if others > _WHITE:
        return "covers nothing: its red channel counts, which is dark where it is coloured: save it in black and white"
    if brightest:
        return f"covers nothing: its brightest value is {brightest}, and it counts from 128 to 255: make it white there"
    return "covers nothing: it is black throughout"


def control_doubt(key: Control, frames_FHW3: np.ndarray) -> str | None:
    """A control that says little, or that isn't what its name says."""
    low, high = int(frames_FHW3.min()), int(frames_FHW3.max())
    if (frames_FHW3 == frames_FHW3[:1, :1, :1]).all():
        return f"shows one colour throughout, {tuple(map(int, frames_FHW3[0, 0, 0]))}"
    if key != "seg" and high - low < _FEW_LEVELS:
        return f"uses the levels {low} to {high} of 0 to 255 only: stretch it"
    if key in _GREY and _spread(frames_FHW3) > _COLOURED:
        return f"is in colour, and {key} is read as grey: save it in grey"
    if key == "edge" and (frames_FHW3[..., 0] > _WHITE).mean() > 0.5:
        return "is mostly white: edges are white on black"
    return None


def _spread(frames_FHW3: np.ndarray) -> float:
    """Levels between the channels, on average over some pixels."""
    some = frames_FHW3[:: max(1, len(frames_FHW3) // 8), ::4, ::4]
    return float((some.max(axis=-1).astype(int) - some.min(axis=-1)).mean())


def _ratio(size: Size) -> float:
    return size.width / size.height
