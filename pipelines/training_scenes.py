"""One training clip from the sample world: what is recorded of a scene, and how.

A recording is a uint8 tensor per kind of video and several captions. It is a function of the scene's seed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from airshower.configs.training import RigClips, WorldClips
from airshower.models.edge_map import edge_map
from airshower.models.training.clips import VIDEO
from airshower.models.vis_map import vis_map
from airshower.pipelines.world.camera import front_camera, seven_camera_rig
from airshower.pipelines.world.caption import caption
from airshower.pipelines.world.controls import depth_control, segmentation_control
from airshower.pipelines.world.hdmap import render_hdmap
from airshower.pipelines.world.render import render, render_rgb
from airshower.pipelines.world.scene import Scene, sample_scene

MAX_START_S = 6.0  # clips begin anywhere in the first seconds of a scene
# Mostly the strength people get by default, some of the neighbouring ones.
STRENGTHS = {"low": 0.15, "medium": 0.7, "high": 0.15}


@dataclass(frozen=True)
class Recording:
    """Videos by kind, (F, H, W, 3) of one camera or (V, F, H, W, 3) of a rig, and wordings of what they show."""

    videos: Mapping[str, Tensor]
    captions: list[str]


def record(clips: WorldClips, seed: int, device: str) -> Recording:
    """Renders the clip of one seed."""
    random, scene = np.random.RandomState(seed), sample_scene(seed)
    start_s = random.uniform(0, MAX_START_S)
    if isinstance(clips, RigClips):
        videos = _through_rig(clips, scene, start_s, device)
    else:
        videos = _through_front_camera(clips, scene, start_s, random, device)
    return Recording(videos, [caption(scene, variant, start_s=start_s) for variant in range(clips.captions)])


def _shape(clips: WorldClips, start_s: float) -> dict[str, Any]:
    return {
        "frames": clips.frames,
        "fps": clips.fps,
        "height": clips.height,
        "width": clips.width,
        "start_s": start_s,
    }


def _through_front_camera(
    clips: WorldClips, scene: Scene, start_s: float, random: np.random.RandomState, device: str
) -> dict[str, Tensor]:
    """The picture and all four controls of transfer."""
    rendered = render(scene, front_camera(), **_shape(clips, start_s), device=device)
    rgb = rendered.rgb.cpu().numpy()
    edge, vis = (random.choice(list(STRENGTHS), p=list(STRENGTHS.values())) for _ in range(2))
    return {
        VIDEO: torch.from_numpy(rgb),
        "edge": torch.from_numpy(edge_map(rgb, edge)),
        "vis": torch.from_numpy(vis_map(rgb, vis)),
        "depth": depth_control(rendered.depth_m).cpu(),
        "seg": segmentation_control(rendered.segmentation).cpu(),
    }


def _through_rig(clips: RigClips, scene: Scene, start_s: float, device: str) -> dict[str, Tensor]:
    """Picture and HD map of every camera, in their order."""
    shape = _shape(clips, start_s)
    pictures, maps = [], []
    for camera in seven_camera_rig().values():
        pictures.append(render_rgb(scene, camera, **shape, device=device).cpu())
        maps.append(render_hdmap(scene, camera, **shape))
    return {VIDEO: torch.stack(pictures), "hdmap": torch.stack(maps)}
