"""What an evaluation asks of a model for one camera: each control alone, all of them, two chunks, and every look.

Held-out scenes are rendered, asked for in all these ways through the pipeline, and the written clips are scored.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import ray

from airshower.actors.replica import Replica
from airshower.configs.model_source import ModelSource
from airshower.configs.presets import ModelPreset
from airshower.configs.sizes import SIZES
from airshower.configs.spec import CONTROLS
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
from airshower.pipelines.evaluation.report import Score
from airshower.pipelines.evaluation.run import CLIPS, FIT_SEED_OFFSET, EvaluateSettings, Findings, generate_rows
from airshower.pipelines.evaluation.scenes import Example, by_look, render_examples, render_held_out
from airshower.pipelines.events import Event, Working

_SHEET_SCENES = 4


@dataclass(frozen=True, kw_only=True)
class Material:
    """What there is to score; every list is in the order of the scenes."""

    scenes: Sequence[HeldOutScene]
    references: Sequence[np.ndarray]  # the scenes' frames as the pipeline reads them
    reconstructions: Sequence[np.ndarray]  # the scenes' frames through the autoencoder
    outputs: Mapping[str, Sequence[np.ndarray]]  # by probe: the clips as users get them
    held_out_looks: Sequence[Example]  # ground truth of the same scenes in every look
    fitted_looks: Sequence[Example]  # ground truth of other scenes, for the depth readout and the look classifier


def judge(
    settings: EvaluateSettings,
    model: ModelPreset,
    device: str,
    folder: Path,
    on_event: Callable[[Event], None],
) -> Findings:
    """Renders, generates and scores; Ray is connected."""
    material = _material(settings, model, device, folder, on_event)
    classifier = fit_looks(by_look(material.fitted_looks))
    generated = confusion(classifier, {look: material.outputs[str(look)] for look in LOOKS})
    ground_truth = confusion(classifier, by_look(material.held_out_looks))
    return Findings(
        scores=(*control_scores(material), scores.look_score(generated, ground_truth)),
        sheet=sheet_rows(material, folder / CLIPS),
        record=row_name(material.scenes[0], ALL_CONTROLS),
        looks=(generated, ground_truth),
    )


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
    on_event: Callable[[Event], None],
) -> Material:
    """Renders the scenes, generates every probe and reads everything back."""
    size = SIZES[model.resolution]["16:9"]
    on_event(Working(words=f"rendering {settings.clips} scenes"))
    scenes = render_held_out(settings.seed, settings.clips, settings.frames_of(model), size, device)
    rows_path = write_rows(scenes, folder / "data")
    generate_rows(rows_path, folder / CLIPS, settings, model, on_event)
    on_event(Working(words=f"rendering {settings.fit_clips} other scenes, and scoring"))
    reconstructions = _start_reconstructions(scenes, settings, model, device)
    held_out_looks = render_examples(settings.seed, settings.clips, size, device)
    fitted_looks = render_examples(settings.seed + FIT_SEED_OFFSET, settings.fit_clips, size, device)
    return Material(
        scenes=scenes,
        references=read_references(scenes, folder / "data"),
        reconstructions=ray.get(reconstructions),
        outputs={probe: read_outputs(scenes, probe, folder / CLIPS) for probe in PROBES},
        held_out_looks=held_out_looks,
        fitted_looks=fitted_looks,
    )


def _start_reconstructions(
    scenes: Sequence[HeldOutScene], settings: EvaluateSettings, model: ModelPreset, device: str
) -> "ray.ObjectRef[Sequence[np.ndarray]]":
    """The scenes' frames through the model's autoencoder, soon; on a worker that has the device."""

    def reconstruct(clips: list[np.ndarray]) -> Sequence[np.ndarray]:
        replica = Replica(ModelSource(preset=model, weights=settings.weights), device)
        return [replica.reconstruct(clip) for clip in clips]

    task = ray.remote(num_cpus=1, num_gpus=int(device == "cuda"))(reconstruct)
    return task.remote([scene.frames for scene in scenes])
