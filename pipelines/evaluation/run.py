"""What evaluations of all models share: their settings, the run that makes their rows, and what they find."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from airshower.configs.model_source import ModelSource
from airshower.configs.presets import ModelPreset
from airshower.configs.training import HELD_OUT_SEED
from airshower.pipelines.evaluation.looks import Confusion
from airshower.pipelines.evaluation.probes import half_chunk
from airshower.pipelines.evaluation.report import Score
from airshower.pipelines.events import Event
from airshower.pipelines.generate import GenerateSettings, generate
from airshower.pipelines.rows import read_rows

FIT_SEED_OFFSET = 5000  # the scenes that the measuring devices are fitted on are neither trained on nor scored
CLIPS = "clips"  # the run's folder in the output


class EvaluationError(RuntimeError):
    """Some clips could not be made, so there is nothing to compare; the message names the first."""


@dataclass(frozen=True, kw_only=True)
class EvaluateSettings:
    """What is evaluated, on what, and how."""

    model: str = "tiny-transfer"
    weights: str | None = None  # folder; None: those shipped
    clips: int = 16  # held-out scenes
    fit_clips: int = 24  # other scenes that the measuring devices are fitted on
    seed: int = HELD_OUT_SEED  # of the first scene
    frames: int | None = None  # None: one chunk of the model
    steps: int | None = None  # None: the model's
    guidance: int | None = None  # None: the model's
    device: str = "auto"
    replicas: int | None = None
    verbose: bool = False

    def __post_init__(self) -> None:
        if self.clips < 2 or self.fit_clips < 2:
            raise ValueError(f"clips {self.clips}: at least 2, so that each scene has another one to be compared with")
        if self.frames is not None:
            half_chunk(self.frames)

    def reported(self, model: ModelPreset, device: str) -> dict[str, Any]:
        """What shaped the result, with the model's defaults filled in; which weights it were stands in the identity."""
        return {
            "clips": self.clips,
            "fit_clips": self.fit_clips,
            "seed": self.seed,
            "frames": self.frames_of(model),
            "steps": self.steps or model.num_steps,
            "guidance": model.guidance if self.guidance is None else self.guidance,
            "device": device,
        }

    def frames_of(self, model: ModelPreset) -> int:
        """Frames of every clip, and of every camera in it."""
        return self.frames or model.frames_per_chunk


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What an evaluation found out about a model."""

    scores: Sequence[Score]
    sheet: Mapping[str, Sequence[np.ndarray]]  # labelled rows of frames to look at
    record: str  # name of a row, for the weights that made it
    looks: tuple[Confusion, Confusion] | None = None  # told apart in generated clips, and in ground truth


def generate_rows(
    rows_path: Path,
    clips: Path,
    settings: EvaluateSettings,
    model: ModelPreset,
    on_event: Callable[[Event], None],
) -> None:
    """Runs every row through the batch pipeline; raises EvaluationError unless all of them succeed."""
    overrides = {"num_steps": settings.steps, "guidance": settings.guidance}
    given = {field: value for field, value in overrides.items() if value is not None}
    rows = read_rows([str(rows_path)], overrides=given, preset=model)
    run = GenerateSettings(
        source=ModelSource(preset=model, weights=settings.weights),
        replicas=settings.replicas,
        device=settings.device,
        verbose=settings.verbose,
    )
    summary = generate(rows, str(clips), run, on_event)
    if summary.failed:
        first = summary.failures[0]
        raise EvaluationError(
            f"{summary.failed} of {len(rows)} clips failed, {first.name} in {first.stage}: {first.message}"
        )


def identity(clips: Path, row_name: str) -> dict[str, Any]:
    """Which weights made the clips, as a row's record says."""
    record = json.loads((clips / f"{row_name}.json").read_text())
    return record["model"]
