"""HD-map pictures: lanes, kerbs, crossings, poles and vehicle boxes on black, as a camera would see them.

This is the control that driving models call a world scenario: flat colours, brighter when near. Boxes hide one
another by distance; lines on the ground are drawn first and hide nothing. Buildings, trees and light play no part.
"""

from collections.abc import Iterator

import cv2
import numpy as np
import torch
from torch import Tensor

from airshower.pipelines.world.camera import Camera
from airshower.pipelines.world.ground import CROSSWALK_M, STOP_LINE_M
from airshower.pipelines.world.posed import camera_poses, frame_times_s
from airshower.pipelines.world.scene import Poses, Scene
from airshower.pipelines.world.vehicles import SIZE_M

Colour = tuple[int, int, int]

LANE_LINE: Colour = (96, 176, 240)
CENTRE_LINE: Colour = (240, 214, 72)
KERB: Colour = (216, 52, 52)
CROSSWALK: Colour = (190, 118, 56)
STOP_LINE: Colour = (235, 235, 235)
POLE: Colour = (104, 72, 190)
SIGNAL: Colour = (120, 200, 170)
VEHICLE: Colour = (236, 44, 60)
PEDESTRIAN: Colour = (80, 220, 120)
NEAR_M = 0.3
SIGHT_M = 150.0
STEP_M = 2.0
SUBPIXEL_BITS = 4

FACES = ((0, 1, 3, 2), (4, 5, 7, 6), (0, 1, 5, 4), (2, 3, 7, 6), (0, 2, 6, 4), (1, 3, 7, 5))
FACE_SHADES = (0.30, 0.55, 0.36, 0.36, 0.24, 0.45)


class _Canvas:
    """One picture and its pinhole; draws world shapes clipped to what lies in front of the camera."""

    def __init__(self, camera: Camera, origin: np.ndarray, axes: np.ndarray, height: int, width: int) -> None:
        self.picture = np.zeros((height, width, 3), np.uint8)
        self.origin, self.axes, self.focal = origin, axes, camera.focal_px(width)
        self.middle = np.array([width / 2 - 0.5, height / 2 - 0.5])
        self.thickness = max(1, round(height / 200))

    def to_camera(self, points_m: np.ndarray) -> np.ndarray:
        """Camera-axis coordinates (N, 3) of world points (N, 3)."""
        return (points_m - self.origin) @ self.axes.T

    def pixels(self, seen_m: np.ndarray) -> np.ndarray:
        """Fixed-point pixel positions for OpenCV of camera-axis points."""
        flat = seen_m[:, :2] / seen_m[:, 2:] * self.focal + self.middle
        return np.clip(flat * (1 << SUBPIXEL_BITS), -1e6, 1e6).round().astype(np.int32)

    def line(self, points_m: np.ndarray, colour: Colour, *, closed: bool = False) -> None:
        """Draw a polyline, each segment clipped at the near plane and dimmed by its distance."""
        seen = self.to_camera(points_m)
        if seen[:, 2].max() <= NEAR_M:
            return
        begin, end = (seen, np.roll(seen, -1, axis=0)) if closed else (seen[:-1], seen[1:])
        in_sight = np.maximum(begin[:, 2], end[:, 2]) > NEAR_M
        segments = _in_front(begin[in_sight], end[in_sight])
        pixels = self.pixels(segments.reshape(-1, 3)).reshape(-1, 2, 2)
        in_picture = self._may_touch(pixels)
        depths_m = segments[in_picture, :, 2].mean(1)
        for ends, depth_m in zip(pixels[in_picture], depths_m.tolist(), strict=True):
            shade = _dimmed(colour, depth_m)
            cv2.polylines(self.picture, [ends], False, shade, self.thickness, cv2.LINE_AA, SUBPIXEL_BITS)

    def _may_touch(self, pixels: np.ndarray) -> np.ndarray:
        """Which segments (N, 2, 2), in fixed-point pixels, don't lie wholly on one side of the picture."""
        margin = self.thickness + 2
        size = np.array([self.picture.shape[1], self.picture.shape[0]])
        low, high = -margin * (1 << SUBPIXEL_BITS), (size + margin) * (1 << SUBPIXEL_BITS)
        return ((pixels.max(1) > low) & (pixels.min(1) < high)).all(1)

    def fill(self, points_m: np.ndarray, colour: Colour) -> None:
        """Fill a convex polygon, clipped at the near plane and dimmed by its distance."""
        polygon = _clip_polygon(self.to_camera(points_m))
        if len(polygon) >= 3:
            shade = _dimmed(colour, float(polygon[:, 2].mean()))
            cv2.fillConvexPoly(self.picture, self.pixels(polygon), shade, cv2.LINE_AA, SUBPIXEL_BITS)


def _dimmed(colour: Colour, depth_m: float) -> Colour:
    share = 0.3 + 0.7 * float(np.exp(-max(depth_m, 0.0) / 60))
    return (int(colour[0] * share), int(colour[1] * share), int(colour[2] * share))


def _in_front(begin: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Segments (N, 2, 3) from their ends (N, 3); an end behind the near plane is moved onto it."""
    segments = np.stack([begin, end], axis=1)
    for near, far in ((0, 1), (1, 0)):
        behind = segments[:, near, 2] < NEAR_M
        inside, outside = segments[behind, far], segments[behind, near]
        share = (NEAR_M - outside[:, 2:]) / (inside[:, 2:] - outside[:, 2:])
        segments[behind, near] = outside + share * (inside - outside)
    return segments


def _clip_polygon(points: np.ndarray) -> np.ndarray:
    """Cut a polygon (N, 3) in camera axes at the near plane."""
    kept = []
    for begin, end in zip(points, np.roll(points, -1, axis=0), strict=True):
        if begin[2] >= NEAR_M:
            kept.append(begin)
        if (begin[2] >= NEAR_M) != (end[2] >= NEAR_M):
            kept.append(begin + (NEAR_M - begin[2]) / (end[2] - begin[2]) * (end - begin))
    return np.array(kept).reshape(-1, 3)


def _on_street(scene: Scene, along_m: np.ndarray, offset_m: np.ndarray) -> np.ndarray:
    x, y, _ = scene.street.place(torch.from_numpy(along_m), torch.from_numpy(offset_m))
    return np.stack([x.numpy(), y.numpy(), np.zeros(len(along_m))], axis=1)


def _stretches(scene: Scene, begin_m: float, end_m: float, margin_m: float) -> Iterator[np.ndarray]:
    """Sample places along the street between crossings, keeping `margin_m` away from them."""
    spacing, half = scene.street.crossing_spacing_m, scene.street.crossing_half_width_m + margin_m
    for number in range(int(begin_m // spacing), int(end_m // spacing) + 1):
        low, high = max(begin_m, number * spacing + half), min(end_m, (number + 1) * spacing - half)
        if high - low > STEP_M:
            yield np.linspace(low, high, max(2, int((high - low) / STEP_M)))


def _draw_ground(canvas: _Canvas, scene: Scene, along_m: float) -> None:
    street = scene.street
    begin, end = along_m - SIGHT_M, along_m + SIGHT_M
    half, cross = street.half_width_m, street.crossing_half_width_m
    crossings = np.arange(np.ceil(begin / street.crossing_spacing_m), end / street.crossing_spacing_m)
    for middle in crossings * street.crossing_spacing_m:
        for side in (-1, 1):
            low, high = (middle + side * (cross + edge) for edge in CROSSWALK_M)
            corners = np.array([low, high, high, low]), np.array([-half, -half, half, half])
            canvas.fill(_on_street(scene, *corners), CROSSWALK)
            stop = middle + side * (cross + sum(STOP_LINE_M) / 2)
            canvas.line(_on_street(scene, np.array([stop, stop]), np.array([0.0, side * half])), STOP_LINE)
            edge = np.linspace(half, half + 40, 12)
            for left in (-1, 1):
                canvas.line(_on_street(scene, np.full(12, middle + side * cross), left * edge), KERB)
    for stretch in _stretches(scene, begin, end, 0.0):
        for side in (-1, 1):
            canvas.line(_on_street(scene, stretch, np.full(len(stretch), side * half)), KERB)
    for stretch in _stretches(scene, begin, end, STOP_LINE_M[1]):
        canvas.line(
            _on_street(scene, stretch, np.zeros(len(stretch))), CENTRE_LINE if street.yellow_centre else LANE_LINE
        )
        for lane in range(1, street.lanes_per_direction + 1):
            for side in (-1, 1):
                offset = np.full(len(stretch), side * lane * street.lane_width_m)
                canvas.line(_on_street(scene, stretch, offset), LANE_LINE)


def _box(pose: tuple[float, float, float], size_m: tuple[float, float, float], base_m: float = 0.0) -> np.ndarray:
    """Corners (8, 3) of an upright box; bit 0 of the index is up, bit 1 left, bit 2 front."""
    x, y, heading = pose
    cos, sin = np.cos(heading), np.sin(heading)
    corners = np.array([(f, s, u) for f in (-0.5, 0.5) for s in (-0.5, 0.5) for u in (0, 1)]) * size_m
    turned = np.stack(
        [corners[:, 0] * cos - corners[:, 1] * sin, corners[:, 0] * sin + corners[:, 1] * cos, corners[:, 2]], 1
    )
    return turned + np.array((x, y, base_m))


def _draw_box(canvas: _Canvas, corners: np.ndarray, colour: Colour) -> None:
    """Fill the faces that look at the camera, far ones first, and outline them."""
    if canvas.to_camera(corners)[:, 2].max() <= NEAR_M:
        return
    centre = corners.mean(0)
    faces = []
    for face, shade in zip(FACES, FACE_SHADES, strict=True):
        points = corners[list(face)]
        outward = points.mean(0) - centre
        if np.dot(outward, canvas.origin - points.mean(0)) > 0:
            faces.append((points, shade))
    for points, shade in faces:
        canvas.fill(points, (int(colour[0] * shade), int(colour[1] * shade), int(colour[2] * shade)))
    for points, _ in faces:
        canvas.line(points, colour, closed=True)


def _draw_bodies(canvas: _Canvas, scene: Scene, poses: Poses, frame: int) -> None:
    """Draw poles, people and vehicles, farthest first."""
    x_m, y_m, heading_rad = (value[frame].numpy() for value in (poses.x_m, poses.y_m, poses.heading_rad))
    away_m = np.hypot(x_m - canvas.origin[0], y_m - canvas.origin[1])
    for row in np.argsort(-away_m):
        body = scene.bodies[row]
        if away_m[row] >= SIGHT_M or body.kind not in (*SIZE_M, "lamp", "signal", "pedestrian"):
            continue
        x, y, heading = float(x_m[row]), float(y_m[row]), float(heading_rad[row])
        if body.kind in SIZE_M:
            _draw_box(canvas, _box((x, y, heading), SIZE_M[body.kind]), VEHICLE)
        elif body.kind == "pedestrian":
            _draw_box(canvas, _box((x, y, heading), (0.5, 0.6, 1.75)), PEDESTRIAN)
        else:
            top_m = 6.6 if body.kind == "lamp" else 3.7
            canvas.line(np.array([(x, y, 0.0), (x, y, top_m / 2), (x, y, top_m)]), POLE)
            if body.kind == "signal":
                _draw_box(canvas, _box((x, y, heading), (0.28, 0.38, 1.1), 2.68), SIGNAL)


def render_hdmap(
    scene: Scene, camera: Camera, *, frames: int, fps: float, height: int, width: int, start_s: float = 0.0
) -> Tensor:
    """Draw the HD map as pictures (frames, height, width, 3), uint8 RGB on the CPU, in step with `render`."""
    time_s = frame_times_s(frames, fps, start_s)
    origins, axes = camera_poses(scene, camera, time_s)
    poses, along = scene.body_poses(time_s), scene.ego.along(time_s)
    pictures = []
    for frame in range(frames):
        canvas = _Canvas(camera, origins[:, frame].numpy(), axes[:, :, frame].numpy(), height, width)
        _draw_ground(canvas, scene, float(along[frame]))
        _draw_bodies(canvas, scene, poses, frame)
        pictures.append(canvas.picture)
    return torch.from_numpy(np.stack(pictures))
