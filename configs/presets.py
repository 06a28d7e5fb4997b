"""Model presets: what a user names with --model, with the defaults a row falls back to.

A preset is data. `weights` says what its parts are: a folder that the repository ships, or published files.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from airshower.configs.annotators import ANNOTATOR_FEATURES, ANNOTATORS

BASE = "base"  # stands for the control of a network that has none
# Rectified flow with UniPC, Predict2's Adams-Bashforth, or the few steps of a distilled network.
Sampler = Literal["flow", "predict2", "distilled"]


@dataclass(frozen=True, kw_only=True)
class TrainedWeights:
    """A folder under models/shipped, and the one whose autoencoder it was trained with."""

    folder: str
    autoencoder_of: str


@dataclass(frozen=True, kw_only=True)
class PublishedWeights:
    """The parts of a model by their names in `airshower.configs.published`."""

    networks: Mapping[str, str]  # by control
    autoencoder: str
    text_encoder: str
    reads_text_with: Literal["reason1", "t5"]
    timestep_scale: float | None = None  # of networks whose family has another one: weights don't tell it
    style_encoder: str | None = None  # only needed by rows with a style image
    annotators: tuple[str, ...] = ()  # only needed by rows that leave a control or mask to them

    def names(self) -> tuple[str, ...]:
        """Every part."""
        parts = (*self.networks.values(), self.autoencoder, self.text_encoder, self.style_encoder, *self.annotators)
        return tuple(part for part in parts if part is not None)


@dataclass(frozen=True, kw_only=True)
class MultiviewDefaults:
    """What rows of several cameras fall back to."""

    fps: float
    other_views_prompt: str | None  # of the cameras that the prompt isn't for; None: an embedding of zeros


@dataclass(frozen=True, kw_only=True)
class ModelPreset:
    """One model: its family, the controls it knows and its defaults for a row."""

    name: str
    family: str
    controls: tuple[str, ...]
    features: frozenset[str] = frozenset()  # what else it serves, see ClipSpec.asked_features
    weights: TrainedWeights | PublishedWeights  # shipped, or what the user has to fetch
    resolution: str
    frames_per_chunk: int  # of each camera
    whole_chunks: bool = True  # whether a shorter clip is padded to a chunk, as published, instead of made as it is
    num_steps: int
    guidance: int
    sampler: Sampler = "flow"
    shift: float = 1.0  # timestep shift of the flow schedule
    last_guided_step: int | None = None  # from 0, of guided generation
    text_on_gpu: bool  # whether the text encoder takes a share of a GPU, where there is one
    keep_input_resolution: bool = False  # whether clips are resized back to their input's size
    negative_prompt: str  # "" means no text: the zero embedding that text dropout trains
    multiview: MultiviewDefaults | None = None  # of a model for several cameras

    def text_device(self, device: str) -> str:
        """Where the text encoder runs beside a network on `device`."""
        return device if self.text_on_gpu else "cpu"

    def with_annotators(self, folder: str | None) -> "ModelPreset":
        """This model beside a folder of annotators; the same where there is none."""
        return self if folder is None else replace(self, features=self.features | ANNOTATOR_FEATURES)

    def check_sampling(self, steps: int | None, asked: Mapping[str, object]) -> None:
        """Raises ValueError for settings that the sampler has no use for; `asked` maps fields to what they ask for."""
        if self.sampler != "distilled":
            return
        for field, value in asked.items():
            if value:
                raise ValueError(f"{field}: {self.name} is sampled without guidance: remove it")
        if steps is not None and steps > self.num_steps:
            raise ValueError(f"num_steps {steps}: {self.name} takes {self.num_steps} at most: lower it")

    def check(self, controls: Collection[str], asked: Mapping[str, str]) -> None:
        """Raises ValueError, naming the field, when a row asks for what this model can't do."""
        for control in controls:
            if control not in self.controls:
                raise ValueError(f"{control}: {self.name} has no {control} control: use {', '.join(self.controls)}")
        for feature, field in asked.items():
            if feature in self.features:
                continue
            if feature in ANNOTATOR_FEATURES:
                raise ValueError(
                    f"{field}: needs annotators, which {self.name} lacks: "
                    f"name a folder of them with --annotators DIR, or give a file"
                )
            raise ValueError(f"{field}: needs {feature}, which {self.name} lacks: remove it or give a file")
        if "style-image" in asked and len(controls) > 1:
            raise ValueError(
                f"{asked['style-image']}: the network of several controls takes no style image: keep one control"
            )


def tiny_transfer() -> ModelPreset:
    """The toy-size Transfer2.5: four controls, trained on the sample world, shipped in the repository."""
    return ModelPreset(
        name="tiny-transfer",
        family="transfer2.5",
        controls=("edge", "vis", "depth", "seg"),
        weights=TrainedWeights(folder="tiny-transfer", autoencoder_of="tiny-transfer"),
        resolution="144",
        frames_per_chunk=33,
        whole_chunks=False,
        num_steps=12,
        guidance=1,
        shift=3.0,
        last_guided_step=8,
        features=frozenset({"guided-generation"}),
        text_on_gpu=False,
        negative_prompt="",
    )


# The published default of Transfer2.5 (config.DEFAULT_NEGATIVE_PROMPT), which its networks are sampled with.
_TRANSFER25_NEGATIVE_PROMPT = (
    "The video captures a game playing, with bad crappy graphics and cartoonish frames. It represents a recording of "
    "old outdated games. The lighting looks very fake. The textures are very raw and basic. The geometries are very "
    "primitive. The images are very pixelated and of poor CG quality. There are many subtitles in the footage. "
    "Overall, the video is unrealistic at all."
)


def transfer25_2b() -> ModelPreset:
    """Cosmos-Transfer2.5-2B general, with the defaults of its published inference."""
    return ModelPreset(
        name="transfer2.5-2b",
        family="transfer2.5",
        controls=("edge", "vis", "depth", "seg"),
        weights=PublishedWeights(
            networks={control: f"transfer2.5-2b-{control}" for control in ("edge", "vis", "depth", "seg")},
            autoencoder="predict2.5-2b-vae",
            text_encoder="reason1-7b",
            reads_text_with="reason1",
            style_encoder="siglip2",
            annotators=ANNOTATORS,
        ),
        resolution="720",
        frames_per_chunk=93,
        num_steps=35,
        guidance=3,
        shift=5.0,
        last_guided_step=25,
        features=frozenset({"guided-generation", "style-image"}) | ANNOTATOR_FEATURES,
        text_on_gpu=True,
        keep_input_resolution=True,
        negative_prompt=_TRANSFER25_NEGATIVE_PROMPT,
    )


def tiny_multiview() -> ModelPreset:
    """The toy-size auto multiview: seven cameras and their HD maps, trained on the sample world's rig."""
    return ModelPreset(
        name="tiny-multiview",
        family="transfer2.5",
        controls=("hdmap",),
        weights=TrainedWeights(folder="tiny-multiview", autoencoder_of="tiny-transfer"),
        resolution="144",
        frames_per_chunk=17,
        whole_chunks=False,
        num_steps=12,
        guidance=1,
        shift=3.0,
        text_on_gpu=False,
        negative_prompt="",
        multiview=MultiviewDefaults(fps=10.0, other_views_prompt=""),
    )


# The published default of the multiview networks and of Predict2.
_UGLY_SCENES = (
    "The video captures a series of frames showing ugly scenes, static with no motion, motion blur, over-saturation, "
    "shaky footage, low resolution, grainy texture, pixelated images, poorly lit areas, underexposed and overexposed "
    "scenes, poor color balance, washed out colors, choppy sequences, jerky movements, low frame rate, artifacting, "
    "color banding, unnatural transitions, outdated special effects, fake elements, unconvincing visuals, poorly "
    "edited content, jump cuts, visual noise, and flickering. Overall, the video is of poor quality."
)


def transfer25_2b_distilled() -> ModelPreset:
    """Cosmos-Transfer2.5-2B edge in four steps; experimental in the published code, trained on single chunks."""
    return ModelPreset(
        name="transfer2.5-2b-distilled",
        family="transfer2.5",
        controls=("edge",),
        weights=PublishedWeights(
            networks={"edge": "transfer2.5-2b-edge-distilled"},
            autoencoder="predict2.5-2b-vae",
            text_encoder="reason1-7b",
            reads_text_with="reason1",
            timestep_scale=1.0,
        ),
        resolution="720",
        frames_per_chunk=93,
        num_steps=4,
        guidance=0,
        sampler="distilled",
        text_on_gpu=True,
        keep_input_resolution=True,
        negative_prompt="",
    )


def transfer25_2b_multiview() -> ModelPreset:
    """Cosmos-Transfer2.5-2B auto/multiview: HD maps to seven cameras, with the defaults of its published inference."""
    return ModelPreset(
        name="transfer2.5-2b-multiview",
        family="transfer2.5",
        controls=("hdmap",),
        weights=PublishedWeights(
            networks={"hdmap": "transfer2.5-2b-multiview-hdmap"},
            autoencoder="predict2.5-2b-vae",
            text_encoder="reason1-7b",
            reads_text_with="reason1",
        ),
        resolution="720p",
        frames_per_chunk=29,
        num_steps=35,
        guidance=3,
        shift=5.0,
        text_on_gpu=True,
        negative_prompt=_UGLY_SCENES,
        multiview=MultiviewDefaults(fps=10.0, other_views_prompt=" "),
    )


def predict2_2b_multiview() -> ModelPreset:
    """Cosmos-Predict2-2B multiview: the cameras' first frames and a prompt to video, as its published inference."""
    return ModelPreset(
        name="predict2-2b-multiview",
        family="predict2",
        controls=(),
        weights=PublishedWeights(
            networks={BASE: "predict2-2b-multiview-720p-10fps"},
            autoencoder="predict2-2b-vae",
            text_encoder="t5-11b",
            reads_text_with="t5",
        ),
        resolution="720",
        frames_per_chunk=29,
        num_steps=35,
        guidance=7,
        sampler="predict2",
        text_on_gpu=True,
        negative_prompt=_UGLY_SCENES,
        multiview=MultiviewDefaults(fps=10.0, other_views_prompt=None),
    )


PRESETS: dict[str, ModelPreset] = {
    preset.name: preset
    for preset in (
        tiny_transfer(),
        tiny_multiview(),
        transfer25_2b(),
        transfer25_2b_distilled(),
        transfer25_2b_multiview(),
        predict2_2b_multiview(),
    )
}


def preset(name: str) -> ModelPreset:
    """The preset of that name; raises ValueError with the known names."""
    if name not in PRESETS:
        raise ValueError(f"model {name!r} is unknown: use one of {', '.join(PRESETS)}")
    return PRESETS[name]
