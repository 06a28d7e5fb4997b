"""From a row's files to what the generator takes: every control at the clip's size, length and rate.

Order of operations and interpolations are those of the published Transfer2.5 inference: the nearest size of the
resolution's table, a direct resize without cropping, and edges and blur computed from the resized frames. Whatever
does not fit together is an error that names the field. Chunks are cut and padded by the replica, not here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np

from airshower.cluster.packing import pack_frames
from airshower.configs.messages import PackedFrames, PreparedClip
from airshower.configs.sizes import Size, nearest_size
from airshower.configs.spec import ClipSpec, Control, ControlSpec, EdgeSpec, VisSpec
from airshower.models.edge_map import edge_map
from airshower.pipelines.camera_tracks import FilmedClip, read_camera_tracks
from airshower.pipelines.media import RATE_TOLERANCE, MediaError, Video, read_video, shown_file
from airshower.pipelines.named_errors import named
from airshower.pipelines.region_masks import MASK_THRESHOLD, read_region_mask

CONTROL_INTERPOLATION: dict[Control, int] = {
    "edge": cv2.INTER_LINEAR,
    "vis": cv2.INTER_AREA,
    "depth": cv2.INTER_LINEAR,
    "seg": cv2.INTER_NEAREST,
}


@dataclass(frozen=True, kw_only=True)
class _Clip:
    """What the leading file settles for all others. `field` names it in messages."""

    field: str
    frames: int
    fps: float
    size: Size


def prepare_clip(spec: ClipSpec) -> PreparedClip:
    """Decodes, checks and resizes the input, controls and masks of a resolved spec and computes missing edges and blur.

    The input video leads; without one the first control does. Masks come out as 0 or 255 in all three channels. What
    only annotators can compute is left out (`airshower.pipelines.annotate`).
    Raises ValueError (MediaError), or OSError for missing files, with one line that names the field and the file.
    """
    if spec.resolution is None:
        raise ValueError("resolution is open: resolve the spec against a model's preset first")
    field, leader = _read_leader(spec, spec.resolution)
    count, height, width, _ = leader.frames.shape
    clip = _Clip(field=field, frames=count, fps=leader.fps, size=Size(height, width))
    needs_pixels = spec.show_input or spec.guided_generation_mask is not None
    filmed = FilmedClip(
        cameras=None, frames=count, fps=leader.fps, size=Size(leader.source_height, leader.source_width)
    )
    tracks = read_camera_tracks(spec.camera_path, filmed)
    # One video at a time: each is packed before the next one is decoded.
    controls = {
        key: pack_frames(_control_frames(key, control, clip, leader))
        for key, control in spec.controls.items()
        if key not in spec.annotated_controls
    }
    masks = {
        key: _control_mask(f"{key}.mask_path", control.mask_path, clip)
        for key, control in spec.controls.items()
        if control.mask_path is not None
    }
    return PreparedClip(
        fps=leader.fps,
        frames=count,
        height=height,
        width=width,
        input_height=leader.source_height,
        input_width=leader.source_width,
        input_frames=pack_frames(leader.frames) if needs_pixels and spec.video_path is not None else None,
        shown_input=shown_file(leader.frames, leader.fps) if spec.video_path is not None else None,
        controls=controls,
        masks=masks,
        style_image=_style_image(spec, leader),
        guided_region=_guided_region(spec, clip),
        camera_tracks=tracks,
    )


def clip_size(spec: ClipSpec) -> Size:
    """The size that a resolved spec's clip will have, from the first frame of the file that leads; raises as above."""
    if spec.resolution is None:
        raise ValueError("resolution is open: resolve the spec against a model's preset first")
    _, leader = _read_leader(spec.model_copy(update={"max_frames": 1}), spec.resolution)
    return Size(*leader.frames.shape[1:3])


def _read_leader(spec: ClipSpec, resolution: str) -> tuple[str, Video]:
    """The file that settles size, rate and length, with the name of its field."""
    fit = partial(nearest_size, resolution)
    if spec.video_path is not None:
        return "video_path", _read("video_path", spec.video_path, spec.max_frames, fit, cv2.INTER_AREA)
    key, control = next(iter(spec.controls.items()))
    if control.control_path is None:
        raise ValueError(
            f"{key}.control_path: missing, and there is no video_path to compute it from: give one of them"
        )
    field = f"{key}.control_path"
    return field, _read(field, control.control_path, spec.max_frames, fit, CONTROL_INTERPOLATION[key])


def _control_frames(key: Control, control: ControlSpec, clip: _Clip, leader: Video) -> np.ndarray:
    field = f"{key}.control_path"
    if field == clip.field:
        return leader.frames
    if control.control_path is not None:
        return _read_follower(field, control.control_path, clip, CONTROL_INTERPOLATION[key])
    if clip.field == "video_path" and isinstance(control, EdgeSpec):
        return edge_map(leader.frames, control.preset_edge_threshold)
    if clip.field == "video_path" and isinstance(control, VisSpec):
        from airshower.models.vis_map import vis_map  # imports torch, which most rows don't need here

        return vis_map(leader.frames, control.preset_blur_strength)
    raise ValueError(f"{field}: missing, and {key} can't be computed from {clip.field}: give a control video")


def _control_mask(field: str, path: str, clip: _Clip) -> PackedFrames:
    return packed_mask(_read_follower(field, path, clip, cv2.INTER_LINEAR)[..., 0] > MASK_THRESHOLD)


def packed_mask(mask_FHW: np.ndarray) -> PackedFrames:
    """Frames that are white where the mask is."""
    white = np.where(mask_FHW[..., None], np.uint8(255), np.uint8(0))
    return pack_frames(np.broadcast_to(white, (*mask_FHW.shape, 3)))


def _style_image(spec: ClipSpec, leader: Video) -> PackedFrames | None:
    """The style image: a file at its own size, or a frame of the input as it was resized."""
    if spec.image_context_path is not None:
        image = _read("image_context_path", spec.image_context_path, 1, Size, cv2.INTER_AREA)
        return pack_frames(image.frames)
    if spec.context_frame_index is None:
        return None
    if spec.context_frame_index >= len(leader.frames):
        raise ValueError(
            f"context_frame_index: {spec.context_frame_index} is beyond the {len(leader.frames)} frames that are read "
            f"of video_path: use 1 to {len(leader.frames) - 1}"
        )
    return pack_frames(leader.frames[spec.context_frame_index][None])


def _guided_region(spec: ClipSpec, clip: _Clip) -> PackedFrames | None:
    if spec.guided_generation_mask is None:
        return None
    with named("guided_generation_mask"):
        mask_FHW = read_region_mask(
            spec.guided_generation_mask,
            frames=clip.frames,
            size=clip.size,
            foreground_labels=spec.guided_generation_foreground_labels,
        )
    return packed_mask(mask_FHW)


def _read_follower(field: str, path: str, clip: _Clip, interpolation: int) -> np.ndarray:
    """Frames of a file that has to go with the clip: at its rate, and at least as long; what is longer is cut."""
    video = _read(field, path, clip.frames, lambda _height, _width: clip.size, interpolation)
    if len(video.frames) < clip.frames:
        raise MediaError(
            f"{field}: {path} has {len(video.frames)} frames and {clip.field} {clip.frames}: "
            f"give one as long, or set max_frames to {len(video.frames)}"
        )
    # The rate of a single frame means nothing: images go with every clip of one frame.
    if clip.frames > 1 and abs(video.fps - clip.fps) > RATE_TOLERANCE * clip.fps:
        raise MediaError(
            f"{field}: {path} runs at {video.fps:g} fps and {clip.field} at {clip.fps:g} fps: "
            f"both need the same rate, encode one of them again"
        )
    return video.frames


def _read(field: str, path: str, max_frames: int | None, fit: Callable[[int, int], Size], interpolation: int) -> Video:
    with named(field):
        return read_video(path, max_frames=max_frames, fit=fit, interpolation=interpolation)
