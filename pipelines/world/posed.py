"""A scene at the frames of one clip, on one device: where parts, vehicles and the camera are in every frame.

Poses are computed in float64 and rendered in float32, which keeps millimetres for the first ten kilometres of a
drive.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from airshower.pipelines.world.camera import Camera
from airshower.pipelines.world.finish import PartLook, part_look
from airshower.pipelines.world.light import Light, scene_light
from airshower.pipelines.world.parts import Shape
from airshower.pipelines.world.rays import PosedParts, pose_parts
from airshower.pipelines.world.scene import Scene
from airshower.pipelines.world.street import Street
from airshower.pipelines.world.vehicles import SIZE_M


@dataclass(frozen=True, kw_only=True)
class PosedScene:
    """Everything a ray needs at F frames; V vehicles, P parts.

    `origin` (3, F) is the camera, `axes` (3, 3, F) its right, down and forward vectors; `vehicles` (4, F, V) holds x, y
    and the cosine and sine of the heading, `vehicle_half` (2, V) half lengths and widths; `ego` (4, F) likewise.
    """

    street: Street
    light: Light
    look: PartLook
    parts: PosedParts
    shape_rows: dict[Shape, Tensor]
    casts_shadow: Tensor
    origin: Tensor
    axes: Tensor
    ego: Tensor
    vehicles: Tensor
    vehicle_half: Tensor
    vehicle_speed_mps: Tensor

    @property
    def frames(self) -> int:
        """How many frames are posed."""
        return self.origin.shape[1]


def frame_times_s(frames: int, fps: float, start_s: float) -> Tensor:
    """Times (F) of the frames in seconds, float64."""
    return start_s + torch.arange(frames, dtype=torch.float64) / fps


def camera_poses(scene: Scene, camera: Camera, time_s: Tensor) -> tuple[Tensor, Tensor]:
    """World position (3, F) and right, down, forward axes (3, 3, F) of a camera at times (F), float64."""
    ego = scene.ego_poses(time_s)
    cos, sin, zero = ego.heading_rad.cos(), ego.heading_rad.sin(), torch.zeros_like(ego.heading_rad)
    turn = torch.stack(
        [torch.stack([cos, -sin, zero]), torch.stack([sin, cos, zero]), torch.stack([zero, zero, zero + 1])]
    )
    axes = torch.einsum("ijf,kj->kif", turn, camera.axes())
    mount = torch.einsum("ijf,j->if", turn, torch.tensor(camera.position_m, dtype=torch.float64))
    return mount + torch.stack([ego.x_m, ego.y_m, zero]), axes


def pose_scene(scene: Scene, camera: Camera, time_s: Tensor, device: torch.device) -> PosedScene:
    """Pose a scene for a camera at times (F) in seconds."""
    bodies, ego = scene.body_poses(time_s), scene.ego_poses(time_s)
    origin, axes = camera_poses(scene, camera, time_s)
    x_m, y_m, heading = (
        pose.to(device) for pose in (bodies.x_m.float(), bodies.y_m.float(), bodies.heading_rad.float())
    )
    driving = [row for row, body in enumerate(scene.bodies) if body.kind in SIZE_M]
    sizes = torch.tensor([SIZE_M[scene.bodies[row].kind][:2] for row in driving]).T * 0.5
    speeds = torch.tensor([abs(scene.bodies[row].speed_mps) for row in driving])
    vehicles = torch.stack([x_m[:, driving], y_m[:, driving], heading[:, driving].cos(), heading[:, driving].sin()])
    shapes = torch.from_numpy(scene.parts.shape).to(device)
    return PosedScene(
        street=scene.street,
        light=scene_light(scene),
        look=part_look(scene.parts, device),
        parts=pose_parts(scene.parts, x_m, y_m, heading),
        shape_rows={shape: shapes == shape for shape in Shape},
        casts_shadow=torch.from_numpy(scene.parts.casts_shadow).to(device),
        origin=origin.float().to(device),
        axes=axes.float().to(device),
        ego=torch.stack([ego.x_m, ego.y_m, ego.heading_rad.cos(), ego.heading_rad.sin()]).float().to(device),
        vehicles=vehicles,
        vehicle_half=sizes.to(device),
        vehicle_speed_mps=speeds.to(device),
    )
