"""Write sample-world clips to disk: videos of every buffer, camera parameters, light, and a row to generate from.

Layout with one view: DIR/NAME/{rgb,depth,seg,edge,normal,base_colour,roughness,metallic,hdmap}.mp4, environment.npz,
cameras.json, and DIR/NAME.json in the public Transfer2.5 fields. With several views the videos move to DIR/NAME/VIEW/,
each with a cameras.json of its own, every view gets its own DIR/NAME_VIEW.json, and DIR/multiview/NAME.json asks for
all of them together. Depth is also kept in metres (depth.npz).

A scene's folder comes as a whole, with scene.json, which says how it was made. One that is there already, made alike,
is kept as it is; anything else that has a name of ours is somebody's, and then nothing is made.
"""

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import airshower
from airshower.configs.cameras import RIG
from airshower.models.edge_map import edge_map
from airshower.pipelines.media import write_video
from airshower.pipelines.own_files import InTheWayError, listed
from airshower.pipelines.whole_folder import content_of, json_of, whole_folder
from airshower.pipelines.world.camera import Camera, front_camera, seven_camera_rig
from airshower.pipelines.world.caption import caption
from airshower.pipelines.world.controls import depth_control, normal_image, segmentation_control
from airshower.pipelines.world.hdmap import render_hdmap
from airshower.pipelines.world.light import environment_light
from airshower.pipelines.world.posed import camera_poses, frame_times_s
from airshower.pipelines.world.render import Render, render
from airshower.pipelines.world.scene import Scene, sample_scene

PICTURE_CRF, LABEL_CRF = 14, 6
_ABOUT = "scene.json"


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

    Raises ValueError for unknown views, weathers, times and odd sizes, InTheWayError for files that no call like this
    has written, OSError where the directory can't be written.
    """
    shape = ClipShape(frames=frames, fps=fps, height=height, width=width, supersample=supersample)
    cameras, root = _cameras(views), Path(directory)
    seeds = range(seed, seed + clips)

    def clip(number: int) -> _Clip:
        scene = sample_scene(number, weather=weather, time_of_day=time_of_day)
        return _Clip(name=f"street_{number:05d}", scene=scene, cameras=cameras, shape=shape)

    _refuse_taken(root, map(clip, seeds))
    for made in map(clip, seeds):
        made.write(root, device)
        yield made.name


@dataclass(frozen=True, kw_only=True)
class _Clip:
    """A scene with its cameras, as files."""

    name: str
    scene: Scene
    cameras: dict[str, Camera]
    shape: ClipShape

    def about(self) -> dict[str, Any]:
        """What scene.json says: the same for all that is made alike."""
        look = {"seed": self.scene.seed, "weather": self.scene.weather, "time_of_day": self.scene.time_of_day}
        return {**look, **asdict(self.shape), "views": list(self.cameras), "airshower": airshower.__version__}

    def rows(self) -> dict[str, str]:
        """The rows that ask for it, as text by path."""
        alone, prompt = len(self.cameras) == 1, caption(self.scene)
        rows: dict[str, dict[str, object]] = {}
        for view in self.cameras:
            row_name, folder = (self.name, self.name) if alone else (f"{self.name}_{view}", f"{self.name}/{view}")
            rows[f"{row_name}.json"] = row_spec(row_name, prompt, folder)
        together = [view for view in self.cameras if view in RIG]
        if len(together) > 1:
            rows[f"multiview/{self.name}.json"] = multiview_row_spec(self.name, prompt, together, self.shape.fps)
        return {path: json.dumps(row, indent=2) + "\n" for path, row in rows.items()}

    def taken(self, root: Path) -> list[str]:
        """The names that something else has."""
        taken = [path for path, text in self.rows().items() if content_of(root / path) not in (None, text)]
        if os.path.lexists(root / self.name) and json_of(root / self.name / _ABOUT) != self.about():
            taken.append(f"{self.name}/")
        return taken

    def write(self, root: Path, device: str | torch.device) -> None:
        """Writes what isn't there."""
        if not (root / self.name).exists():
            with whole_folder(root / self.name) as folder:
                self._write_files(folder, device)
        for path, text in self.rows().items():
            (root / path).parent.mkdir(exist_ok=True)
            if content_of(root / path) is None:
                with (root / path).open("x") as file:
                    file.write(text)

    def _write_files(self, folder: Path, device: str | torch.device) -> None:
        scene, shape = self.scene, self.shape
        np.savez_compressed(folder / "environment.npz", radiance=environment_light(scene).numpy())
        about = {"seed": scene.seed, "weather": scene.weather, "time_of_day": scene.time_of_day, "fps": shape.fps}
        parameters = {view: camera_parameters(scene, camera, shape) for view, camera in self.cameras.items()}
        (folder / "cameras.json").write_text(json.dumps({**about, "cameras": parameters}))
        for view, camera in self.cameras.items():
            place = folder if len(self.cameras) == 1 else folder / view
            _write_view(place, scene, camera, shape, device)
            if place != folder:
                (place / "cameras.json").write_text(json.dumps({**about, "cameras": {view: parameters[view]}}))
        (folder / _ABOUT).write_text(json.dumps(self.about(), indent=2) + "\n")


def _refuse_taken(root: Path, clips: Iterator[_Clip]) -> None:
    if taken := [name for clip in clips for name in clip.taken(root)]:
        raise InTheWayError(
            f"{root}: holds {listed(taken)}, not as this call writes it: nothing is made: give another DIR"
        )
