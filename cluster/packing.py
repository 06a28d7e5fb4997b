"""Lossless packing of frames for the way between processes: difference to the previous frame, then zstd.

Differences wrap modulo 256, so unpacking gives back every byte. Meant for transport, not for keeping: players can't
read it.
"""

import numpy as np
import pyarrow as pa

from airshower.configs.messages import PackedFrames


def pack_frames(frames: np.ndarray) -> PackedFrames:
    """Packs uint8 frames (frames, height, width, 3); raises ValueError for any other shape or type."""
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3:
        raise ValueError(f"frames are {frames.dtype} {frames.shape}: expected uint8 (frames, height, width, 3)")
    differences = frames.copy()
    differences[1:] -= frames[:-1]
    count, height, width, _ = frames.shape
    data = pa.compress(differences.tobytes(), codec="zstd", asbytes=True)
    return PackedFrames(data=data, frames=count, height=height, width=width)


def unpack_frames(packed: PackedFrames) -> np.ndarray:
    """The frames that were packed, uint8 (frames, height, width, 3)."""
    shape = (packed.frames, packed.height, packed.width, 3)
    raw = pa.decompress(packed.data, decompressed_size=int(np.prod(shape)), codec="zstd", asbytes=True)
    return np.add.accumulate(np.frombuffer(raw, np.uint8).reshape(shape), axis=0, dtype=np.uint8)
