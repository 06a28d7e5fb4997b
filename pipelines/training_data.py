"""Training clips from the sample world: rendered with their controls, and encoded by an autoencoder.

Both are streaming Ray Data graphs that write shards (`airshower.models.training.clips`). Shards that are already there
are kept, so an interrupted preparation goes on where it stopped, and one set of rendered clips serves many trainings.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import ray.data
import torch
from torch import Tensor

from airshower.actors.clip_encoder import ClipEncoder
from airshower.configs.training import WorldClips
from airshower.models.control_maps import edge_map, vis_map
from airshower.models.training.clips import has_shard, read_captions, read_shard, shard_names, write_shard
from airshower.pipelines.world.camera import front_camera
from airshower.pipelines.world.caption import caption
from airshower.pipelines.world.controls import depth_control, segmentation_control
from airshower.pipelines.world.render import render
from airshower.pipelines.world.scene import sample_scene

CLIPS_PER_SHARD = 8
MAX_START_S = 6.0  # clips begin anywhere in the first seconds of a scene
# Mostly the strength people get by default, some of the neighbouring ones.
STRENGTHS = {"low": 0.15, "medium": 0.7, "high": 0.15}

OnClips = Callable[[int], None]


def render_clips(clips: WorldClips, folder: Path, *, device: str, workers: int, on_clips: OnClips) -> None:
    """Renders all clips into `folder`, uint8 (F, H, W, 3) per kind; `on_clips` is told how many more are there."""
    seeds = np.arange(clips.seed, clips.seed + clips.clips)
    shards = [{"seeds": seeds[start : start + CLIPS_PER_SHARD]} for start in range(0, len(seeds), CLIPS_PER_SHARD)]
    _write_shards(shards, _ShardRenderer, (clips, str(folder), device), device, workers, on_clips)


def encode_clips(
    rendered: Path, folder: Path, *, autoencoder: Path, device: str, workers: int, on_clips: OnClips
) -> None:
    """Encodes all shards of `rendered` into `folder`, each as it is and mirrored."""
    shards = [{"name": name, "mirrored": mirrored} for name in shard_names(rendered) for mirrored in (False, True)]
    arguments = (str(rendered), str(folder), str(autoencoder), device)
    _write_shards(shards, _ShardEncoder, arguments, device, workers, on_clips)


def _write_shards(
    shards: list[dict[str, Any]],
    writer: type,
    arguments: tuple[Any, ...],
    device: str,
    workers: int,
    on_clips: OnClips,
) -> None:
    """Runs one writer over all shards, on a pool of workers that share the GPU where there is one."""
    needs: dict[str, Any] = {"num_gpus": 1 / workers, "num_cpus": 0} if device == "cuda" else {"num_cpus": 1}
    written = ray.data.from_items(shards, override_num_blocks=len(shards)).map(
        writer, fn_constructor_args=arguments, compute=ray.data.ActorPoolStrategy(size=workers), **needs
    )
    for row in written.iter_rows():
        on_clips(int(row["clips"]))


class _ShardRenderer:
    """Renders the clips of one shard after the other."""

    def __init__(self, clips: WorldClips, folder: str, device: str) -> None:
        torch.set_num_threads(1)
        self._clips = clips
        self._folder = Path(folder)
        self._device = device

    def __call__(self, shard: dict[str, Any]) -> dict[str, Any]:
        seeds = [int(seed) for seed in shard["seeds"]]
        name = f"clips-{seeds[0]:06d}"
        if not has_shard(self._folder, name):
            made = [self._render(seed) for seed in seeds]
            tensors = {kind: torch.stack([videos[kind] for videos, _ in made]) for kind in made[0][0]}
            write_shard(self._folder, name, tensors, [captions for _, captions in made])
        return {"clips": len(seeds)}

    def _render(self, seed: int) -> tuple[dict[str, Tensor], list[str]]:
        random, wanted = np.random.RandomState(seed), self._clips
        scene, start_s = sample_scene(seed), random.uniform(0, MAX_START_S)
        rendered = render(
            scene,
            front_camera(),
            frames=wanted.frames,
            fps=wanted.fps,
            height=wanted.height,
            width=wanted.width,
            start_s=start_s,
            device=self._device,
        )
        rgb = rendered.rgb.cpu().numpy()
        edge, vis = (random.choice(list(STRENGTHS), p=list(STRENGTHS.values())) for _ in range(2))
        videos = {
            "video": torch.from_numpy(rgb),
            "edge": torch.from_numpy(edge_map(rgb, edge)),
            "vis": torch.from_numpy(vis_map(rgb, vis)),
            "depth": depth_control(rendered.depth_m).cpu(),
            "seg": segmentation_control(rendered.segmentation).cpu(),
        }
        return videos, [caption(scene, variant, start_s=start_s) for variant in range(wanted.captions)]


class _ShardEncoder:
    """Encodes one shard after the other."""

    def __init__(self, rendered: str, folder: str, autoencoder: str, device: str) -> None:
        torch.set_num_threads(1)
        self._rendered, self._folder = Path(rendered), Path(folder)
        self._encoder = ClipEncoder(autoencoder, device)

    def __call__(self, shard: dict[str, Any]) -> dict[str, Any]:
        name = f"{shard['name']}-mirrored" if shard["mirrored"] else shard["name"]
        if not has_shard(self._folder, name):
            clips = read_shard(self._rendered, shard["name"])
            latents = {
                kind: self._encoder.encode(video, mirrored=shard["mirrored"]) for kind, video in clips.tensors.items()
            }
            write_shard(self._folder, name, latents, clips.captions)
        return {"clips": len(read_captions(self._folder, name))}
