"""Training clips from the sample world: rendered, with their controls, as pixels or as an autoencoder's latents.

A streaming Ray Data graph over seeds; every shard is one block's clips. Shards that are already there are kept, so an
interrupted preparation goes on where it stopped.
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
from airshower.models.training.clips import write_shard
from airshower.pipelines.world.camera import front_camera
from airshower.pipelines.world.caption import caption
from airshower.pipelines.world.controls import depth_control, segmentation_control
from airshower.pipelines.world.render import render
from airshower.pipelines.world.scene import sample_scene

CLIPS_PER_SHARD = 8
MAX_START_S = 6.0  # clips begin anywhere in the first seconds of a scene
# Mostly the strength people get by default, some of the neighbouring ones.
STRENGTHS = {"low": 0.15, "medium": 0.7, "high": 0.15}


class ClipMaker:
    """Renders clips and writes shards; with an autoencoder folder they hold latents instead of pixels."""

    def __init__(self, clips: WorldClips, folder: str, autoencoder: str | None, device: str) -> None:
        torch.set_num_threads(1)
        self._clips = clips
        self._folder = Path(folder)
        self._device = device
        self._encoder = ClipEncoder(autoencoder, device) if autoencoder is not None else None

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """One shard: takes seeds, returns how many clips it wrote."""
        seeds = [int(seed) for seed in batch["seed"]]
        name = f"clips-{seeds[0]:06d}"
        if not (self._folder / f"{name}.json").exists():
            made = [self._make(seed) for seed in seeds]
            tensors = {kind: torch.stack([videos[kind] for videos, _ in made]) for kind in made[0][0]}
            write_shard(self._folder, name, tensors, [captions for _, captions in made])
        return {"clips": np.array([len(seeds)])}

    def _make(self, seed: int) -> tuple[dict[str, Tensor], list[str]]:
        random = np.random.RandomState(seed)
        scene, wanted, start_s = sample_scene(seed), self._clips, random.uniform(0, MAX_START_S)
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
        videos = {
            "video": rgb,
            "edge": edge_map(rgb, random.choice(list(STRENGTHS), p=list(STRENGTHS.values()))),
            "vis": vis_map(rgb, random.choice(list(STRENGTHS), p=list(STRENGTHS.values()))),
            "depth": depth_control(rendered.depth_m).cpu().numpy(),
            "seg": segmentation_control(rendered.segmentation).cpu().numpy(),
        }
        to_tensor: Callable[[np.ndarray], Tensor] = torch.from_numpy if self._encoder is None else self._encoder.encode
        captions = [caption(scene, variant, start_s=start_s) for variant in range(wanted.captions)]
        return {kind: to_tensor(frames) for kind, frames in videos.items()}, captions


def prepare_clips(
    clips: WorldClips,
    folder: Path,
    *,
    autoencoder: Path | None,
    device: str,
    workers: int,
    on_clips: Callable[[int], None],
) -> None:
    """Writes all clips as shards into `folder`; `on_clips` is told how many more are there."""
    seeds = [{"seed": seed} for seed in range(clips.seed, clips.seed + clips.clips)]
    needs: dict[str, Any] = {"num_gpus": 1 / workers, "num_cpus": 0} if device == "cuda" else {"num_cpus": 1}
    made = ray.data.from_items(seeds, override_num_blocks=-(-clips.clips // CLIPS_PER_SHARD)).map_batches(
        ClipMaker,
        fn_constructor_args=(clips, str(folder), None if autoencoder is None else str(autoencoder), device),
        batch_size=CLIPS_PER_SHARD,
        compute=ray.data.ActorPoolStrategy(size=workers),
        **needs,
    )
    for row in made.iter_rows():
        on_clips(int(row["clips"]))
