"""Evaluation: how well a model follows its controls and prompts on scenes that no training saw.

Held-out scenes of the sample world are rendered, asked for in several ways through the same pipeline that users run,
and the written clips are scored. Everything stays in the output folder: data/ (scenes and rows), clips/ (the run), and
evaluation.json, evaluation.md and evaluation.png. Says nothing about real footage, for which there is no ground truth.
"""

import json
import time
from collections.abc import Callable
from pathlib import Path

from airshower.cluster.session import ray_session, what_starts
from airshower.configs.presets import preset
from airshower.pipelines.claimed_folder import ClaimedFolder
from airshower.pipelines.evaluation import one_camera, rig
from airshower.pipelines.evaluation.report import Evaluation, contact_sheet, markdown, write_png
from airshower.pipelines.evaluation.run import CLIPS, EvaluateSettings, identity
from airshower.pipelines.events import Event, Working
from airshower.pipelines.pools import plan_pools
from airshower.pipelines.write import open_run_folder

_SCENES, _REPORTS = "data", ("evaluation.json", "evaluation.md", "evaluation.png")


def evaluate(
    settings: EvaluateSettings, output: str, on_event: Callable[[Event], None] = lambda event: None
) -> Evaluation:
    """Renders, generates, scores and writes the report into `output`; `on_event` hears how it goes.

    Raises EvaluationError when a clip could not be made, ValueError for settings that can't be served, InTheWayError
    for files of others in the folder, and what `generate` raises.
    """
    begun_s = time.monotonic()
    model = preset(settings.model)
    judge = one_camera.judge if model.multiview is None else rig.judge
    folder = Path(open_run_folder(output))
    names = ClaimedFolder(folder, "evaluate")
    names.claim((_SCENES, CLIPS, *_REPORTS))
    if (starting := what_starts(None)) is not None:
        on_event(Working(words=starting))
    with ray_session(verbose=settings.verbose) as cluster:
        device = plan_pools(cluster, device=settings.device, replicas=settings.replicas, rows=settings.clips).device
        findings = judge(settings, model, device, folder, on_event)
    evaluation = Evaluation(
        settings=settings.reported(model, device),
        model=identity(folder / CLIPS, findings.record),
        scores=tuple(findings.scores),
        looks=findings.looks,
        seconds=time.monotonic() - begun_s,
    )
    data, words, picture = (folder / name for name in _REPORTS)
    data.write_text(json.dumps(evaluation.as_json(), indent=2))
    words.write_text(markdown(evaluation))
    write_png(str(picture), contact_sheet(findings.sheet))
    names.wrote(*_REPORTS)
    return evaluation
