"""The videos that a row of several cameras leaves: one of all cameras or one of each, and grids to look at.

Frames of several cameras arrive one camera after the other. In a grid the cameras stand as around the car.
"""

import math

import cv2
import numpy as np

from airshower.cluster.packing import unpack_frames
from airshower.configs.cameras import RIG
from airshower.configs.messages import PackedFrames, PreparedViews
from airshower.configs.multiview_spec import HDMAP, MultiviewSpec
from airshower.pipelines.shown_clip import Videos

_PLACES = {  # row and column of each camera
    "cross_left": (0, 0),
    "front_wide": (0, 1),
    "cross_right": (0, 2),
    "rear_left": (1, 0),
    "front_tele": (1, 1),
    "rear_right": (1, 2),
    "rear": (2, 1),
}
MOST_GRID_WIDTH_PX = 1920


def views_videos(spec: MultiviewSpec, prepared: PreparedViews, frames: np.ndarray) -> Videos:
    """Every video of the row: `video` is that of all cameras, or the grid where each camera has its own.

    Where each camera has its own video, it has its own HD map, too.
    """
    views = dict(zip(prepared.cameras, np.split(frames, len(prepared.cameras)), strict=True))
    videos: Videos = {"grid": ("_grid", grid(views))}
    if spec.save_combined_views:
        videos["video"] = ("", frames)
    else:
        videos["video"] = videos["grid"]
        videos |= {f"view_{name}": (f"_{name}", view) for name, view in views.items()}
    if prepared.controls:
        maps = _unpacked(prepared.controls)
        videos[f"control_{HDMAP}"] = (f"_control_{HDMAP}", grid(maps))
        if not spec.save_combined_views:
            videos |= {f"control_{HDMAP}_{name}": (f"_control_{HDMAP}_{name}", view) for name, view in maps.items()}
    if prepared.inputs:
        videos["input"] = ("_input", grid(_unpacked(prepared.inputs)))
    return videos


def grid(views: dict[str, np.ndarray]) -> np.ndarray:
    """Videos (F, H, W, 3) by camera as one, in columns and rows that hold a camera, the others left out.

    As long as the longest one: shorter ones end on black. Made smaller where it would be wider than a screen.
    """
    places = {name: _PLACES[name] for name in RIG if name in views}
    rows, columns = (sorted({place[axis] for place in places.values()}) for axis in (0, 1))
    height, width = next(iter(views.values())).shape[1:3]
    shrink = max(1, math.ceil(len(columns) * width / MOST_GRID_WIDTH_PX))
    height, width = height // shrink // 2 * 2, width // shrink // 2 * 2
    length = max(len(view) for view in views.values())
    picture = np.zeros((length, len(rows) * height, len(columns) * width, 3), np.uint8)
    for name, (row, column) in places.items():
        top, left = rows.index(row) * height, columns.index(column) * width
        for number, frame in enumerate(views[name]):
            cell = frame if shrink == 1 else cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA)
            picture[number, top : top + height, left : left + width] = cell[:height, :width]
    return picture


def _unpacked(packed: dict[str, PackedFrames]) -> dict[str, np.ndarray]:
    return {name: unpack_frames(frames) for name, frames in packed.items()}
