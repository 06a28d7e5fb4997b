"""Do neighbouring cameras show the same world? What one sees is put into the other's picture and compared there.

Without depth, rays that go down are followed to the ground and all others to a fixed distance, which is right for the
road and for most of what stands along it; fine structure is blurred, so that the rest may be off by some pixels. Rigs
are clips, uint8 (V, F, height, width, 3), V cameras in the order of `seven_camera_rig`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import cv2
import numpy as np

from airshower.pipelines.evaluation.map_readout import correlation
from airshower.pipelines.world.camera import Camera, seven_camera_rig

_SCALE = 4  # compared at a quarter of the size
_BLUR_PIXELS = (1.5, 8.0)  # there: finer structure may be off, coarser is weather rather than things
_FAR_M = 25.0  # where things that are not ground are thought to stand
_LEAST_SHARE = 0.04  # of a picture; cameras that share less are no neighbours
_OUTSIDE = -10.0  # a place that no picture has


@dataclass(frozen=True)
class Overlap:
    """Where a camera's pixels lie in another camera's picture."""

    camera: int
    other: int
    columns: np.ndarray  # (height, width) in the other's picture, at comparing size
    rows: np.ndarray
    shared: np.ndarray  # bool: inside the other's picture


def overlaps(height: int, width: int) -> list[Overlap]:
    """All pairs of neighbouring cameras of the rig, for pictures of a size in pixels."""
    cameras = list(seven_camera_rig().values())
    found = []
    for one, other in combinations(range(len(cameras)), 2):
        # Into the one with the narrower view: it has a pixel for everything that the wider one shows there.
        to, source = (one, other) if cameras[one].fov_deg <= cameras[other].fov_deg else (other, one)
        columns, rows = _places(cameras[to], cameras[source], height // _SCALE, width // _SCALE)
        inside = (columns >= 0) & (columns <= columns.shape[1] - 1) & (rows >= 0) & (rows <= rows.shape[0] - 1)
        if inside.mean() >= _LEAST_SHARE:
            found.append(Overlap(to, source, columns.astype(np.float32), rows.astype(np.float32), inside))
    return found


def structure(rig: np.ndarray) -> np.ndarray:
    """What a rig's colours show of things: a band of scales, float32 (V, F, height / 4, width / 4, 3)."""
    height, width = rig.shape[2:4]
    size = (width // _SCALE, height // _SCALE)
    small = [cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in rig.reshape(-1, height, width, 3)]
    fine, coarse = (
        np.stack([cv2.GaussianBlur(picture.astype(np.float32), (0, 0), sigma) for picture in small])
        for sigma in _BLUR_PIXELS
    )
    return (fine - coarse).reshape(*rig.shape[:2], size[1], size[0], 3)


def agreement(pairs: Sequence[Overlap], rig: np.ndarray, neighbours: np.ndarray) -> float:
    """Mean correlation of every camera of `rig` with what its neighbours see, these taken from `neighbours`.

    Both are `structure`, less the mean image of other scenes.
    """
    values = []
    for pair in pairs:
        for own, other in zip(rig[pair.camera], neighbours[pair.other], strict=True):
            seen = cv2.remap(other, pair.columns, pair.rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            values += [correlation(own[pair.shared, k], seen[pair.shared, k]) for k in range(3)]
    return float(np.mean(values))


def _places(camera: Camera, other: Camera, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Column and row in the other's picture of every pixel's centre, far outside for what lies behind it."""
    focal, other_focal = camera.focal_px(width), other.focal_px(width)
    down, right = np.mgrid[0:height, 0:width].astype(np.float64)
    rays = np.stack(
        [(right + 0.5 - width / 2) / focal, (down + 0.5 - height / 2) / focal, np.ones_like(right)], axis=-1
    )
    rays = rays @ camera.axes().numpy()
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    origin = np.array(camera.position_m)
    distance = np.where(rays[..., 2] < 0, np.minimum(-origin[2] / np.minimum(rays[..., 2], -1e-9), _FAR_M), _FAR_M)
    seen = (origin + rays * distance[..., None] - np.array(other.position_m)) @ other.axes().numpy().T
    ahead = seen[..., 2] > 0.1
    depth = np.where(ahead, seen[..., 2], 1.0)
    columns = seen[..., 0] / depth * other_focal + width / 2 - 0.5
    rows = seen[..., 1] / depth * other_focal + height / 2 - 0.5
    return np.where(ahead, columns, _OUTSIDE), np.where(ahead, rows, _OUTSIDE)
