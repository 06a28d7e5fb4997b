"""Model presets: what a user names with --model, with the defaults a row falls back to.

A preset is data. Which weights belong to it is said by `weights`, a folder in the layout of `airshower.models.shipped`,
or a path the user gives.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ModelPreset:
    """One model: its family, the controls it knows and its defaults for a row."""

    name: str
    family: str
    controls: tuple[str, ...]
    features: frozenset[str] = frozenset()  # what else it serves, see ClipSpec.asked_features
    weights: str  # folder under models/shipped
    resolution: str
    frames_per_chunk: int
    num_steps: int
    guidance: int
    shift: float  # timestep shift of the flow schedule
    negative_prompt: str  # "" means no text: the zero embedding that text dropout trains

    def check(self, controls: Iterable[str], asked: Mapping[str, str]) -> None:
        """Raises ValueError, naming the field, when a row asks for what this model can't do."""
        for control in controls:
            if control not in self.controls:
                raise ValueError(f"{control}: {self.name} has no {control} control: use {', '.join(self.controls)}")
        for feature, field in asked.items():
            if feature not in self.features:
                raise ValueError(f"{field}: needs {feature}, which {self.name} lacks: remove it or give a file")


def tiny_transfer() -> ModelPreset:
    """The toy-size Transfer2.5: four controls, trained on the sample world, shipped in the repository."""
    return ModelPreset(
        name="tiny-transfer",
        family="transfer2.5",
        controls=("edge", "vis", "depth", "seg"),
        weights="tiny-transfer",
        resolution="144",
        frames_per_chunk=33,
        num_steps=12,
        guidance=1,
        shift=3.0,
        negative_prompt="",
    )


PRESETS: dict[str, ModelPreset] = {preset.name: preset for preset in (tiny_transfer(),)}


def preset(name: str) -> ModelPreset:
    """The preset of that name; raises ValueError with the known names."""
    if name not in PRESETS:
        raise ValueError(f"model {name!r} is unknown: use one of {', '.join(PRESETS)}")
    return PRESETS[name]
