"""SigLIP2: a style image as Transfer2.5 reads it, through the vision tower of google/siglip2-so400m-patch16-naflex.

The image keeps its aspect ratio: it is resized to as many 16x16 patches as 256 allow. The places that are left over go
to the network as the vision tower gives them, as in the published code; they attend to the real patches, none attends
to them. Not here: the case without an image, in which the network gets zeros instead.
"""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

# Not Siglip2ImageProcessor: that is torchvision's resampling where it is installed and PIL's where it isn't, and the
# same image must mean the same everywhere.
from transformers import Siglip2ImageProcessorPil, Siglip2VisionModel

from airshower.models.pretrained import check_kind, load_part, load_processor

PATCHES = 256  # what the network's image branch was trained with


class StyleEncoder:
    """An image processor and the vision tower. Shapes: I patches, D hidden width."""

    def __init__(self, processor: Siglip2ImageProcessorPil, model: Siglip2VisionModel) -> None:
        self.processor = processor
        self.model = model

    @classmethod
    def load(cls, folder: Path, device: torch.device, dtype: torch.dtype) -> "StyleEncoder":
        """From a folder of transformers, whole SigLIP2 (its text tower is not read) or vision tower alone.

        Raises WeightsError for a folder without processor and weights.
        """
        check_kind(folder, "siglip2", "siglip2_vision_model")
        processor = load_processor(Siglip2ImageProcessorPil, folder)
        return cls(processor, load_part(Siglip2VisionModel, folder, device, dtype))

    @torch.no_grad()  # not inference_mode: a trainer may use the results
    def encode(self, image: NDArray[np.uint8]) -> Tensor:
        """Hidden states (256, D) of an RGB image, uint8 (height, width, 3), in the model's precision and on its device.

        Raises ValueError for anything but such an image.
        """
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[-1] != 3 or not image.size:
            raise ValueError(f"style image: is {image.dtype} {image.shape}, expected RGB as uint8 (height, width, 3)")
        inputs = self.processor(
            images=image, input_data_format="channels_last", max_num_patches=PATCHES, return_tensors="pt"
        )
        return self.model(**inputs.to(self.model.device)).last_hidden_state[0]
