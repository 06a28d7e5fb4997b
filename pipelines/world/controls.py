"""Turn ground-truth buffers into control pictures: inverse depth, coloured segmentation, coloured normals.

Pure functions of tensors (F, H, W, ...), on any device. Edges and blur belong to the pipeline's own control maps.
"""

import torch
from torch import Tensor

from airshower.pipelines.world.parts import CLASSES

SEGMENTATION_COLOURS: dict[str, tuple[int, int, int]] = {
    "sky": (70, 130, 230),
    "road": (128, 64, 128),
    "lane marking": (255, 255, 255),
    "sidewalk": (244, 35, 232),
    "terrain": (150, 250, 150),
    "building": (90, 80, 70),
    "vegetation": (30, 140, 30),
    "vehicle": (20, 20, 160),
    "pole": (200, 190, 90),
    "pedestrian": (220, 20, 60),
    "traffic light": (250, 150, 20),
}


def depth_control(depth_m: Tensor) -> Tensor:
    """Inverse depth (F, H, W, 3) as bytes: the clip's nearest point is 255, its farthest and the sky are 0."""
    inverse = torch.where(torch.isfinite(depth_m), 1 / depth_m.clamp_min(1e-3), 0.0)
    solid = inverse > 0
    farthest = inverse[solid].amin() if bool(solid.any()) else inverse.new_zeros(())
    scaled = (inverse - farthest) / (inverse.amax() - farthest).clamp_min(1e-9)
    grey = (scaled.clamp(0, 1) * 255 + 0.5).to(torch.uint8)
    return grey[..., None].expand(*grey.shape, 3).contiguous()


def segmentation_control(ids: Tensor) -> Tensor:
    """Class ids (F, H, W) as colours (F, H, W, 3) of `SEGMENTATION_COLOURS`."""
    palette = torch.tensor([SEGMENTATION_COLOURS[name] for name in CLASSES], dtype=torch.uint8, device=ids.device)
    return palette[ids.long()]


def normal_image(normal: Tensor) -> Tensor:
    """Normals (F, H, W, 3) in -1..1 as bytes; the sky's zero normal becomes mid grey."""
    return ((normal.clamp(-1, 1) * 0.5 + 0.5) * 255 + 0.5).to(torch.uint8)
