"""What rows of every kind share: name, words, and the sampler's settings.

A spec is what the user wrote, validated once where it enters. What the user left open stays `None` and is filled in
from the model's preset, so a resolved spec names every setting that shaped a clip. Unknown fields are errors. Paths are
plain strings: they may be local or any fsspec URL.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from airshower.configs.presets import ModelPreset
from airshower.configs.sizes import SIZES

Text = Annotated[str, Field(min_length=1)]

# A file name has 255 bytes at most. What is added to a row's has less than 55: "_control_hdmap_front_wide.mp4" is the
# longest of a clip's files, and "-" with 32 digits that of their folder.
MOST_NAME_BYTES = 200
_NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{MOST_NAME_BYTES - 1}}}")


class Strict(BaseModel):
    """An object of a row: typed, without unknown fields."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


@dataclass(frozen=True, kw_only=True)
class SamplingSettings:
    """The sampler's settings of one row."""

    chunk_frames: int
    steps: int
    guidance: int


class RowSpec(Strict):
    """What a row says whatever it is made of."""

    name: str = Field(
        description="Stem of the output files, unique in a run; default: the stem of the file that holds the row, as "
        "far as files can be called so, with -<line or item> where that file holds several"
    )
    prompt: Text | None = Field(
        default=None, description="What the video shows, in words; give exactly one of prompt and prompt_path"
    )
    prompt_path: Text | None = Field(
        default=None, description="Text file, or JSON file with a 'prompt' key, read instead of prompt"
    )
    negative_prompt: str | None = Field(
        default=None, description="What the video should not show; '' means nothing; default: the model's"
    )
    output_dir: Text | None = Field(
        default=None, description="Folder of the run, the older form of --output; --output wins"
    )
    resolution: str | None = Field(
        default=None,
        description=f"Size key, one of {', '.join(SIZES)} (about the output's height in pixels); "
        "the aspect ratio follows the input; default: the model's",
    )
    num_steps: int | None = Field(default=None, ge=1, le=1000, description="Sampler steps; default: the model's")
    guidance: int | None = Field(
        default=None, ge=0, le=7, description="Guidance g in v = c + g (c - u), 0..7; default: the model's"
    )
    camera_path: Text | None = Field(
        default=None,
        description="JSON file with the parameters of the cameras that filmed the input, kept beside the clip; they "
        "don't shape it",
    )
    keep_damaged_frames: bool = Field(
        default=False,
        description="Make the clip of a video in which frames are damaged or missing, too; its record names them",
    )
    exact_reference: bool = Field(
        default=False,
        description="Do as the published code where it is known to do worse: frames that a chunk passes on lose their "
        "fractions instead of being rounded, and guided generation drifts from chunk to chunk",
    )

    @field_validator("name")
    @classmethod
    def _name_is_a_file_stem(cls, name: str) -> str:
        if not names_files(name):
            raise ValueError(
                "can't name files: use letters without accents, digits, '.', '_' and '-', a letter or digit first, "
                f"{MOST_NAME_BYTES} at most"
            )
        return name

    @field_validator("resolution")
    @classmethod
    def _resolution_is_known(cls, resolution: str | None) -> str | None:
        if resolution is not None and resolution not in SIZES:
            raise ValueError(f"is no size key: use one of {', '.join(SIZES)}")
        return resolution

    @model_validator(mode="after")
    def _one_prompt(self) -> "RowSpec":
        if (self.prompt is None) == (self.prompt_path is None):
            found = "neither" if self.prompt is None else "both"
            raise ValueError(f"prompt and prompt_path: {found} given: give exactly one")
        return self

    @property
    def needs_annotator(self) -> bool:
        """Whether annotators have to compute some of it."""
        return False

    def with_file(self, field: str, path: str) -> Self:
        """The row with another path in one of the (dotted) fields that name its files."""
        owner, dot, key = field.rpartition(".")
        if not dot:
            return self.model_copy(update={key: path})
        return self.model_copy(update={owner: getattr(self, owner).model_copy(update={key: path})})

    def _camera_stems(self) -> tuple[str, ...]:
        return () if self.camera_path is None else (f"{self.name}_cameras",)

    def filled(self, preset: ModelPreset, own: Mapping[str, object]) -> Self:
        """This spec with every open setting filled in from the model's preset, and from `own` for those of its kind.

        Raises ValueError for settings that the model's sampler has no use for.
        """
        preset.check_sampling(self.num_steps, {"guidance": self.guidance, "negative_prompt": self.negative_prompt})
        defaults = {
            "negative_prompt": preset.negative_prompt,
            "resolution": preset.resolution,
            "num_steps": preset.num_steps,
            "guidance": preset.guidance,
            **own,
        }
        return self.model_copy(update={key: value for key, value in defaults.items() if getattr(self, key) is None})

    def _sampling(self, chunk_frames: int | None) -> SamplingSettings:
        if chunk_frames is None or self.num_steps is None or self.guidance is None:
            raise ValueError(f"{self.name}: the spec has open settings: call resolved(preset) first")
        return SamplingSettings(chunk_frames=chunk_frames, steps=self.num_steps, guidance=self.guidance)


def names_files(name: str) -> bool:
    """Whether a row may have this name: its files begin with it."""
    return _NAME.fullmatch(name) is not None


def whole_latents(frames: int | None) -> int | None:
    """A chunk's length, unless the causal autoencoder can't make so many frames; raises ValueError."""
    if frames is not None and frames % 4 != 1:
        raise ValueError(f"is not 4k+1, the causal autoencoder's length: use {frames // 4 * 4 + 1}")
    return frames
