"""What network a checkpoint holds, told from the names and shapes of its weights.

Two things leave no trace there and follow from the family: the scale of timesteps and the rotary positions. The family
is told from the projection of text, which Predict2 lacks.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace

from airshower.configs.network import ControlConfig, DitConfig, ImageConfig, ViewsConfig
from airshower.configs.networks_2b import (
    ROBOT_NEIGHBOURS,
    UNNAMED_CONTROL,
    predict2,
    predict2_multiview,
    predict25,
    predict25_multiview,
    published_networks,
)
from airshower.configs.spec import CONTROLS
from airshower.models.checkpoints.files import CheckpointError

Shapes = Mapping[str, tuple[int, ...]]


def identify(shapes: Shapes, source: str, controls: tuple[str, ...] = ()) -> DitConfig:
    """The config of a network of the 2B families from the shapes of its weights, by published name.

    `controls` names the branches, which files number at most: for one control any name, for several all of them in
    order. Raises CheckpointError, naming what is missing, for weights of another family.
    """
    try:
        return _identify(shapes, controls)
    except KeyError as error:
        raise CheckpointError(
            f"{source}: not a network of the 2B family: {error.args[0]} is missing among {len(shapes)} weights"
        ) from error


def _identify(shapes: Shapes, controls: tuple[str, ...]) -> DitConfig:
    width, inputs = shapes["x_embedder.proj.1.weight"]
    out_values, _ = shapes["final_layer.linear.weight"]
    head_width = shapes["blocks.0.self_attn.q_norm.weight"][0]
    projection = shapes.get("crossattn_proj.0.weight")
    views = _views(shapes)
    family = {
        (True, True): predict25_multiview,
        (True, False): predict25,
        (False, True): predict2_multiview,
        (False, False): predict2,
    }[projection is not None, views is not None and views.channels is not None]()
    patch = 2
    image = shapes.get("img_context_proj.0.weight")
    config = DitConfig(
        blocks=_count(shapes, r"blocks\.(\d+)\."),
        width=width,
        heads=width // head_width,
        mlp_width=shapes["blocks.0.mlp.layer1.weight"][0],
        adaln_rank=shapes["final_layer.adaln_modulation.1.weight"][0],
        text_in_channels=None if projection is None else projection[1],
        text_channels=shapes["blocks.0.cross_attn.k_proj.weight"][1],
        latent_channels=out_values // patch**2,
        patch=patch,
        timestep_scale=family.timestep_scale,
        rope=family.rope,
        image=None if image is None else ImageConfig(channels=image[1]),
        views=views,
    )
    if inputs != (config.latent_channels + config.extra_channels) * patch**2:
        raise KeyError(f"an input embedding of {config.latent_channels + config.extra_channels} channels")
    return replace(config, control=_control(shapes, controls, config))


def _views(shapes: Shapes) -> ViewsConfig | None:
    if (embedding := shapes.get("view_embeddings.weight")) is not None:
        return ViewsConfig(cameras=embedding[0], channels=embedding[1])
    if (embedding := shapes.get("adaln_view_embedder.weight")) is not None:
        return ViewsConfig(cameras=embedding[0], neighbours=ROBOT_NEIGHBOURS)
    return None


def _control(shapes: Shapes, controls: tuple[str, ...], base: DitConfig) -> ControlConfig | None:
    several = _count(shapes, r"control_blocks_(\d+)\.")
    branches = several or int(any(key.startswith("control_blocks.") for key in shapes))
    if not branches:
        return None
    embedder = f"control_embedder.{'0.' if several else ''}proj.1.weight"
    hints = _count(shapes, r"control_blocks_0\.(\d+)\." if several else r"control_blocks\.(\d+)\.")
    names = controls or (CONTROLS[:branches] if several else (UNNAMED_CONTROL,))
    if len(names) != branches:
        raise KeyError(f"branch for one of {', '.join(names)}")
    return ControlConfig(
        branches=names,
        injected_after=spaced(base.blocks, hints),
        padded_channels=shapes[embedder][1] // base.patch**2 - base.extra_channels,
        hint_layers=_count(shapes, r"input_hint_block\.(\d+)\.weight", distinct=True),
    )


def spaced(blocks: int, hints: int) -> tuple[int, ...]:
    """Base blocks that take in hints, evenly spaced from the first one."""
    every = -(-blocks // hints)
    return tuple(range(0, blocks, every))


def _count(keys: Iterable[str], pattern: str, *, distinct: bool = False) -> int:
    numbers = {int(match[1]) for key in keys if (match := re.match(pattern, key))}
    return len(numbers) if distinct else max(numbers, default=-1) + 1


def variant_name(config: DitConfig) -> str:
    """Which published network this is, or which of the families it belongs to and its size."""
    for name, published in published_networks().items():
        if config == published:
            return name
    family = "Predict2" if config.text_in_channels is None else "Predict2.5"
    if config.control is not None:
        branches = len(config.control.branches)
        family = f"Transfer2.5 with {branches} control{'s' if branches > 1 else ''}"
    views = ", multiview" if config.views is not None else ""
    return f"{family}{views}, unpublished size: {config.blocks} blocks of width {config.width}"
