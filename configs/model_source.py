"""Which model, where its parts are and how they are kept: what every worker that loads some of it is told."""

from dataclasses import dataclass

from airshower.configs.offload import Offload
from airshower.configs.presets import ModelPreset


@dataclass(frozen=True, kw_only=True)
class ModelSource:
    """One model to load. Folders may be URLs, which each machine fetches once."""

    preset: ModelPreset
    weights: str | None = None  # folder; None: those shipped for the preset
    load_ema: bool = False  # the moving average, of files that hold it beside the weights
    annotators: str | None = None  # folder; None: `weights`, which holds those of a published model
    embedding_cache: str | None = None  # folder or URL where embedded prompts are kept; None: nowhere
    offload: tuple[Offload, ...] = ()  # parts whose weights wait in host memory

    @property
    def annotator_folder(self) -> str | None:
        """Where the annotators are looked for."""
        return self.annotators or self.weights
