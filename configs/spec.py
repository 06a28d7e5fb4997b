"""Rows of one camera, with the public Transfer2.5 fields. Rows of several cameras: `multiview_spec.py`."""

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from airshower.configs.presets import ModelPreset
from airshower.configs.row_spec import RowSpec, SamplingSettings, Strict, Text, whole_latents

Control = Literal["edge", "vis", "depth", "seg"]
CONTROLS: tuple[Control, ...] = ("edge", "vis", "depth", "seg")  # the published branch order
ANNOTATED: tuple[Control, ...] = ("depth", "seg")  # those that networks compute where no file is given
Strength = Literal["very_low", "low", "medium", "high", "very_high"]
DepthValues = Literal["levels", "distance", "inverse"]


class ControlSpec(Strict):
    """One conditioning video and how strongly it steers."""

    control_path: Text | None = Field(
        default=None,
        description="Control video, as long as the clip or longer and of its frame rate; default: computed from "
        "video_path (edge and vis always can be, depth and seg need annotators)",
    )
    control_weight: float = Field(
        default=1.0, ge=0, le=1, description="Strength of this control, 0..1 (not normalised over controls)"
    )
    mask_path: Text | None = Field(
        default=None, description="Video whose white pixels say where this control applies; default: everywhere"
    )
    mask_prompt: Text | None = Field(
        default=None, description="Words naming what the mask covers, instead of mask_path (needs annotators)"
    )

    @model_validator(mode="after")
    def _one_mask(self) -> Self:
        if self.mask_path is not None and self.mask_prompt is not None:
            raise ValueError("mask_path and mask_prompt are both given: keep one")
        return self


class EdgeSpec(ControlSpec):
    """Canny edges of the input."""

    preset_edge_threshold: Strength = Field(
        default="medium",
        description="Canny thresholds where edges are computed, from very_low 20/50 (most edges) to very_high 300/400",
    )


class VisSpec(ControlSpec):
    """A blurred copy of the input."""

    preset_blur_strength: Strength = Field(default="medium", description="Blur where the blurred copy is computed")


class DepthSpec(ControlSpec):
    """Depth, near is bright."""

    values: DepthValues | None = Field(
        default=None,
        description="What the numbers of a depth file (16-bit PNG or TIFF, EXR, .npy, .npz, or a folder of them) are: "
        "distance in any unit, inverse depth, or levels as the control has them; default: distance, and levels for "
        "8 bits, and for 16 bits that are used to the full",
    )

    @model_validator(mode="after")
    def _values_are_of_a_file(self) -> Self:
        if self.values is not None and self.control_path is None:
            raise ValueError("values says what control_path holds, which is missing: give it, or remove values")
        return self


class SegSpec(ControlSpec):
    """Segmentation colours, one per object."""

    control_prompt: Text | None = Field(
        default=None,
        description="Words naming what to segment, instead of control_path (needs annotators); "
        "default: the prompt's first 128 words",
    )

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.control_path is not None and self.control_prompt is not None:
            raise ValueError("control_path and control_prompt are both given: keep one")
        return self


class ClipSpec(RowSpec):
    """One row: a clip to generate."""

    video_path: Text | None = Field(
        default=None, description="Input video; may be left out when every control has a control_path"
    )
    max_frames: int | None = Field(default=None, ge=1, description="Frames read from the input; default: all")
    num_conditional_frames: int = Field(
        default=1, ge=0, le=2, description="Frames of the previous chunk that condition the next one, 0..2"
    )
    num_video_frames_per_chunk: int | None = Field(
        default=None, ge=1, description="Frames of one chunk, 4k+1; default: the model's"
    )
    seed: int = Field(
        default=2025, ge=0, le=2**32 - 1, description="Seed of the noise, 0..2^32-1; one seed and row mean one video"
    )
    sigma_max: str | None = Field(
        default=None, description="Accepted by the original and without effect there; here an error"
    )
    context_frame_index: int | None = Field(
        default=None, ge=1, description="Frame of the input, counted from 0, used as style image"
    )
    image_context_path: Text | None = Field(default=None, description="Style image")
    keep_input_resolution: bool | None = Field(
        default=None, description="Resize the result back to the input's size; default: the model's"
    )
    show_control_condition: bool = Field(default=False, description="Put the controls beside the output")
    show_input: bool = Field(default=False, description="Put the input beside the output")
    guided_generation_mask: Text | None = Field(
        default=None, description="Mask of the region kept close to the input: video, npz file or folder"
    )
    guided_generation_step_threshold: int | None = Field(
        default=None, ge=0, description="Last sampler step, counted from 0, that is guided; default: the model's"
    )
    guided_generation_foreground_labels: list[int] | None = Field(
        default=None, description="Labels of the mask that count as foreground; default: all but 0"
    )
    edge: EdgeSpec | None = Field(default=None, description="Edge control; {} computes it with the defaults")
    vis: VisSpec | None = Field(default=None, description="Blur control; {} computes it with the defaults")
    depth: DepthSpec | None = Field(default=None, description="Depth control")
    seg: SegSpec | None = Field(default=None, description="Segmentation control")

    @field_validator("num_video_frames_per_chunk")
    @classmethod
    def _chunk_fits_the_autoencoder(cls, frames: int | None) -> int | None:
        return whole_latents(frames)

    @field_validator("sigma_max")
    @classmethod
    def _sigma_max_is_not_used(cls, sigma_max: str | None) -> str | None:
        if sigma_max is not None:
            raise ValueError("has no effect on a rectified-flow sampler: remove it")
        return sigma_max

    @model_validator(mode="after")
    def _fields_agree(self) -> Self:
        if not self.controls:
            raise ValueError(f'no control: give at least one of {", ".join(CONTROLS)}, for example "edge": {{}}')
        pathless = [key for key, control in self.controls.items() if control.control_path is None]
        if self.video_path is None and pathless:
            raise ValueError(
                f"video_path is missing and {', '.join(pathless)} would be computed from it: "
                f"give video_path or {pathless[0]}.control_path"
            )
        if self.video_path is None and self.mask_prompts:
            raise ValueError(
                f"video_path is missing and {next(iter(self.mask_prompts))}.mask_prompt names what to look for in it: "
                f"give video_path, or mask_path instead"
            )
        guided = (self.guided_generation_step_threshold, self.guided_generation_foreground_labels)
        if self.guided_generation_mask is None and guided != (None, None):
            raise ValueError("guided_generation_mask is missing and its settings are given: give it or remove them")
        if self.image_context_path is not None and self.context_frame_index is not None:
            raise ValueError("image_context_path and context_frame_index are both given: keep one style image")
        if self.context_frame_index is not None and self.video_path is None:
            raise ValueError("context_frame_index: names a frame of video_path, which is missing: give it")
        if self.image_context_path is not None and self.vis is not None:
            raise ValueError("image_context_path: vis already says what the colours are: keep one of them")
        if self.guided_generation_mask is not None and self.video_path is None:
            raise ValueError("guided_generation_mask: keeps a region close to video_path, which is missing: give it")
        return self

    @property
    def controls(self) -> dict[Control, ControlSpec]:
        """The controls that are given, in the published branch order."""
        return {key: spec for key in CONTROLS if (spec := getattr(self, key)) is not None}

    @property
    def annotated_controls(self) -> tuple[Control, ...]:
        """The controls that only annotators can compute."""
        return tuple(key for key in ANNOTATED if key in self.controls and self.controls[key].control_path is None)

    @property
    def mask_prompts(self) -> dict[Control, str]:
        """What the masks of controls cover where that is given in words."""
        return {key: control.mask_prompt for key, control in self.controls.items() if control.mask_prompt is not None}

    @property
    def needs_annotator(self) -> bool:
        """Whether depth, segmentation or a mask is left to them."""
        return bool(self.annotated_controls or self.mask_prompts)

    def files(self) -> dict[str, str]:
        """Every file or folder that the row reads, by (dotted) field."""
        own = ("prompt_path", "video_path", "image_context_path", "guided_generation_mask", "camera_path")
        paths = {name: getattr(self, name) for name in own}
        for key, control in self.controls.items():
            paths |= {f"{key}.control_path": control.control_path, f"{key}.mask_path": control.mask_path}
        return {name: path for name, path in paths.items() if path is not None}

    def video_stems(self) -> tuple[str, ...]:
        """Names of the files that the row may write."""
        controls = [f"{self.name}_control_{key}" for key in self.controls]
        masks = [f"{self.name}_mask_{key}" for key in self.mask_prompts]
        return (self.name, f"{self.name}_input", *controls, *masks, *self._camera_stems())

    def prompts(self, prompt: str) -> tuple[str | None, ...]:
        """The text that each camera is made from."""
        return (prompt,)

    def negative_prompts(self) -> tuple[str | None, ...]:
        """The text that each camera is kept away from."""
        return (self.negative_prompt or "",)

    def resolved(self, preset: ModelPreset) -> "ClipSpec":
        """This spec with every open setting filled in from the model's preset.

        Raises ValueError, naming the field, where the model can't serve it.
        """
        if preset.multiview is not None:
            raise ValueError(
                f"{preset.name} makes clips of several cameras and this row has none: give the cameras, such as "
                f'"front_wide": {{"control_path": ...}}, or use another --model'
            )
        preset.check(self.controls, self.asked_features())
        own: dict[str, object] = {
            "num_video_frames_per_chunk": preset.frames_per_chunk,
            "keep_input_resolution": preset.keep_input_resolution,
        }
        if self.guided_generation_mask is not None:
            own["guided_generation_step_threshold"] = preset.last_guided_step
        return self.filled(preset, own)

    def sampling(self) -> SamplingSettings:
        """What the sampler needs, of a resolved spec; raises ValueError for one that isn't resolved."""
        return self._sampling(self.num_video_frames_per_chunk)

    def asked_features(self) -> dict[str, str]:
        """Settings that only some models serve: {feature of `ModelPreset.features`: the field that asks for it}."""
        asked = {}
        for key in self.annotated_controls:
            asked[f"{key}-annotator"] = f"{key} without control_path"
        for key in self.mask_prompts:
            asked["mask-annotator"] = f"{key}.mask_prompt"
        if self.image_context_path is not None:
            asked["style-image"] = "image_context_path"
        elif self.context_frame_index is not None:
            asked["style-image"] = "context_frame_index"
        if self.guided_generation_mask is not None:
            asked["guided-generation"] = "guided_generation_mask"
        return asked
