"""Words to boxes: a Grounding DINO network looks for the objects of a text in one frame.

Thresholds are those of the published Transfer2.5 inference code, which lowers them once where nothing is found.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from transformers import GroundingDinoForObjectDetection, GroundingDinoProcessor
from transformers.models.grounding_dino.modeling_grounding_dino import GroundingDinoObjectDetectionOutput

from airshower.models.pretrained import check_kind, load_part, load_processor


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """Least confidence, 0..1: of an object to be taken, and of a token to be among the words that name it."""

    box: float
    text: float


ATTEMPTS = (Thresholds(box=0.15, text=0.25), Thresholds(box=0.1, text=0.1))


@dataclass(frozen=True, kw_only=True)
class Detections:
    """Objects in a frame: boxes float32 (N, 4) on the CPU, pixels x0, y0, x1, y1; their words, "" where unsure."""

    boxes_N4: Tensor
    words: list[str]


class Detector:
    """One detection network on one device."""

    def __init__(self, model: GroundingDinoForObjectDetection, processor: GroundingDinoProcessor) -> None:
        self._model = model
        self._processor = processor

    @classmethod
    def load(cls, folder: Path, device: torch.device) -> "Detector":
        """From a transformers folder such as that of grounding-dino-base; raises WeightsError."""
        check_kind(folder, "grounding-dino")
        model = load_part(GroundingDinoForObjectDetection, folder, device, torch.float32)
        return cls(model, load_processor(GroundingDinoProcessor, folder))

    @torch.inference_mode()
    def find(self, frame: np.ndarray, prompt: str) -> Detections:
        """The objects of `prompt` in an RGB frame, uint8 (H, W, 3); words beyond the network's text length are unseen.

        Raises ValueError for a prompt without words and where nothing is found.
        """
        inputs = self._processor(
            images=frame,
            text=detection_text(prompt),
            input_data_format="channels_last",
            truncation=True,
            max_length=self._model.config.max_text_len,
            return_tensors="pt",
        ).to(self._model.device)
        found = self.select(self._model(**inputs), inputs["input_ids"], *frame.shape[:2])
        if found is None:
            raise ValueError(
                f"nothing of the prompt {prompt!r} is in the first frame: "
                f"name objects that are visible there, or give a file"
            )
        return found

    def select(
        self, output: GroundingDinoObjectDetectionOutput, input_ids: Tensor, height: int, width: int
    ) -> Detections | None:
        """The objects that pass the first thresholds that any object passes, of a network's output for one frame."""
        for thresholds in ATTEMPTS:
            (found,) = self._processor.post_process_grounded_object_detection(
                output,
                input_ids,
                threshold=thresholds.box,
                text_threshold=thresholds.text,
                target_sizes=[(height, width)],
            )
            if len(found["boxes"]):
                return Detections(boxes_N4=found["boxes"].float().cpu(), words=found["text_labels"])
        return None


def detection_text(prompt: str) -> str:
    """A prompt as the network was trained on: lower-cased and ended by a full stop; ValueError without a word."""
    text = " ".join(prompt.lower().split())
    if not any(character.isalnum() for character in text):
        raise ValueError(f"the prompt {prompt!r} has no word: name what to look for")
    return text if text.endswith(".") else f"{text}."
