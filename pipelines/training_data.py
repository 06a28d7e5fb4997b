"""Training clips from the sample world: rendered with their controls, and encoded by an autoencoder.

Both are streaming Ray Data graphs that write shards (`airshower.models.training.clips`). Shards that are already there
are kept, so an interrupted preparation goes on where it stopped, and one set of rendered clips serves many trainings.
Assumes that the driver sees the folders that the workers write.
"""

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import ray.data
import torch
from torch import Tensor

from airshower.configs.training import RigClips, WorldClips
from airshower.models.training.clips import has_shard, read_captions, read_shard, shard_names, write_shard
from airshower.pipelines.training_scenes import record
from airshower.pipelines.world.camera import mirrored_order, seven_camera_rig

CLIPS_PER_SHARD = 8  # a rig's clips, seven times as large, have a shard each
RAY_STEPS_PER_UNIT = 10_000  # of a resource
_SHARD_FILE = re.compile(r"clips-\d+(-mirrored)?\.(safetensors|json|json\.part)")
OnClips = Callable[[int], None]


def holds_only_shards(folder: Path) -> bool:
    """Whether nothing else is in a folder, or there is none."""
    return not folder.exists() or (
        folder.is_dir() and all(_SHARD_FILE.fullmatch(path.name) for path in folder.iterdir())
    )


def render_clips(clips: WorldClips, folder: Path, *, device: str, workers: int, on_clips: OnClips) -> None:
    """Renders all clips into `folder`, uint8 (F, H, W, 3) per kind; `on_clips` is told how many more are there."""
    seeds = np.arange(clips.seed, clips.seed + clips.clips)
    size = 1 if isinstance(clips, RigClips) else CLIPS_PER_SHARD
    groups = [seeds[start : start + size] for start in range(0, len(seeds), size)]
    shards = [{"name": f"clips-{group[0]:06d}", "seeds": group} for group in groups]
    _write_shards(shards, folder, _ShardRenderer, (clips, str(folder), device), device, workers, on_clips)


def encode_clips(
    rendered: Path, folder: Path, *, autoencoder: Path, device: str, workers: int, on_clips: OnClips
) -> None:
    """Encodes all shards of `rendered` into `folder`, each as it is and mirrored."""
    shards = []
    for name in shard_names(rendered):
        shards.append({"name": name, "source": name, "mirrored": False})
        shards.append({"name": f"{name}-mirrored", "source": name, "mirrored": True})
    arguments = (str(rendered), str(folder), str(autoencoder), device)
    _write_shards(shards, folder, _ShardEncoder, arguments, device, workers, on_clips)


def _write_shards(
    shards: list[dict[str, Any]],
    folder: Path,
    writer: type,
    arguments: tuple[Any, ...],
    device: str,
    workers: int,
    on_clips: OnClips,
) -> None:
    """Runs one writer over the missing shards, on a pool of workers that share the GPUs where there are any."""
    missing = []
    for shard in shards:
        if has_shard(folder, shard["name"]):
            on_clips(len(read_captions(folder, shard["name"])))
        else:
            missing.append(shard)
    if not missing:
        return
    needs = {"num_gpus": _gpu_share(workers), "num_cpus": 0} if device == "cuda" else {"num_cpus": 1}
    written = ray.data.from_items(missing, override_num_blocks=len(missing)).map(
        writer,
        fn_constructor_args=arguments,
        compute=ray.data.ActorPoolStrategy(size=min(workers, len(missing))),
        **needs,
    )
    for row in written.iter_rows():
        on_clips(int(row["clips"]))


def _gpu_share(workers: int) -> float:
    """What a worker may hold of a GPU so that all of them fit; rounded down to the steps in which Ray counts."""
    share = ray.cluster_resources().get("GPU", 0) / workers
    return min(1.0, math.floor(share * RAY_STEPS_PER_UNIT) / RAY_STEPS_PER_UNIT)


class _ShardRenderer:
    """Renders the clips of one shard after the other."""

    def __init__(self, clips: WorldClips, folder: str, device: str) -> None:
        torch.set_num_threads(1)
        self._clips = clips
        self._folder = Path(folder)
        self._device = device

    def __call__(self, shard: dict[str, Any]) -> dict[str, Any]:
        seeds = [int(seed) for seed in shard["seeds"]]
        made = [record(self._clips, seed, self._device) for seed in seeds]
        tensors = {kind: torch.stack([one.videos[kind] for one in made]) for kind in made[0].videos}
        write_shard(self._folder, shard["name"], tensors, [one.captions for one in made])
        return {"clips": len(seeds)}


class _ShardEncoder:
    """Encodes one shard after the other."""

    def __init__(self, rendered: str, folder: str, autoencoder: str, device: str) -> None:
        from airshower.actors.clip_encoder import ClipEncoder  # diffusers: seconds that renderers don't need

        torch.set_num_threads(1)
        self._rendered, self._folder = Path(rendered), Path(folder)
        self._encoder = ClipEncoder(autoencoder, device)

    def __call__(self, shard: dict[str, Any]) -> dict[str, Any]:
        clips = read_shard(self._rendered, shard["source"])
        latents = {kind: self._encode(video, mirrored=shard["mirrored"]) for kind, video in clips.tensors.items()}
        write_shard(self._folder, shard["name"], latents, clips.captions)
        return {"clips": len(clips)}

    def _encode(self, videos: Tensor, *, mirrored: bool) -> Tensor:
        """Latents of clips (B, F, H, W, 3), or (B, V, F, H, W, 3) of a rig: its cameras change sides in a mirror."""
        if videos.ndim == 5:
            return self._encoder.encode(videos, mirrored=mirrored)
        cameras = mirrored_order(seven_camera_rig()) if mirrored else slice(None)
        return torch.stack([self._encoder.encode(views[cameras], mirrored=mirrored) for views in videos])
