"""Frames as they are decoded, in one array: never twice in memory, and no more than allowed."""

import numpy as np

from airshower.configs.sizes import Size
from airshower.pipelines.decoding.limits import MediaLimits


class FrameBuffer:
    """Grows with the frames; `expected` are those that will probably come."""

    def __init__(self, path: str, size: Size, expected: int, limits: MediaLimits) -> None:
        """Raises MediaError where more are expected than allowed."""
        limits.check_clip(path, expected, size)
        self._path, self._size, self._limits = path, size, limits
        # Pages that no frame comes into are never touched, so a header that promises too much costs nothing.
        self._frames = np.empty((max(1, expected), size.height, size.width, 3), np.uint8)
        self._count = 0

    def add(self, frame_HW3: np.ndarray) -> None:
        """Takes one more; raises MediaError where that is more than allowed."""
        self._limits.check_clip(self._path, self._count + 1, self._size)
        if self._count == len(self._frames):
            self._frames.resize((self._count + self._count // 2 + 1, *self._frames.shape[1:]), refcheck=False)
        self._frames[self._count] = frame_HW3
        self._count += 1

    def frames(self) -> np.ndarray:
        """All that came, uint8 (F, H, W, 3); nothing can be added then."""
        self._frames.resize((self._count, *self._frames.shape[1:]), refcheck=False)
        return self._frames
