"""An input video at full size that has edges everywhere and moves."""

from pathlib import Path

import numpy as np

from airshower.configs.sizes import SIZES
from airshower.pipelines.media import write_video

FPS = 10


def write_pattern(path: Path, resolution: str, frames: int) -> None:
    """A video of 16:9 in a row's resolution."""
    size = SIZES[resolution]["16:9"]
    y, x = np.mgrid[0 : size.height, 0 : size.width]
    shades = [np.stack((x + 5 * t, y, x + y), axis=-1) % 256 for t in range(frames)]
    write_video(path, np.stack(shades).astype(np.uint8), FPS)
