"""Pinhole cameras on the ego vehicle, one at a time or as the usual rig of seven.

Vehicle axes are x forward, y left, z up with the origin on the ground below the vehicle's middle. Camera axes are x
right, y down, z along the optical axis. Angles are in degrees, positive yaw turns left, positive pitch looks up.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Camera:
    """A pinhole camera and where it sits on the ego vehicle."""

    name: str
    fov_deg: float
    """Horizontal field of view."""
    position_m: tuple[float, float, float]
    yaw_deg: float = 0.0
    pitch_deg: float = 0.0

    def __post_init__(self) -> None:
        if not 1 <= self.fov_deg < 180:
            raise ValueError(f"camera {self.name!r}: fov_deg {self.fov_deg} must be from 1 to below 180 for a pinhole")

    def focal_px(self, width: int) -> float:
        """Focal length in pixels at an image width."""
        return width / 2 / math.tan(math.radians(self.fov_deg) / 2)

    def axes(self) -> Tensor:
        """Right, down and forward unit vectors in vehicle axes, as the rows of a (3, 3) float64 tensor."""
        yaw, pitch = math.radians(self.yaw_deg), math.radians(self.pitch_deg)
        forward = (math.cos(yaw) * math.cos(pitch), math.sin(yaw) * math.cos(pitch), math.sin(pitch))
        right = (math.sin(yaw), -math.cos(yaw), 0.0)
        forward_t, right_t = torch.tensor(forward, dtype=torch.float64), torch.tensor(right, dtype=torch.float64)
        return torch.stack([right_t, torch.linalg.cross(forward_t, right_t), forward_t])


def front_camera() -> Camera:
    """The single forward camera: behind the windscreen, 90 degrees wide."""
    return Camera(name="front", fov_deg=90, position_m=(1.2, 0.0, 1.5), pitch_deg=-2.0)


def seven_camera_rig() -> dict[str, Camera]:
    """The seven cameras of the multi-view models, in their order."""
    cameras = (
        Camera(name="front_wide", fov_deg=120, position_m=(1.2, 0.0, 1.5), pitch_deg=-2.0),
        Camera(name="cross_right", fov_deg=120, position_m=(1.6, -0.8, 1.3), yaw_deg=-70.0),
        Camera(name="rear_right", fov_deg=70, position_m=(1.2, -0.9, 1.2), yaw_deg=-150.0),
        Camera(name="rear", fov_deg=30, position_m=(-1.8, 0.0, 1.4), yaw_deg=180.0),
        Camera(name="rear_left", fov_deg=70, position_m=(1.2, 0.9, 1.2), yaw_deg=150.0),
        Camera(name="cross_left", fov_deg=120, position_m=(1.6, 0.8, 1.3), yaw_deg=70.0),
        Camera(name="front_tele", fov_deg=30, position_m=(1.2, 0.0, 1.5)),
    )
    return {camera.name: camera for camera in cameras}


def mirrored_order(rig: Mapping[str, Camera]) -> list[int]:
    """For every camera of a rig that is the same left and right, which one's mirrored pictures it would take.

    Raises ValueError when a camera has no counterpart.
    """
    cameras = list(rig.values())
    order = []
    for camera in cameras:
        x, y, z = camera.position_m
        yaw = -camera.yaw_deg if abs(camera.yaw_deg) < 180 else camera.yaw_deg
        twin = replace(camera, position_m=(x, -y, z), yaw_deg=yaw)
        found = [number for number, other in enumerate(cameras) if replace(other, name=camera.name) == twin]
        if not found:
            raise ValueError(f"camera {camera.name!r}: the rig has none that mirrors it")
        order.append(found[0])
    return order
