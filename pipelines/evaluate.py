"""Evaluation: how well a model follows its controls and prompts on scenes that no training saw.

Held-out scenes of the sample world are rendered, asked for in several ways through the same pipeline that users run,
and the written clips are scored. Everything stays in the output folder: data/ (scenes and rows), clips/ (the run), and
evaluation.json, evaluation.md and evaluation.png. Says nothing about real footage, for which there is no ground truth.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import ray

from airshower.actors.replica import Replica
from airshower.cluster.session import ray_session
from airshower.configs.presets import ModelPreset, preset
from airshower.configs.sizes import SIZES
from airshower.configs.spec import CONTROLS
from airshower.configs.training import HELD_OUT_SEED
from airshower.pipelines.evaluation import scores
from airshower.pipelines.evaluation.depth_readout import fit_depth_readout
from airshower.pipelines.evaluation.looks import LOOKS, confusion, fit_looks
from airshower.pipelines.evaluation.probes import (
    ALL_CONTROLS,
    LOOK_CONTROL,
    PROBES,
    TWO_CHUNKS,
    HeldOutScene,
    half_chunk,
    read_controls,
    read_outputs,
    read_references,
    row_name,
    write_rows,
)
from airshower.pipelines.evaluation.report import Evaluation, Score, contact_sheet, markdown, write_png
from airshower.pipelines.evaluation.scenes import Example, by_look, render_examples, render_held_out
from airshower.pipelines.events import Event
from airshower.pipelines.generate import GenerateSettings, generate
from airshower.pipelines.pools import plan_pools
from airshower.pipelines.rows import read_rows
from airshower.pipelines.write import open_run_folder

_FIT_SEED_OFFSET = 5000  # the scenes that the measuring devices are fitted on are neither trained on nor scored
_SHEET_SCENES = 4
CLIPS = "clips"  # the run's folder in the output


class EvaluationError(RuntimeError):
    """Some clips could not be made, so there is nothing to compare; the message names the first."""


@dataclass(frozen=True, kw_only=True)
class EvaluateSettings:
    """What is evaluated, on what, and how."""

    model: str = "tiny-transfer"
    weights: str | None = None  # folder; None: those shipped
    clips: int = 16  # held-out scenes
    fit_clips: int = 24  # other scenes that the depth readout and the look classifier are fitted on
    seed: int = HELD_OUT_SEED  # of the first scene
    frames: int = 33
    steps: int | None = None  # None: the model's
    guidance: int | None = None  # None: the model's
    device: str = "auto"
    replicas: int | None = None
    verbose: bool = False

    def __post_init__(self) -> None:
        if self.clips < 2 or self.fit_clips < 2:
            raise ValueError(f"clips {self.clips}: at least 2, so that each scene has another one to be compared with")
        half_chunk(self.frames)


@dataclass(frozen=True, kw_only=True)
class Material:
    """What there is to score; every list is in the order of the scenes."""

    scenes: Sequence[HeldOutScene]
    references: Sequence[np.ndarray]  # the scenes' frames as the pipeline reads them
    reconstructions: Sequence[np.ndarray]  # the scenes' frames through the autoencoder
    outputs: Mapping[str, Sequence[np.ndarray]]  # by probe: the clips as users get them
    held_out_looks: Sequence[Example]  # ground truth of the same scenes in every look
    fitted_looks: Sequence[Example]  # ground truth of other scenes, for the depth readout and the look classifier


def evaluate(settings: EvaluateSettings, output: str, on_event: Callable[[Event], None] | None = None) -> Evaluation:
    """Renders, generates, scores and writes the report into `output`; `on_event` hears how the generation goes.

    Raises EvaluationError when a clip could not be made, ValueError for settings that can't be served, and what
    `generate` raises.
    """
    begun_s = time.monotonic()
    model = preset(settings.model)
    folder = Path(open_run_folder(output))
    with ray_session(verbose=settings.verbose) as cluster:
        device = plan_pools(cluster, device=settings.device, replicas=settings.replicas, rows=settings.clips).device
        material = _material(settings, model, device, folder, on_event)
    classifier = fit_looks(by_look(material.fitted_looks))
    generated = confusion(classifier, {look: material.outputs[str(look)] for look in LOOKS})
    ground_truth = confusion(classifier, by_look(material.held_out_looks))
    evaluation = Evaluation(
        settings=_reported(settings, model, device),
        model=_identity(folder / CLIPS, material.scenes),
        scores=(*control_scores(material), scores.look_score(generated, ground_truth)),
        confusion=generated,
        confusion_ground_truth=ground_truth,
        seconds=time.monotonic() - begun_s,
    )
    (folder / "evaluation.json").write_text(json.dumps(evaluation.as_json(), indent=2))
    (folder / "evaluation.md").write_text(markdown(evaluation))
    write_png(str(folder / "evaluation.png"), contact_sheet(sheet_rows(material, folder / CLIPS)))
    return evaluation


def control_scores(material: Material) -> list[Score]:
    """Every score but that of the looks: the autoencoder, each control alone, all four, and the seam of two chunks."""
    references, outputs = material.references, material.outputs
    together = outputs[ALL_CONTROLS]
    readout = fit_depth_readout(
        [example.frames for example in material.fitted_looks], [example.depth for example in material.fitted_looks]
    )
    controls = [scene.depth for scene in material.scenes]
    return [
        scores.autoencoder_score([scene.frames for scene in material.scenes], material.reconstructions),
        scores.edge_score("edge", references, outputs["edge"], required=True),
        scores.vis_score("vis", references, outputs["vis"], required=True),
        *scores.depth_scores("depth", readout, references, controls, outputs["depth"]),
        scores.vis_score("seg", references, outputs["seg"], required=False),
        scores.psnr_score("all four", references, together),
        scores.vis_score("all four", references, together, required=False),
        scores.edge_score("all four", references, together, required=False),
        scores.seam_score(references, outputs[TWO_CHUNKS], half_chunk(len(references[0]))),
    ]


def sheet_rows(material: Material, clips: Path) -> dict[str, list[np.ndarray]]:
    """Middle frames of the first scenes: ground truth, each control and what it gave, and every prompted look."""
    scenes = material.scenes[:_SHEET_SCENES]

    def middle(videos: Sequence[np.ndarray]) -> list[np.ndarray]:
        return [video[len(video) // 2] for video in videos[:_SHEET_SCENES]]

    rows = {"ground truth": middle(material.references)}
    for control in CONTROLS:
        rows[f"{control} control"] = middle(read_controls(scenes, control, clips))
        rows[f"output with {control} alone"] = middle(material.outputs[control])
    rows["output with all four controls"] = middle(material.outputs[ALL_CONTROLS])
    looks = {f"output with {LOOK_CONTROL} alone, prompt: {look}": middle(material.outputs[str(look)]) for look in LOOKS}
    return rows | looks


def _material(
    settings: EvaluateSettings,
    model: ModelPreset,
    device: str,
    folder: Path,
    on_event: Callable[[Event], None] | None,
) -> Material:
    """Renders the scenes, generates every probe and reads everything back; Ray is connected."""
    size = SIZES[model.resolution]["16:9"]
    scenes = render_held_out(settings.seed, settings.clips, settings.frames, size, device)
    rows_path = write_rows(scenes, folder / "data")
    _generate(rows_path, folder / CLIPS, settings, model, on_event)
    return Material(
        scenes=scenes,
        references=read_references(scenes, folder / "data"),
        reconstructions=_reconstructions(scenes, settings, model, device),
        outputs={probe: read_outputs(scenes, probe, folder / CLIPS) for probe in PROBES},
        held_out_looks=render_examples(settings.seed, settings.clips, size, device),
        fitted_looks=render_examples(settings.seed + _FIT_SEED_OFFSET, settings.fit_clips, size, device),
    )


def _generate(
    rows_path: Path,
    clips: Path,
    settings: EvaluateSettings,
    model: ModelPreset,
    on_event: Callable[[Event], None] | None,
) -> None:
    """Runs every row through the batch pipeline; raises EvaluationError unless all of them succeed."""
    overrides = {"num_steps": settings.steps, "guidance": settings.guidance}
    given = {field: value for field, value in overrides.items() if value is not None}
    rows = read_rows([str(rows_path)], overrides=given, preset=model)
    run = GenerateSettings(
        preset=model,
        weights=settings.weights,
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


def _reconstructions(
    scenes: Sequence[HeldOutScene], settings: EvaluateSettings, model: ModelPreset, device: str
) -> list[np.ndarray]:
    """The scenes' frames through the model's autoencoder, on a worker that has the device."""

    def reconstruct(clips: list[np.ndarray]) -> list[np.ndarray]:
        replica = Replica(model, settings.weights, device)
        return [replica.reconstruct(clip) for clip in clips]

    task = ray.remote(num_cpus=1, num_gpus=int(device == "cuda"))(reconstruct)
    return ray.get(task.remote([scene.frames for scene in scenes]))


def _reported(settings: EvaluateSettings, model: ModelPreset, device: str) -> dict[str, Any]:
    """What shaped the result, with the model's defaults filled in; which weights it were stands in the identity."""
    return {
        "clips": settings.clips,
        "fit_clips": settings.fit_clips,
        "seed": settings.seed,
        "frames": settings.frames,
        "steps": settings.steps or model.num_steps,
        "guidance": model.guidance if settings.guidance is None else settings.guidance,
        "device": device,
    }


def _identity(clips: Path, scenes: Sequence[HeldOutScene]) -> dict[str, Any]:
    """Which weights made the clips, as their records say."""
    record = json.loads((clips / f"{row_name(scenes[0], ALL_CONTROLS)}.json").read_text())
    return record["model"]
