"""Ground truth of an evaluation, rendered by Ray tasks: held-out scenes as clips, and scenes in each look as frames.

Assumes a Ray connection. What is asked of the sample world stays in this file; nothing is written to disk.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import ray

from airshower.configs.sizes import Size
from airshower.pipelines.evaluation.looks import LOOKS, Look
from airshower.pipelines.evaluation.probes import HeldOutScene
from airshower.pipelines.world.camera import front_camera
from airshower.pipelines.world.caption import caption
from airshower.pipelines.world.controls import depth_control, segmentation_control
from airshower.pipelines.world.render import Render, render
from airshower.pipelines.world.scene import Scene, sample_scene

FPS = 10.0
_RENDERS_PER_GPU = 4


@dataclass(frozen=True, kw_only=True)
class Example:
    """A ground-truth clip of one frame: how a scene looks, and how near everything in it is (the depth control)."""

    look: Look
    frames: np.ndarray
    depth: np.ndarray


def render_held_out(first_seed: int, count: int, frames: int, size: Size, device: str) -> list[HeldOutScene]:
    """Scenes of `count` seeds from `first_seed` on as clips, in the weather and at the time that the seed draws."""

    def one(seed: int) -> HeldOutScene:
        scene = sample_scene(seed)
        buffers = _rendered(scene, frames, size, device)
        looks = {look: sample_scene(seed, weather=look.weather, time_of_day=look.time_of_day) for look in LOOKS}
        return HeldOutScene(
            name=f"scene{seed}",
            prompt=caption(scene),
            look_prompts={look: caption(scene) for look, scene in looks.items()},
            frames=buffers.rgb.cpu().numpy(),
            depth=depth_control(buffers.depth_m).cpu().numpy(),
            seg=segmentation_control(buffers.segmentation).cpu().numpy(),
            fps=FPS,
        )

    task = _task(one, device)
    return ray.get([task.remote(seed) for seed in range(first_seed, first_seed + count)])


def render_examples(first_seed: int, count: int, size: Size, device: str) -> list[Example]:
    """The first frame of `count` seeds from `first_seed` on, each in every look; all looks of a seed share one street."""

    def one(seed: int) -> list[Example]:
        examples = []
        for look in LOOKS:
            scene = sample_scene(seed, weather=look.weather, time_of_day=look.time_of_day)
            buffers = _rendered(scene, 1, size, device)
            depth = depth_control(buffers.depth_m).cpu().numpy()
            examples.append(Example(look=look, frames=buffers.rgb.cpu().numpy(), depth=depth))
        return examples

    task = _task(one, device)
    rendered = ray.get([task.remote(seed) for seed in range(first_seed, first_seed + count)])
    return [example for examples in rendered for example in examples]


def by_look(examples: Sequence[Example]) -> Mapping[Look, list[np.ndarray]]:
    """The examples' frames, sorted by look."""
    return {look: [example.frames for example in examples if example.look == look] for look in LOOKS}


def _rendered(scene: Scene, frames: int, size: Size, device: str) -> Render:
    return render(scene, front_camera(), frames=frames, fps=FPS, height=size.height, width=size.width, device=device)


def _task(one, device: str):
    on_gpu = device == "cuda"
    return ray.remote(num_cpus=1, num_gpus=1 / _RENDERS_PER_GPU if on_gpu else 0)(one)
