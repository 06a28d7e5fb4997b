"""From the files of a row of several cameras to what the generator takes: every camera at one size, length and rate.

Frames are resized directly, without cropping, with an antialiased bilinear filter, as in the published multiview
inference. Files may run at a whole multiple of the clip's rate; frames in between are left out. Whatever does not fit
together is an error that names the field.
"""

from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F

from airshower.cluster.packing import pack_frames
from airshower.configs.messages import PackedFrames, PreparedViews
from airshower.configs.multiview_spec import MultiviewSpec
from airshower.configs.sizes import SIZES, Size
from airshower.pipelines.camera_tracks import FilmedClip, read_camera_tracks
from airshower.pipelines.decoding.errors import MediaError
from airshower.pipelines.decoding.limits import MediaLimits
from airshower.pipelines.decoding.source import Reading
from airshower.pipelines.doubts import shape_doubt, stretch_doubt
from airshower.pipelines.media import RATE_TOLERANCE, Video
from airshower.pipelines.row_reader import RowReader


class _Files:
    """Reads the row's files at one size and rate; all of them have to run at one rate themselves."""

    def __init__(self, size: Size, fps: float, reader: RowReader) -> None:
        self.size = size
        self.fps = fps
        self.reader = reader
        self._first: tuple[str, Video] | None = None  # the first file and its field

    @property
    def source_size(self) -> Size | None:
        """Of the first file."""
        return None if self._first is None else _source_size(self._first[1])

    def read(self, field: str, path: str, most_frames: int | None) -> np.ndarray:
        """Frames (F, H, W, 3)."""
        video = self.reader.video(field, path, max_frames=most_frames, fps=self.fps, fit=self._fit, resize=antialiased)
        if self._first is None:
            self._first = field, replace(video, frames=video.frames[:0])
            self.reader.warn(field, path, stretch_doubt(_source_size(video), self.size))
        first, leader = self._first
        if abs(video.source_fps - leader.source_fps) > RATE_TOLERANCE * leader.source_fps:
            raise MediaError(
                f"{field}: {path} runs at {video.source_fps:g} fps and {first} at {leader.source_fps:g} fps: "
                "give files of one rate for all cameras"
            )
        self.reader.warn(field, path, shape_doubt(_source_size(video), first, _source_size(leader)))
        return video.frames

    def _fit(self, height: int, width: int) -> Size:
        return self.size


def _source_size(video: Video) -> Size:
    return Size(video.source_height, video.source_width)


def prepare_views(spec: MultiviewSpec, limits: MediaLimits | None = None) -> PreparedViews:
    """Decodes, checks and resizes the HD maps and inputs of a resolved spec; `limits` as in `prepare_clip`.

    Raises ValueError (MediaError), or OSError for missing files, with one line that names the field and the file.
    """
    if spec.resolution is None or spec.fps is None:
        raise ValueError("the spec has open settings: resolve it against a model's preset first")
    reader = RowReader(Reading(limits=limits or MediaLimits(), keep_damaged=spec.keep_damaged_frames))
    files = _Files(SIZES[spec.resolution][spec.aspect_ratio], spec.fps, reader)
    controls = _controls(spec, files)
    frames = next(iter(controls.values())).frames if controls else most_frames(spec)
    inputs = _inputs(spec, files, frames)
    filmed = FilmedClip(cameras=spec.cameras, frames=frames, fps=spec.fps, size=files.source_size or files.size)
    return PreparedViews(
        fps=spec.fps,
        frames=frames,
        height=files.size.height,
        width=files.size.width,
        cameras=spec.cameras,
        controls=controls,
        inputs=inputs,
        camera_tracks=read_camera_tracks(spec.camera_path, filmed),
        warnings=tuple(reader.warnings),
    )


def most_frames(spec: MultiviewSpec) -> int:
    """Frames per camera that a resolved spec asks for; a clip with shorter HD maps is as long as they are."""
    chunk = spec.sampling().chunk_frames
    return chunk + ((spec.num_chunks or 1) - 1) * (chunk - (spec.chunk_overlap or 0))


def antialiased(frame_HW3: np.ndarray, size: Size) -> np.ndarray:
    """A frame at another size, bilinear with antialiasing."""
    if frame_HW3.shape[:2] == (size.height, size.width):
        return frame_HW3
    pixels = torch.from_numpy(frame_HW3).permute(2, 0, 1)[None].float()
    resized = F.interpolate(pixels, (size.height, size.width), mode="bilinear", antialias=True, align_corners=False)
    return resized[0].round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).contiguous().numpy()


def _controls(spec: MultiviewSpec, files: _Files) -> dict[str, PackedFrames]:
    """The HD maps by camera, all of one length."""
    paths = {name: view.control_path for name, view in spec.views.items() if view.control_path is not None}
    packed = {
        name: pack_frames(files.read(f"{name}.control_path", path, most_frames(spec))) for name, path in paths.items()
    }
    first = next(iter(packed), None)
    for name, frames in packed.items():
        if first is not None and frames.frames != packed[first].frames:
            raise MediaError(
                f"{name}.control_path: {paths[name]} has {frames.frames} frames at {files.fps:g} fps and "
                f"{first}.control_path {packed[first].frames}: give files of one length"
            )
    return packed


def _inputs(spec: MultiviewSpec, files: _Files, frames: int) -> dict[str, PackedFrames]:
    """The inputs by camera, beginning with the frames that the clip starts with."""
    given = spec.given_frames()
    if spec.input_path is not None and spec.n_views is not None:
        whole = files.read("input_path", spec.input_path, None)
        if len(whole) % spec.n_views:
            raise MediaError(
                f"input_path: {spec.input_path} has {len(whole)} frames at {files.fps:g} fps, which {spec.n_views} "
                "cameras of one length can't have: fix n_views or the file"
            )
        videos = dict(zip(spec.cameras, np.split(whole, spec.n_views), strict=True))
        fields = dict.fromkeys(spec.cameras, "input_path")
    else:
        # A clip with HD maps starts where its inputs start; one without goes on from their end.
        most = frames if spec.controls else None
        paths = {name: view.input_path for name, view in spec.views.items() if view.input_path is not None}
        fields = {name: f"{name}.input_path" for name in paths}
        videos = {name: files.read(fields[name], path, most) for name, path in paths.items()}
    for name, video in videos.items():
        if len(video) < given[name]:
            raise MediaError(
                f"{fields[name]}: has {len(video)} frames of {name} at {files.fps:g} fps and the clip starts with "
                f"{given[name]}: give a longer one, or lower num_conditional_frames"
            )
    if spec.controls:
        return {name: pack_frames(video) for name, video in videos.items()}
    return {name: pack_frames(video[len(video) - given[name] :]) for name, video in videos.items() if given[name]}
