"""Lossless packing of frames for the way between processes: difference to the previous frame, then zstd.

Differences wrap modulo 256, so unpacking gives back every byte. Of gray frames, as edges, depths and masks are, one
channel is kept. Meant for transport, not for keeping: players can't read it. Frames that stay in their process are only
held, in the same form to whoever reads them.
"""

from dataclasses import fields, replace
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa

from airshower.configs.messages import PackedFrames, PreparedClip, PreparedViews

Prepared = TypeVar("Prepared", bound=PreparedClip | PreparedViews)


def pack_frames(frames: np.ndarray) -> PackedFrames:
    """Packs uint8 frames (frames, height, width, 3); raises ValueError for any other shape or type."""
    _check(frames)
    count, height, width, _ = frames.shape
    gray = bool((frames[..., :1] == frames[..., 1:]).all())
    kept = frames[..., :1] if gray else frames
    differences = kept.copy()
    differences[1:] -= kept[:-1]
    data = pa.compress(differences.tobytes(), codec="zstd", asbytes=True)
    return PackedFrames(data=data, coding="gray" if gray else "color", frames=count, height=height, width=width)


def hold_frames(frames: np.ndarray) -> PackedFrames:
    """Frames as they are, for as long as they stay in this process: they can't be pickled. Raises as `pack_frames`."""
    _check(frames)
    count, height, width, _ = frames.shape
    data = np.ascontiguousarray(frames).data.cast("B") if frames.size else b""
    return PackedFrames(data=data, coding="none", frames=count, height=height, width=width)


def unpack_frames(packed: PackedFrames) -> np.ndarray:
    """The frames, uint8 (frames, height, width, 3)."""
    shape = (packed.frames, packed.height, packed.width, 1 if packed.coding == "gray" else 3)
    if packed.coding == "none":
        return np.frombuffer(packed.data, np.uint8).reshape(shape)
    raw = pa.decompress(packed.data, decompressed_size=int(np.prod(shape)), codec="zstd", asbytes=True)
    frames = np.add.accumulate(np.frombuffer(raw, np.uint8).reshape(shape), axis=0, dtype=np.uint8)
    return np.repeat(frames, 3, axis=3) if packed.coding == "gray" else frames


def with_held_frames(prepared: Prepared) -> Prepared:
    """Everything that was packed unpacked once, for all who read it in this process."""

    def held(value: Any) -> Any:  # noqa: ANN401 -- any field
        if isinstance(value, PackedFrames):
            return hold_frames(unpack_frames(value))
        return {key: held(each) for key, each in value.items()} if isinstance(value, dict) else value

    return replace(prepared, **{field.name: held(getattr(prepared, field.name)) for field in fields(prepared)})


def _check(frames: np.ndarray) -> None:
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3:
        raise ValueError(f"frames are {frames.dtype} {frames.shape}: expected uint8 (frames, height, width, 3)")
