"""The videos that a row of one camera leaves: the result as it asks to see it, controls, masks of words and input."""

import cv2
import numpy as np

from airshower.cluster.packing import unpack_frames
from airshower.configs.messages import PreparedClip
from airshower.configs.sizes import Size
from airshower.configs.spec import ClipSpec

# By kind: what follows the row's name in the file's, and frames, or the file itself.
Videos = dict[str, tuple[str, np.ndarray | bytes]]


def clip_videos(spec: ClipSpec, prepared: PreparedClip, frames: np.ndarray) -> Videos:
    """Every video of the row."""
    videos: Videos = {"video": ("", shown_frames(spec, prepared, frames))}
    for key, packed in prepared.controls.items():
        videos[f"control_{key}"] = (f"_control_{key}", unpack_frames(packed))
    for key in spec.mask_prompts:
        videos[f"mask_{key}"] = (f"_mask_{key}", unpack_frames(prepared.masks[key]))
    if prepared.shown_input is not None:
        videos["input"] = ("_input", prepared.shown_input)
    return videos


def shown_frames(spec: ClipSpec, prepared: PreparedClip, frames: np.ndarray) -> np.ndarray:
    """The frames as the row asks to see them: at the input's size, right of the input and the controls."""
    panels = [frames]
    if spec.show_control_condition:
        panels[:0] = [unpack_frames(packed) for packed in prepared.controls.values()]
    if spec.show_input and prepared.input_frames is not None:
        panels.insert(0, unpack_frames(prepared.input_frames))
    if spec.keep_input_resolution:
        size = kept_size(prepared)
        panels = [_resized(panel, size.height, size.width) for panel in panels]
    return panels[0] if len(panels) == 1 else np.concatenate(panels, axis=2)


def kept_size(prepared: PreparedClip) -> Size:
    """The input's size, as far as a video can have it: H.264 wants even sides."""
    return Size(prepared.input_height // 2 * 2, prepared.input_width // 2 * 2)


def _resized(frames: np.ndarray, height: int, width: int) -> np.ndarray:
    if frames.shape[1:3] == (height, width):
        return frames
    return np.stack([cv2.resize(frame, (width, height), interpolation=cv2.INTER_LANCZOS4) for frame in frames])
