"""Rows of several cameras, with the public fields of Transfer2.5's and Predict2's multiview inference.

A row names its cameras in one of two ways: an object per camera, or one `input_path` with the videos of `n_views`
cameras one after the other. The frames of all cameras are made together.
"""

from typing import Self

from pydantic import Field, field_validator, model_validator

from airshower.configs.cameras import RIG, WAYMO
from airshower.configs.presets import ModelPreset
from airshower.configs.row_spec import RowSpec, SamplingSettings, Strict, Text, whole_latents
from airshower.configs.sizes import ASPECTS

CONDITIONAL_FRAMES = (0, 1, 5)  # what the networks were trained with: none, one or two latent frames
HDMAP = "hdmap"  # the one control


def _known_count(frames: int) -> int:
    if frames not in CONDITIONAL_FRAMES:
        raise ValueError(f"is no count that the networks know: use {', '.join(map(str, CONDITIONAL_FRAMES))}")
    return frames


class ViewSpec(Strict):
    """One camera of a row."""

    control_path: Text | None = Field(default=None, description="HD map video of this camera")
    input_path: Text | None = Field(
        default=None, description="Video of this camera, whose frames the clip goes on from"
    )
    prompt: Text | None = Field(default=None, description="What this camera shows; default: see other_views_prompt")
    num_conditional_frames_per_view: int = Field(
        default=0, description="Frames of input_path that the clip starts with, 0, 1 or 5; all cameras or none"
    )

    _count = field_validator("num_conditional_frames_per_view")(_known_count)


class MultiviewSpec(RowSpec):
    """One row of several cameras."""

    seed: int = Field(
        default=0, ge=0, le=2**32 - 1, description="Seed of the noise, 0..2^32-1; one seed and row mean one video"
    )
    num_conditional_frames: int = Field(
        default=1, description="Frames of every camera's input that the clip starts with: 0, 1 or 5"
    )
    control_weight: float = Field(default=1.0, ge=0, le=1, description="Strength of the HD maps, 0..1")
    fps: float | None = Field(
        default=None, gt=0, description="Frames per second; files may have a whole multiple; default: the model's"
    )
    aspect_ratio: str = Field(
        default="16:9", description=f"Shape of the frames, one of {', '.join(ASPECTS)}; files are resized to it"
    )
    num_video_frames_per_view: int | None = Field(
        default=None, ge=1, description="Frames per camera of one chunk, 4k+1; default: the model's"
    )
    enable_autoregressive: bool = Field(default=False, description="Make a longer clip, chunk after chunk")
    num_chunks: int | None = Field(
        default=None, ge=1, description="Chunks at most, with enable_autoregressive; default: 2"
    )
    chunk_overlap: int | None = Field(
        default=None, ge=0, description="Frames of a chunk that the next one starts with; default: 1"
    )
    save_combined_views: bool = Field(
        default=True,
        description="One video with the cameras one after the other; off: a video per camera, and its HD map",
    )
    other_views_prompt: str | None = Field(
        default=None,
        description="Text of the cameras that the prompt isn't for (it is for front_wide, or else the first camera); "
        "default: the model's",
    )
    input_path: Text | None = Field(
        default=None, description="One video with the inputs of all n_views cameras one after the other"
    )
    n_views: int | None = Field(
        default=None,
        ge=1,
        le=len(RIG),
        description="Cameras in input_path: 5 are Waymo's, from side left to side right; other counts are the first "
        "ones of the rig",
    )
    front_wide: ViewSpec | None = Field(default=None, description="Front camera, 120 degrees wide")
    cross_right: ViewSpec | None = Field(default=None, description="Camera to the right (Waymo: front right)")
    rear_right: ViewSpec | None = Field(default=None, description="Camera to the back right (Waymo: side right)")
    rear: ViewSpec | None = Field(default=None, description="Camera to the back, 30 degrees wide")
    rear_left: ViewSpec | None = Field(default=None, description="Camera to the back left (Waymo: side left)")
    cross_left: ViewSpec | None = Field(default=None, description="Camera to the left (Waymo: front left)")
    front_tele: ViewSpec | None = Field(default=None, description="Front camera, 30 degrees wide")

    _count = field_validator("num_conditional_frames")(_known_count)

    @field_validator("num_video_frames_per_view")
    @classmethod
    def _chunk_fits_the_autoencoder(cls, frames: int | None) -> int | None:
        return whole_latents(frames)

    @field_validator("aspect_ratio")
    @classmethod
    def _aspect_is_known(cls, aspect: str) -> str:
        if aspect not in ASPECTS:
            raise ValueError(f"is unknown: use one of {', '.join(ASPECTS)}")
        return aspect

    @model_validator(mode="after")
    def _fields_agree(self) -> Self:
        self._check_cameras()
        if not self.enable_autoregressive:
            for name in ("num_chunks", "chunk_overlap"):
                if getattr(self, name) is not None:
                    raise ValueError(f"{name} is for longer clips: set enable_autoregressive to true or remove it")
        counts = {view.num_conditional_frames_per_view for view in self.views.values()}
        if 0 in counts and len(counts) > 1:
            raise ValueError(
                "num_conditional_frames_per_view: some cameras have 0 and some don't: give all cameras frames, or none"
            )
        without = [name for name, view in self.views.items() if view.input_path is None]
        if any(self.given_frames().values()) and without:
            raise ValueError(
                f"the clip starts with {max(self.given_frames().values())} frames of every camera's input, and "
                f"{without[0]}.input_path is missing: give it, or set num_conditional_frames to 0"
            )
        return self

    def _check_cameras(self) -> None:
        if (self.input_path is None) != (self.n_views is None):
            raise ValueError("input_path and n_views: one needs the other: give both, or an object per camera")
        if self.n_views is not None and self.views:
            raise ValueError(f"input_path has the videos of all cameras: remove {', '.join(self.views)}, or it")
        empty = [name for name, view in self.views.items() if view.control_path is None and view.input_path is None]
        if empty:
            raise ValueError(f"{empty[0]}: has neither control_path nor input_path: give one, or remove the camera")
        mapped = [name for name, view in self.views.items() if view.control_path is not None]
        if mapped and len(mapped) < len(self.views):
            other = next(name for name in self.views if name not in mapped)
            raise ValueError(f"{other}.control_path is missing, and {mapped[0]} has one: give it, or remove {other}")
        if not self.cameras:
            raise ValueError(f"no camera: give at least one of {', '.join(RIG)}")

    @property
    def views(self) -> dict[str, ViewSpec]:
        """The cameras that have an object, in the rig's order."""
        return {name: view for name in RIG if (view := getattr(self, name)) is not None}

    @property
    def cameras(self) -> tuple[str, ...]:
        """Names of all cameras, in the order of their frames."""
        if self.n_views is None:
            return tuple(self.views)
        return WAYMO if self.n_views == len(WAYMO) and not self.exact_reference else RIG[: self.n_views]

    @property
    def controls(self) -> tuple[str, ...]:
        """The controls that are given: HD maps or none."""
        return (HDMAP,) if any(view.control_path is not None for view in self.views.values()) else ()

    def given_frames(self) -> dict[str, int]:
        """How many frames of its input each camera starts with."""
        own = {name: view.num_conditional_frames_per_view for name, view in self.views.items()}
        return own if any(own.values()) else dict.fromkeys(self.cameras, self.num_conditional_frames)

    def files(self) -> dict[str, str]:
        """Every file that the row reads, by (dotted) field."""
        paths = {"prompt_path": self.prompt_path, "input_path": self.input_path, "camera_path": self.camera_path}
        for name, view in self.views.items():
            paths |= {f"{name}.control_path": view.control_path, f"{name}.input_path": view.input_path}
        return {name: path for name, path in paths.items() if path is not None}

    def video_stems(self) -> tuple[str, ...]:
        """Names of the files that the row may write."""
        cameras = [f"_{camera}" for camera in self.cameras]
        maps = [] if self.save_combined_views else [f"_control_{HDMAP}{camera}" for camera in cameras]
        ends = ("", "_grid", "_input", f"_control_{HDMAP}", *cameras, *maps)
        return (*(f"{self.name}{end}" for end in ends), *self._camera_stems())

    def prompts(self, prompt: str) -> tuple[str | None, ...]:
        """The text that each camera is made from; None stands for an embedding of zeros."""
        return self._texts(prompt, {name: view.prompt for name, view in self.views.items() if view.prompt is not None})

    def negative_prompts(self) -> tuple[str | None, ...]:
        """The text that each camera is kept away from: all of them, where all have a prompt of their own."""
        negative = self.negative_prompt or ""
        prompted = [name for name, view in self.views.items() if view.prompt is not None]
        return self._texts(negative, dict.fromkeys(prompted, negative))

    def _texts(self, text: str, of_cameras: dict[str, str]) -> tuple[str | None, ...]:
        leading = "front_wide" if "front_wide" in self.cameras and not self._numbered else self.cameras[0]
        texts = {**dict.fromkeys(self.cameras, self.other_views_prompt), leading: text, **of_cameras}
        return tuple(texts.values())

    @property
    def _numbered(self) -> bool:
        """Whether cameras are what their place in the file says, as in the published Predict2 inference."""
        return self.n_views is not None and self.exact_reference

    def resolved(self, preset: ModelPreset) -> "MultiviewSpec":
        """This spec with every open setting filled in from the model's preset.

        Raises ValueError, naming the field, where the model can't serve it.
        """
        if preset.multiview is None:
            raise ValueError(
                f"{self.cameras[0]}: {preset.name} makes clips of one camera: use a model for several, such as "
                "--model tiny-multiview"
            )
        if tuple(preset.controls) != self.controls:
            wanted = "needs" if preset.controls else "takes no"
            raise ValueError(f"{self.cameras[0]}.control_path: {preset.name} {wanted} HD maps: use another --model")
        own: dict[str, object] = {
            "other_views_prompt": preset.multiview.other_views_prompt,
            "fps": preset.multiview.fps,
            "num_video_frames_per_view": preset.frames_per_chunk,
        }
        if self.enable_autoregressive:
            own |= {"num_chunks": 2, "chunk_overlap": 1}
        spec = self.filled(preset, own)
        overlap, frames = spec.chunk_overlap or 0, spec.num_video_frames_per_view or 0
        if overlap >= frames:
            raise ValueError(f"chunk_overlap {overlap}: a chunk has {frames} frames and must make new ones: lower it")
        return spec

    def sampling(self) -> SamplingSettings:
        """What the sampler needs, of a resolved spec; raises ValueError for one that isn't resolved."""
        return self._sampling(self.num_video_frames_per_view)
