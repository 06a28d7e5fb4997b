"""The depth control of a clip: a Depth Anything network frame by frame, scaled over the whole clip.

Near is bright: relative networks predict inverse depth, and only these are taken. The published Transfer2.5 code uses
Video Depth Anything, whose frames also look at each other; transformers has no class for it, so that here nothing but
the common scale keeps neighbouring frames together. Frames are expected at the size of the file; resizing the control
to the clip's size is the caller's.
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate
from transformers import AutoImageProcessor, BaseImageProcessor, DepthAnythingForDepthEstimation

from airshower.models.pretrained import check_kind, load_part, load_processor
from airshower.models.weights import WeightsError

FRAMES_PER_BATCH = 4
FLAT = 1e-5  # share of a clip's largest value: depths that differ by less are one depth and rounding


class DepthAnnotator:
    """One depth network on one device."""

    def __init__(self, model: DepthAnythingForDepthEstimation, processor: BaseImageProcessor) -> None:
        self._model = model
        self._processor = processor

    @classmethod
    def load(cls, folder: Path, device: torch.device) -> "DepthAnnotator":
        """From a transformers folder such as that of Depth-Anything-V2-Small-hf; raises WeightsError."""
        check_kind(folder, "depth_anything")
        # float32, as all annotators: they run once per clip, and grey levels should not depend on the device
        model = load_part(DepthAnythingForDepthEstimation, folder, device, torch.float32)
        kind = model.config.depth_estimation_type
        if kind != "relative":  # metric networks predict distance: their maps would be inverted
            raise WeightsError(f"{folder}: predicts {kind} depth: give a network of relative (inverse) depth")
        return cls(model, load_processor(AutoImageProcessor, folder))

    def depth_map(self, frames: np.ndarray, frames_per_batch: int = FRAMES_PER_BATCH) -> np.ndarray:
        """Depth of RGB frames, uint8 (F, H, W, 3) to the same shape, 0 the farthest and 255 the nearest of the clip."""
        batches = [frames[start : start + frames_per_batch] for start in range(0, len(frames), frames_per_batch)]
        # at the network's size, which is smaller than the result: what is kept per frame is no more than that
        predicted = [depth for batch in batches for depth in self._predict(batch)]
        return grey_levels(predicted, *frames.shape[1:3])

    @torch.inference_mode()
    def _predict(self, frames_FHW3: np.ndarray) -> Tensor:
        """Inverse depth, float32 (F, rows, columns) on the CPU."""
        inputs = self._processor(images=list(frames_FHW3), input_data_format="channels_last", return_tensors="pt")
        return self._model(pixel_values=inputs["pixel_values"].to(self._model.device)).predicted_depth.float().cpu()


def grey_levels(depths: list[Tensor], height: int, width: int) -> np.ndarray:
    """Maps (rows, columns) of a clip as uint8 (F, height, width, 3): its lowest value is 0, its highest 255.

    A clip of one depth everywhere is all 0. Resized one by one, twice, so that no float copy of the clip is held.
    """
    extremes = torch.stack([torch.stack(resized(depth, height, width).aminmax()) for depth in depths])
    low = float(extremes.min())
    span = float(extremes.max()) - low
    grey = np.zeros((len(depths), height, width, 3), np.uint8)
    if span <= FLAT * float(extremes.abs().max()):
        return grey
    for target, depth in zip(grey, depths, strict=True):
        levels = (resized(depth, height, width) - low) / span * 255
        target[:] = levels.round().clamp(0, 255).to(torch.uint8).numpy()[:, :, None]
    return grey


def resized(depth: Tensor, height: int, width: int) -> Tensor:
    """A map (rows, columns) at another size, the way Depth Anything's own code does it: bilinear, corners aligned."""
    return interpolate(depth[None, None], size=(height, width), mode="bilinear", align_corners=True)[0, 0]
