"""Boxes to masks: a SAM 2 network follows what is in the boxes of the first frame through the clip.

The session and the tracking are transformers'; what its Sam2VideoProcessor does around them is done here, because that
class needs torchvision, and prepares and keeps the whole clip at 1024x1024 in float. Here a frame is prepared when its
turn comes, its masks are given away, and what no later frame looks at is dropped: memory doesn't grow with the length.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate
from transformers import Sam2VideoInferenceSession, Sam2VideoModel
from transformers.image_utils import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD

from airshower.models.pretrained import check_kind, load_part

BOX_CORNERS = (2, 3)  # SAM's point labels for the upper left and the lower right corner of a box


class Tracker:
    """One tracking network on one device."""

    def __init__(self, model: Sam2VideoModel) -> None:
        self._model = model

    @classmethod
    def load(cls, folder: Path, device: torch.device) -> "Tracker":
        """From a transformers folder such as that of sam2-hiera-large; raises WeightsError."""
        check_kind(folder, "sam2_video")
        return cls(load_part(Sam2VideoModel, folder, device, torch.float32))

    @torch.inference_mode()
    def track(self, frames: np.ndarray, boxes_N4: Tensor) -> Iterator[np.ndarray]:
        """Masks of N objects, bool (N, H, W), frame by frame of RGB frames uint8 (F, H, W, 3).

        Boxes hold at least one object, in pixels x0, y0, x1, y1 of the first frame. Masks may overlap, and an object
        that is out of sight has none.
        """
        height, width = frames.shape[1:3]
        session = self._session(frames, boxes_N4)
        for output in self._model.propagate_in_video_iterator(session, start_frame_idx=0):
            logits = interpolate(output.pred_masks.float(), size=(height, width), mode="bilinear", align_corners=False)
            self._forget(session, output.frame_idx)
            yield (logits[:, 0] > 0).cpu().numpy()

    def _session(self, frames: np.ndarray, boxes_N4: Tensor) -> Sam2VideoInferenceSession:
        """A session that starts from boxes in frame 0."""
        device = self._model.device
        side = self._model.config.image_size
        session = Sam2VideoInferenceSession(
            video_height=frames.shape[1],
            video_width=frames.shape[2],
            inference_device=device,
            inference_state_device=device,
            video_storage_device=device,
            dtype=self._model.dtype,
        )
        session.processed_frames = PreparedFrames(frames, side, device)
        scale = torch.tensor([side / frames.shape[2], side / frames.shape[1]])
        for number, corners in enumerate(boxes_N4.reshape(-1, 1, 1, 2, 2) * scale):
            inputs = {"point_coords": corners, "point_labels": torch.tensor(BOX_CORNERS, dtype=torch.int32)[None, None]}
            session.add_point_inputs(session.obj_id_to_idx(number), 0, inputs)
        session.obj_with_new_inputs = list(range(len(boxes_N4)))
        return session

    def _forget(self, session: Sam2VideoInferenceSession, frame: int) -> None:
        """Drops what frames after `frame` don't look at; the first frame's memory is looked at by all."""
        config = self._model.config
        reach = max(config.num_maskmem, config.max_object_pointers_in_encoder)  # frames back, for features and pointers
        for outputs in session.output_dict_per_obj.values():
            for kept in outputs.values():
                if frame in kept:
                    del kept[frame]["high_res_masks"]  # only made the frame's own memory; 4 MB per object
            outputs["non_cond_frame_outputs"].pop(frame - reach, None)


class PreparedFrames:
    """A clip as a session takes it, one float32 (3, side, side) per frame, prepared when it is asked for."""

    def __init__(self, frames: np.ndarray, side: int, device: torch.device) -> None:
        self._frames = frames
        self._side = side
        self._device = device

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, index: int) -> Tensor:
        # resize, rounding and constants as in transformers' Sam2VideoVideoProcessor, to one grey level
        pixels = torch.from_numpy(np.ascontiguousarray(self._frames[index])).to(self._device).permute(2, 0, 1)[None]
        size = (self._side, self._side)
        levels = interpolate(pixels.float(), size=size, mode="bilinear", antialias=True, align_corners=False)
        mean, deviation = (
            torch.tensor(constants, device=self._device)[:, None, None]
            for constants in (IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD)
        )
        return (levels[0].round().clamp(0, 255) / 255 - mean) / deviation
