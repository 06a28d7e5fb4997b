"""Where controls steer and how strongly: masks over pixels as weights on the latent grid.

The order of operations is that of the published Transfer2.5 inference code
(github.com/nvidia-cosmos/cosmos-transfer2.5).
"""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from airshower.models.chunks import TEMPORAL_FACTOR


def control_weight_maps(
    masks: Mapping[str, Tensor], weights: Mapping[str, float], latent_frames: int, patch_rows: int, patch_columns: int
) -> dict[str, Tensor]:
    """Where and how strongly each control steers, when at least one of them has a mask.

    `masks` holds values 0..1 of shape (frames, height, width), and only the controls that are masked; `weights` names
    every control. Returns float32 (1, 1, latent_frames, patch_rows, patch_columns) per control of `weights`, capped
    so that the controls never add up to more than 1. Without any mask, or with masks of ones only, networks take the
    plain weights, uncapped: ask `masks_matter`. Raises ValueError when a mask belongs to no control or has a frame
    count the causal autoencoder can't have made `latent_frames` of.
    """
    unknown = sorted(set(masks) - set(weights))
    if unknown:
        raise ValueError(
            f"mask of {', '.join(unknown)}: no such control is weighted; weighted are {', '.join(weights)}"
        )
    grid = (patch_rows, patch_columns)
    maps = {
        key: _on_patches(masks[key].float() * weight, latent_frames, grid)
        if key in masks
        else torch.full((1, 1, latent_frames, *grid), float(weight))
        for key, weight in weights.items()
    }
    cap = torch.stack(list(maps.values())).sum(0).clamp(min=1)
    return {key: weight_map / cap for key, weight_map in maps.items()}


def guided_latent_map(mask_FHW: Tensor, latent_frames: int, rows: int, columns: int) -> Tensor:
    """Weight of guided generation on the latent grid, (1, 1, latent_frames, rows, columns), from values 0..1.

    The first frame alone, then every group of frames that makes a latent frame. Raises ValueError for a mask of another
    length.
    """
    first, others = mask_FHW[:1], mask_FHW[1:]
    if len(others) != TEMPORAL_FACTOR * (latent_frames - 1):
        wanted = 1 + TEMPORAL_FACTOR * (latent_frames - 1)
        raise ValueError(f"guided mask of {len(mask_FHW)} frames: {latent_frames} latent frames need {wanted}")
    groups = [first, *(others.split(TEMPORAL_FACTOR) if len(others) else ())]  # nothing splits into one empty group
    return torch.cat([_trilinear(group.float(), (1, rows, columns)) for group in groups], dim=2)


def masks_matter(masks: Mapping[str, Tensor]) -> bool:
    """Whether any mask leaves something out; the published networks switch to weight maps only then."""
    return any(bool((mask != 1).any()) for mask in masks.values())


def _on_patches(pixel_map: Tensor, latent_frames: int, grid: tuple[int, int]) -> Tensor:
    """(frames, height, width) to (1, 1, latent_frames, rows, columns); the first frame is a latent frame of its own."""
    frames = len(pixel_map)
    if (frames == 1) != (latent_frames == 1) or frames < latent_frames:
        raise ValueError(
            f"mask of {frames} frames can't be laid over {latent_frames} latent frames: expected 4k+1 frames"
        )
    first = _trilinear(pixel_map[:1], (1, *grid))
    if frames == 1:
        return first
    return torch.cat([first, _trilinear(pixel_map[1:], (latent_frames - 1, *grid))], dim=2)


def _trilinear(pixel_map: Tensor, size: tuple[int, int, int]) -> Tensor:
    return interpolate(pixel_map[None, None], size=size, mode="trilinear", align_corners=False)
