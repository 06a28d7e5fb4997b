"""What an evaluation asks of a model for several cameras: each held-out scene from its HD maps and prompt alone."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from airshower.configs.presets import ModelPreset
from airshower.configs.sizes import SIZES
from airshower.pipelines.evaluation.map_readout import fit_map_readout
from airshower.pipelines.evaluation.report import Score
from airshower.pipelines.evaluation.rig_scenes import (
    RigScene,
    read_rig_outputs,
    render_rig_scenes,
    write_rig_rows,
)
from airshower.pipelines.evaluation.rig_scores import map_scores, neighbour_score
from airshower.pipelines.evaluation.run import CLIPS, FIT_SEED_OFFSET, EvaluateSettings, Findings, generate_rows
from airshower.pipelines.events import Event, Working

_SHEET_SCENES = 3


def judge(
    settings: EvaluateSettings,
    model: ModelPreset,
    device: str,
    folder: Path,
    on_event: Callable[[Event], None],
) -> Findings:
    """Renders, generates and scores; Ray is connected."""
    if model.multiview is None or model.controls != ("hdmap",):
        raise ValueError(f"{model.name}: only models that make several cameras from HD maps are evaluated this way")
    size, fps = SIZES[model.resolution]["16:9"], model.multiview.fps
    frames = settings.frames_of(model)
    on_event(Working(words=f"rendering {settings.clips} scenes"))
    scenes = render_rig_scenes(settings.seed, settings.clips, frames=frames, fps=fps, size=size, device=device)
    rows_path = write_rig_rows(scenes, folder / "data")
    generate_rows(rows_path, folder / CLIPS, settings, model, on_event)
    on_event(Working(words=f"rendering {settings.fit_clips} other scenes, and scoring"))
    others = render_rig_scenes(
        settings.seed + FIT_SEED_OFFSET, settings.fit_clips, frames=1, fps=fps, size=size, device=device
    )
    outputs = read_rig_outputs(scenes, folder / CLIPS)
    return Findings(scores=rig_scores(scenes, others, outputs), sheet=_sheet(scenes, outputs), record=scenes[0].name)


def rig_scores(scenes: Sequence[RigScene], others: Sequence[RigScene], outputs: Sequence[np.ndarray]) -> list[Score]:
    """Every score of outputs for the scenes; the measuring devices are fitted on the others."""
    fitted = [scene.frames for scene in others]
    readout = fit_map_readout(fitted, [scene.hdmaps for scene in others])
    truth = [scene.frames for scene in scenes]
    return [
        *map_scores(readout, [scene.hdmaps for scene in scenes], truth, outputs),
        neighbour_score(fitted, truth, outputs),
    ]


def _sheet(scenes: Sequence[RigScene], outputs: Sequence[np.ndarray]) -> dict[str, list[np.ndarray]]:
    """Middle frames of all cameras of the first scenes: ground truth, HD map and output."""
    rows = {}
    for scene, output in zip(scenes[:_SHEET_SCENES], outputs, strict=False):
        middle = scene.frames.shape[1] // 2
        rows[f"{scene.name}, ground truth"] = list(scene.frames[:, middle])
        rows[f"{scene.name}, HD map"] = list(scene.hdmaps[:, middle])
        rows[f"{scene.name}, output"] = list(output[:, middle])
    return rows
