"""Reads the files of one row: errors name the field, what was converted or is doubtful becomes the row's warnings."""

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from airshower.configs.sizes import Size
from airshower.configs.spec import DepthValues
from airshower.pipelines.decoding.depth_maps import read_depth
from airshower.pipelines.decoding.source import Reading
from airshower.pipelines.media import Video, read_video
from airshower.pipelines.named_errors import named


class RowReader:
    """For one row; `warnings` grow with what is read."""

    def __init__(self, reading: Reading) -> None:
        self.reading = reading
        self.warnings: list[str] = []

    def video(self, field: str, path: str, **how: Any) -> Video:  # noqa: ANN401 - as `read_video` takes it
        """The video of a field, read by `read_video`; raises MediaError and OSError that name the field."""
        with named(field):
            video = read_video(path, reading=self.reading, **how)
        self.warn(field, path, *video.notes)
        return video

    def depth(
        self,
        field: str,
        path: str,
        values: DepthValues | None,
        *,
        most: int | None,
        fit: Callable[[int, int], Size],
        interpolation: int,
        fps: float,
    ) -> Video:
        """Depth that is given as numbers, as a control video of a rate; raises as `video`."""
        with named(field):
            maps = read_depth(path, most=most, values=values, limits=self.reading.limits)
        self.warn(field, path, *maps.notes)
        height, width = maps.frames.shape[1:3]
        size = fit(height, width)
        frames = [cv2.resize(frame, (size.width, size.height), interpolation=interpolation) for frame in maps.frames]
        return Video(frames=np.stack(frames), fps=fps, source_fps=fps, source_height=height, source_width=width)

    def warn(self, field: str, path: str, *notes: str | None) -> None:
        """Adds what there is to say of a file."""
        self.warnings += [f"{field}: {path} {note}" for note in notes if note]
