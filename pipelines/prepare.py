"""From a row's files to what the generator takes: every control at the clip's size, length and rate.

Order of operations and interpolations are those of the published Transfer2.5 inference: the nearest size of the
resolution's table, a direct resize without cropping, and edges and blur computed from the resized frames. Whatever
does not fit together is an error that names the field; what fits and can hardly be meant becomes a warning. Chunks are
cut and padded by the replica, not here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np

from airshower.cluster.packing import pack_frames
from airshower.configs.messages import PackedFrames, PreparedClip
from airshower.configs.sizes import Size, nearest_size
from airshower.configs.spec import ClipSpec, Control, ControlSpec, DepthSpec, DepthValues, EdgeSpec, VisSpec
from airshower.models.edge_map import edge_map
from airshower.pipelines.camera_tracks import FilmedClip, read_camera_tracks
from airshower.pipelines.decoding.depth_maps import holds_depth
from airshower.pipelines.decoding.errors import MediaError
from airshower.pipelines.decoding.limits import MediaLimits
from airshower.pipelines.decoding.source import IMAGE_FPS, Reading
from airshower.pipelines.doubts import control_doubt, mask_doubt, shape_doubt, stretch_doubt
from airshower.pipelines.media import RATE_TOLERANCE, Video, read_header, shown_file
from airshower.pipelines.named_errors import named
from airshower.pipelines.region_masks import MASK_THRESHOLD, read_region_mask
from airshower.pipelines.row_reader import RowReader

CONTROL_INTERPOLATION: dict[Control, int] = {
    "edge": cv2.INTER_LINEAR,
    "vis": cv2.INTER_AREA,
    "depth": cv2.INTER_LINEAR,
    "seg": cv2.INTER_NEAREST,
}

Fit = Callable[[int, int], Size]  # from the height and width of a file's pictures to those of the clip


@dataclass(frozen=True, kw_only=True)
class _Leader:
    """The file that settles size, rate and length for all others. `field` names it in messages."""

    field: str
    path: str
    video: Video

    @property
    def frames(self) -> int:
        return len(self.video.frames)

    @property
    def size(self) -> Size:
        """Of the clip."""
        return Size(*self.video.frames.shape[1:3])

    @property
    def source_size(self) -> Size:
        return Size(self.video.source_height, self.video.source_width)


def prepare_clip(spec: ClipSpec, limits: MediaLimits | None = None) -> PreparedClip:
    """Decodes, checks and resizes the input, controls and masks of a resolved spec and computes missing edges and blur.

    The input video leads; without one the first control does. Masks come out as 0 or 255 in all three channels. What
    only annotators can compute is left out (`airshower.pipelines.annotate`). `limits` are what this machine can hold by
    default.
    Raises ValueError (MediaError), or OSError for missing files, with one line that names the field and the file.
    """
    reader = RowReader(Reading(limits=limits or MediaLimits(), keep_damaged=spec.keep_damaged_frames))
    leader = _read_leader(spec, reader)
    video = leader.video
    if not spec.keep_input_resolution:
        reader.warn(leader.field, leader.path, stretch_doubt(leader.source_size, leader.size))
    needs_pixels = spec.show_input or spec.guided_generation_mask is not None
    filmed = FilmedClip(cameras=None, frames=leader.frames, fps=video.fps, size=leader.source_size)
    tracks = read_camera_tracks(spec.camera_path, filmed)
    # One video at a time: each is packed before the next one is decoded.
    controls = {
        key: pack_frames(_control_frames(key, control, leader, reader))
        for key, control in spec.controls.items()
        if key not in spec.annotated_controls
    }
    masks = {
        key: _control_mask(f"{key}.mask_path", control.mask_path, leader, reader)
        for key, control in spec.controls.items()
        if control.mask_path is not None
    }
    return PreparedClip(
        fps=video.fps,
        frames=leader.frames,
        height=leader.size.height,
        width=leader.size.width,
        input_height=video.source_height,
        input_width=video.source_width,
        input_frames=pack_frames(video.frames) if needs_pixels and spec.video_path is not None else None,
        shown_input=shown_file(video.frames, video.fps) if spec.video_path is not None else None,
        controls=controls,
        masks=masks,
        style_image=_style_image(spec, leader, reader),
        guided_region=_guided_region(spec, leader, reader),
        camera_tracks=tracks,
        warnings=tuple(reader.warnings),
    )


def clip_shape(spec: ClipSpec) -> tuple[Size, int]:
    """Size and length that a resolved spec's clip will have; of the file that leads, one frame is decoded.

    Raises as `prepare_clip` does.
    """
    first = spec.model_copy(update={"max_frames": 1})
    reader = RowReader(Reading(keep_damaged=spec.keep_damaged_frames))
    leader = _read_leader(first, reader)
    with named(leader.field):
        as_numbers = holds_depth(leader.path, reader.reading.limits)
        frames = 1 if as_numbers else read_header(leader.path).frames
    return leader.size, min(frames, spec.max_frames or frames)


def _read_leader(spec: ClipSpec, reader: RowReader) -> _Leader:
    if spec.resolution is None:
        raise ValueError("resolution is open: resolve the spec against a model's preset first")
    fit = partial(nearest_size, spec.resolution)
    if spec.video_path is not None:
        video = reader.video(
            "video_path", spec.video_path, max_frames=spec.max_frames, fit=fit, interpolation=cv2.INTER_AREA
        )
        return _Leader(field="video_path", path=spec.video_path, video=video)
    key, control = next(iter(spec.controls.items()))
    field = f"{key}.control_path"
    if control.control_path is None:
        raise ValueError(f"{field}: missing, and there is no video_path to compute it from: give one of them")
    video = _read_control(key, control.control_path, control, reader, spec.max_frames, fit, None)
    return _Leader(field=field, path=control.control_path, video=video)


def _control_frames(key: Control, control: ControlSpec, leader: _Leader, reader: RowReader) -> np.ndarray:
    field = f"{key}.control_path"
    frames = _given_or_computed(key, control, leader, reader)
    reader.warn(field, control.control_path or f"computed from {leader.field}", control_doubt(key, frames))
    return frames


def _given_or_computed(key: Control, control: ControlSpec, leader: _Leader, reader: RowReader) -> np.ndarray:
    field, path = f"{key}.control_path", control.control_path
    if field == leader.field:
        return leader.video.frames
    if path is not None:
        fit = _fit_to(leader.size)
        video = _read_control(key, path, control, reader, leader.frames, fit, leader.video.fps)
        return _follower_frames(field, path, video, leader, reader)
    if leader.field == "video_path" and isinstance(control, EdgeSpec):
        return edge_map(leader.video.frames, control.preset_edge_threshold)
    if leader.field == "video_path" and isinstance(control, VisSpec):
        from airshower.models.vis_map import vis_map  # imports torch, which most rows don't need here

        return vis_map(leader.video.frames, control.preset_blur_strength)
    raise ValueError(f"{field}: missing, and {key} can't be computed from {leader.field}: give a control video")


def _read_control(
    key: Control, path: str, control: ControlSpec, reader: RowReader, most: int | None, fit: Fit, fps: float | None
) -> Video:
    """A control's video. Depth may also come as numbers, which have no rate and go with the clip's, `fps`."""
    field, interpolation = f"{key}.control_path", CONTROL_INTERPOLATION[key]
    if not isinstance(control, DepthSpec):
        return reader.video(field, path, max_frames=most, fit=fit, interpolation=interpolation)
    with named(field):
        as_numbers = holds_depth(path, reader.reading.limits)
    if as_numbers:
        return _read_depth(field, path, control.values, reader, most, fit, fps)
    if control.values not in (None, "levels"):
        raise MediaError(f"{field}: {path} has grey levels, and depth.values asks for {control.values}: remove it")
    return reader.video(field, path, max_frames=most, fit=fit, interpolation=interpolation)


def _read_depth(
    field: str, path: str, values: DepthValues | None, reader: RowReader, most: int | None, fit: Fit, fps: float | None
) -> Video:
    interpolation = CONTROL_INTERPOLATION["depth"]
    video = reader.depth(field, path, values, most=most, fit=fit, interpolation=interpolation, fps=fps or IMAGE_FPS)
    if fps is None and len(video.frames) > 1:
        raise MediaError(
            f"{field}: {path} has {len(video.frames)} frames and no rate, which the clip needs: give video_path, or "
            "save it as a video"
        )
    return video


def _control_mask(field: str, path: str, leader: _Leader, reader: RowReader) -> PackedFrames:
    video = reader.video(
        field, path, max_frames=leader.frames, fit=_fit_to(leader.size), interpolation=cv2.INTER_LINEAR
    )
    frames = _follower_frames(field, path, video, leader, reader)
    covered = frames[..., 0] > MASK_THRESHOLD
    reader.warn(field, path, mask_doubt(frames, covered))
    return packed_mask(covered)


def packed_mask(mask_FHW: np.ndarray) -> PackedFrames:
    """Frames that are white where the mask is."""
    white = np.where(mask_FHW[..., None], np.uint8(255), np.uint8(0))
    return pack_frames(np.broadcast_to(white, (*mask_FHW.shape, 3)))


def _style_image(spec: ClipSpec, leader: _Leader, reader: RowReader) -> PackedFrames | None:
    """The style image: a file at its own size, or a frame of the input as it was resized."""
    if spec.image_context_path is not None:
        image = reader.video("image_context_path", spec.image_context_path, max_frames=1)
        return pack_frames(image.frames)
    if spec.context_frame_index is None:
        return None
    if spec.context_frame_index >= leader.frames:
        raise ValueError(
            f"context_frame_index: {spec.context_frame_index} is beyond the {leader.frames} frames that are read "
            f"of video_path: use 1 to {leader.frames - 1}"
        )
    return pack_frames(leader.video.frames[spec.context_frame_index][None])


def _guided_region(spec: ClipSpec, leader: _Leader, reader: RowReader) -> PackedFrames | None:
    path = spec.guided_generation_mask
    if path is None:
        return None
    with named("guided_generation_mask"):
        region = read_region_mask(
            path,
            frames=leader.frames,
            size=leader.size,
            source_size=leader.source_size,
            foreground_labels=spec.guided_generation_foreground_labels,
            reading=reader.reading,
        )
    reader.warn("guided_generation_mask", path, *region.notes)
    return packed_mask(region.covered_FHW)


def _follower_frames(field: str, path: str, video: Video, leader: _Leader, reader: RowReader) -> np.ndarray:
    """Frames of a file that has to go with the clip: at its rate, and at least as long; what is longer was cut."""
    if len(video.frames) < leader.frames:
        raise MediaError(
            f"{field}: {path} has {len(video.frames)} frames and {leader.field} {leader.frames}: "
            f"give one as long, or set max_frames to {len(video.frames)}"
        )
    # The rate of a single frame means nothing: images go with every clip of one frame.
    if leader.frames > 1 and abs(video.fps - leader.video.fps) > RATE_TOLERANCE * leader.video.fps:
        raise MediaError(
            f"{field}: {path} runs at {video.fps:g} fps and {leader.field} at {leader.video.fps:g} fps: "
            f"both need the same rate, encode one of them again"
        )
    size = Size(video.source_height, video.source_width)
    reader.warn(field, path, shape_doubt(size, leader.field, leader.source_size))
    return video.frames


def _fit_to(size: Size) -> Fit:
    return lambda _height, _width: size
