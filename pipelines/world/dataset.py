"""Write sample-world clips to disk: videos of every buffer, camera parameters, light, and a row to generate from.

Layout with one view: DIR/NAME/{rgb,depth,seg,edge,normal,base_colour,roughness,metallic,hdmap}.mp4, environment.npz,
cameras.json, and DIR/NAME.json in the public Transfer2.5 fields. With several views the videos move to DIR/NAME/VIEW/,
each with a cameras.json of its own, every view gets its own DIR/NAME_VIEW.json, and DIR/multiview/NAME.json asks for
all of them together. Depth is also kept in metres (depth.npz). Existing files are overwritten.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from airshower.configs.cameras import RIG
from airshower.models.edge_map import edge_map
from airshower.pipelines.media import write_video
from airshower.pipelines.world.camera import Camera, front_camera, seven_camera_rig
from airshower.pipelines.world.caption import caption
from airshower.pipelines.world.controls import depth_control, normal_image, segmentation_control
from airshower.pipelines.world.hdmap import render_hdmap
from airshower.pipelines.world.light import environment_light
from airshower.pipelines.world.posed import camera_poses, frame_times_s
from airshower.pipelines.world.render import Render, render
from airshower.pipelines.world.scene import Scene, sample_scene

PICTURE_CRF, LABEL_CRF = 14, 6


@dataclass(frozen=True, kw_only=True)
class ClipShape:
    """Size and speed of the clips to write."""

    frames: int
    fps: float
    height: int
    width: int
    supersample: int = 2

    def __post_init__(self) -> None:
        if self.height % 2 or self.width % 2:
            raise ValueError(
                f"clip {self.height}x{self.width}: both sides must be even, or yuv420p video cannot hold them"
            )


def _grey(value: Tensor) -> Tensor:
    return value[..., None].expand(*value.shape, 3)


def _write_view(folder: Path, scene: Scene, camera: Camera, shape: ClipShape, device: str | torch.device) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    size: dict[str, Any] = {"frames": shape.frames, "fps": shape.fps, "height": shape.height, "width": shape.width}
    clip: Render = render(scene, camera, **size, device=device, supersample=shape.supersample)
    videos = {
        "rgb": clip.rgb,
        "depth": depth_control(clip.depth_m),
        "normal": normal_image(clip.normal),
        "base_colour": clip.base_colour,
        "roughness": _grey(clip.roughness),
        "metallic": _grey(clip.metallic),
    }
    # Labels are read back by colour, so they keep more detail than pictures need.
    crisp = {
        "seg": segmentation_control(clip.segmentation),
        "edge": torch.from_numpy(edge_map(clip.rgb.cpu().numpy(), "medium")),
        "hdmap": render_hdmap(scene, camera, **size),
    }
    for name, frames in videos.items():
        write_video(folder / f"{name}.mp4", frames.cpu().numpy(), shape.fps, crf=PICTURE_CRF)
    for name, frames in crisp.items():
        write_video(folder / f"{name}.mp4", frames.cpu().numpy(), shape.fps, crf=LABEL_CRF)
    np.savez_compressed(folder / "depth.npz", depth_m=clip.depth_m.half().cpu().numpy())


def camera_parameters(scene: Scene, camera: Camera, shape: ClipShape) -> dict[str, object]:
    """Intrinsics and a camera-to-world matrix per frame, as `airshower.configs.camera_file` has them."""
    origin, axes = camera_poses(scene, camera, frame_times_s(shape.frames, shape.fps, 0.0))
    matrices = torch.eye(4, dtype=torch.float64).repeat(shape.frames, 1, 1)
    matrices[:, :3, :3], matrices[:, :3, 3] = axes.permute(2, 1, 0), origin.T
    focal = camera.focal_px(shape.width)
    return {
        "fov_deg": camera.fov_deg,
        "width_px": shape.width,
        "height_px": shape.height,
        "intrinsics_px": {"fx": focal, "fy": focal, "cx": shape.width / 2, "cy": shape.height / 2},
        "camera_to_world": matrices.tolist(),
    }


def row_spec(name: str, prompt: str, folder: str) -> dict[str, object]:
    """A generation row in the public Transfer2.5 fields, with paths relative to the dataset's directory."""
    controls = {key: {"control_path": f"{folder}/{key}.mp4", "control_weight": 1.0} for key in ("depth", "seg", "edge")}
    return {
        "name": name,
        "prompt": prompt,
        "video_path": f"{folder}/rgb.mp4",
        "camera_path": f"{folder}/cameras.json",
        **controls,
        "vis": {"control_weight": 1.0},
    }


def multiview_row_spec(name: str, prompt: str, views: Sequence[str], fps: float) -> dict[str, object]:
    """A row of several cameras in the public multiview fields, with paths relative to DIR/multiview."""
    cameras = {
        view: {"control_path": f"../{name}/{view}/hdmap.mp4", "input_path": f"../{name}/{view}/rgb.mp4"}
        for view in views
    }
    own = {"camera_path": f"../{name}/cameras.json", "fps": fps, "num_conditional_frames": 0}
    return {"name": name, "prompt": prompt, **own, **cameras}


def _cameras(views: Sequence[str]) -> dict[str, Camera]:
    known = {"front": front_camera(), **seven_camera_rig()}
    unknown = [view for view in views if view not in known]
    if unknown or not views:
        raise ValueError(f"views {list(views)}: choose at least one, each from {', '.join(known)}")
    return {view: known[view] for view in views}


def write_dataset(
    directory: str | Path,
    *,
    clips: int,
    seed: int,
    frames: int,
    fps: float,
    height: int,
    width: int,
    views: Sequence[str] = ("front",),
    weather: str | None = None,
    time_of_day: str | None = None,
    device: str | torch.device = "cpu",
    supersample: int = 2,
) -> Iterator[str]:
    """Write `clips` scenes with seeds from `seed` on and yield each clip's name once all its files are there.

    Raises ValueError for unknown views, weathers, times and odd sizes, OSError where the directory can't be written.
    """
    shape = ClipShape(frames=frames, fps=fps, height=height, width=width, supersample=supersample)
    cameras, root = _cameras(views), Path(directory)
    for number in range(clips):
        scene = sample_scene(seed + number, weather=weather, time_of_day=time_of_day)
        name = f"street_{seed + number:05d}"
        _write_clip(root, name, scene, cameras, shape, device)
        yield name


def _write_clip(
    root: Path, name: str, scene: Scene, cameras: dict[str, Camera], shape: ClipShape, device: str | torch.device
) -> None:
    alone = len(cameras) == 1
    (root / name).mkdir(parents=True, exist_ok=True)
    np.savez_compressed(root / name / "environment.npz", radiance=environment_light(scene).numpy())
    about = {"seed": scene.seed, "weather": scene.weather, "time_of_day": scene.time_of_day, "fps": shape.fps}
    parameters = {view: camera_parameters(scene, camera, shape) for view, camera in cameras.items()}
    (root / name / "cameras.json").write_text(json.dumps({**about, "cameras": parameters}))
    for view, camera in cameras.items():
        folder = name if alone else f"{name}/{view}"
        _write_view(root / folder, scene, camera, shape, device)
        if not alone:
            (root / folder / "cameras.json").write_text(json.dumps({**about, "cameras": {view: parameters[view]}}))
        row_name = name if alone else f"{name}_{view}"
        _write_json(root / f"{row_name}.json", row_spec(row_name, caption(scene), folder))
    together = [view for view in cameras if view in RIG]
    if len(together) > 1:
        row = multiview_row_spec(name, caption(scene), together, shape.fps)
        _write_json(root / "multiview" / f"{name}.json", row)


def _write_json(path: Path, value: dict[str, object]) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(value, indent=2) + "\n")
