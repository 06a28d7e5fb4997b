"""Held-out scenes through all cameras of the rig: rendered by Ray tasks, written as rows, and their clips read back.

One row per scene, made from its HD maps and its prompt alone; rows lie beside their videos, so `airshower generate
ROWS` makes them again. Assumes the world's renders are at the model's size.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import ray

from airshower.configs.sizes import Size
from airshower.pipelines.evaluation.scenes import render_task
from airshower.pipelines.media import read_video, write_video
from airshower.pipelines.world.camera import seven_camera_rig
from airshower.pipelines.world.caption import caption
from airshower.pipelines.world.hdmap import render_hdmap
from airshower.pipelines.world.render import render_rgb
from airshower.pipelines.world.scene import sample_scene

_MAP_CRF = 6  # flat colours must stay flat


@dataclass(frozen=True, kw_only=True)
class RigScene:
    """One scene through the rig: pictures and HD maps of V cameras, uint8 (V, F, height, width, 3)."""

    name: str
    prompt: str
    seed: int  # of its clip: another noise for each scene, or clips would be alike for that alone
    frames: np.ndarray
    hdmaps: np.ndarray
    fps: float


def render_rig_scenes(
    first_seed: int, count: int, *, frames: int, fps: float, size: Size, device: str
) -> list[RigScene]:
    """Scenes of `count` seeds from `first_seed` on, in the weather and at the time that the seed draws."""

    def one(seed: int) -> RigScene:
        scene = sample_scene(seed)
        shape: dict[str, Any] = {"frames": frames, "fps": fps, "height": size.height, "width": size.width}
        cameras = list(seven_camera_rig().values())
        return RigScene(
            name=f"scene{seed}",
            prompt=caption(scene),
            seed=seed,
            frames=np.stack([render_rgb(scene, camera, **shape, device=device).cpu().numpy() for camera in cameras]),
            hdmaps=np.stack([render_hdmap(scene, camera, **shape).numpy() for camera in cameras]),
            fps=fps,
        )

    task = render_task(one, device)
    return ray.get([task.remote(seed) for seed in range(first_seed, first_seed + count)])


def write_rig_rows(scenes: Sequence[RigScene], folder: Path) -> Path:
    """Writes the scenes' HD maps and one row per scene; returns the path of the rows (JSON lines)."""
    folder.mkdir(parents=True, exist_ok=True)
    for scene in scenes:
        for camera, maps in zip(seven_camera_rig(), scene.hdmaps, strict=True):
            write_video(folder / _map_file(scene, camera), maps, scene.fps, crf=_MAP_CRF)
    path = folder / "rows.jsonl"
    path.write_text("".join(f"{json.dumps(_row(scene))}\n" for scene in scenes))
    return path


def read_rig_outputs(scenes: Sequence[RigScene], run_folder: Path) -> list[np.ndarray]:
    """The clips that a run made, as users get them, in the form of the scenes' frames."""
    return [
        np.stack([read_video(str(run_folder / f"{scene.name}_{camera}.mp4")).frames for camera in seven_camera_rig()])
        for scene in scenes
    ]


def _map_file(scene: RigScene, camera: str) -> str:
    return f"{scene.name}_{camera}_hdmap.mp4"


def _row(scene: RigScene) -> dict[str, Any]:
    return {
        "name": scene.name,
        "prompt": scene.prompt,
        "seed": scene.seed,
        "fps": scene.fps,
        "num_video_frames_per_view": scene.frames.shape[1],
        "num_conditional_frames": 0,
        "save_combined_views": False,
        **{camera: {"control_path": _map_file(scene, camera)} for camera in seven_camera_rig()},
    }
