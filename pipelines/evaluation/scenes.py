"""Ground truth of an evaluation, rendered by Ray tasks: held-out scenes as clips, and scenes in each look as frames.

Assumes a Ray connection. What is asked of the sample world stays in this file; nothing is written to disk.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

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

FPS = 24.0  # as in training
_RENDERS_PER_GPU = 4
_BETWEEN_PLACES_S = 4.0  # some 40 m of driving


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

    task = render_task(one, device)
    return ray.get([task.remote(seed) for seed in range(first_seed, first_seed + count)])


def render_examples(first_seed: int, count: int, size: Size, device: str) -> list[Example]:
    """One frame per look of `count` seeds from `first_seed` on, each look further down the seed's street.

    Geometry differs from frame to frame, so that what is fitted on the frames sees as many arrangements as possible.
    """

    def one(seed: int) -> list[Example]:
        examples = []
        for place, look in enumerate(LOOKS):
            scene = sample_scene(seed, weather=look.weather, time_of_day=look.time_of_day)
            buffers = _rendered(scene, 1, size, device, start_s=place * _BETWEEN_PLACES_S)
            depth = depth_control(buffers.depth_m).cpu().numpy()
            examples.append(Example(look=look, frames=buffers.rgb.cpu().numpy(), depth=depth))
        return examples

    task = render_task(one, device)
    rendered = ray.get([task.remote(seed) for seed in range(first_seed, first_seed + count)])
    return [example for examples in rendered for example in examples]


def by_look(examples: Sequence[Example]) -> Mapping[Look, list[np.ndarray]]:
    """The examples' frames, sorted by look."""
    return {look: [example.frames for example in examples if example.look == look] for look in LOOKS}


def _rendered(scene: Scene, frames: int, size: Size, device: str, start_s: float = 0.0) -> Render:
    return render(
        scene,
        front_camera(),
        frames=frames,
        fps=FPS,
        height=size.height,
        width=size.width,
        start_s=start_s,
        device=device,
    )


def render_task(one: Callable[[int], Any], device: str) -> Any:  # noqa: ANN401 - Ray's remote functions have no public type
    """`one` as a Ray task that shares a GPU with a few others, or has a CPU of its own."""
    on_gpu = device == "cuda"
    return ray.remote(num_cpus=1, num_gpus=1 / _RENDERS_PER_GPU if on_gpu else 0)(one)
