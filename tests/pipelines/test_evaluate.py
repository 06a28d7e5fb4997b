"""A perfect generator passes, one that ignores its controls fails, and what can't be evaluated is refused."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest

from airshower.pipelines.evaluate import evaluate
from airshower.pipelines.evaluation.looks import LOOKS
from airshower.pipelines.evaluation.one_camera import Material, control_scores
from airshower.pipelines.evaluation.probes import PROBES, HeldOutScene
from airshower.pipelines.evaluation.run import EvaluateSettings
from airshower.pipelines.evaluation.scenes import Example
from airshower.pipelines.events import RowDone

FRAMES, HEIGHT, WIDTH = 9, 48, 64


def drawn(seed: int, frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Near red and far blue boxes that drift over a ramp: a clip and its depth control."""
    rng = np.random.default_rng(seed)
    ramp = np.repeat(np.linspace(0, 150, HEIGHT)[:, None], WIDTH + frames, axis=1)
    picture = np.stack([ramp / 2 + 60, ramp / 2 + 80, 140 - ramp / 2], axis=2)
    for value, colour in [(250, (200, 30, 30)), (5, (30, 30, 220))] * 3:
        y, x = rng.integers(0, HEIGHT - 16), rng.integers(0, WIDTH - 16)
        ramp[y : y + 16, x : x + 16] = value
        picture[y : y + 16, x : x + 16] = colour
    clip = np.stack([picture[:, f : f + WIDTH] for f in range(frames)]).astype(np.uint8)
    depth = np.stack([ramp[:, f : f + WIDTH] for f in range(frames)]).astype(np.uint8)
    return clip, depth[..., None].repeat(3, axis=3)


def scene(seed: int) -> HeldOutScene:
    frames, depth = drawn(seed, FRAMES)
    names = {look: str(look) for look in LOOKS}
    return HeldOutScene(
        name=f"scene{seed}", prompt="boxes", look_prompts=names, frames=frames, depth=depth, seg=frames, fps=10.0
    )


@pytest.fixture(scope="module")
def perfect() -> Material:
    scenes = [scene(seed) for seed in range(4)]
    clips = [scene.frames for scene in scenes]
    others = [drawn(seed, 1) for seed in range(100, 120)]
    fitted = [Example(look=LOOKS[0], frames=frames, depth=depth) for frames, depth in others]
    return Material(
        scenes=scenes,
        references=clips,
        reconstructions=clips,
        outputs={probe: clips for probe in PROBES},
        held_out_looks=[],
        fitted_looks=fitted,
    )


def verdicts(material: Material) -> dict[str, bool | None]:
    return {score.name: score.passed for score in control_scores(material)}


def test_outputs_that_equal_the_ground_truth_meet_every_criterion(perfect):
    found = verdicts(perfect)
    assert False not in found.values()
    assert sum(passed is True for passed in found.values()) == 4  # autoencoder, edge, vis, depth


def test_outputs_of_another_scene_miss_every_control(perfect):
    moved_on = {probe: [*clips[1:], clips[0]] for probe, clips in perfect.outputs.items()}
    missed = {name for name, passed in verdicts(replace(perfect, outputs=moved_on)).items() if passed is False}
    assert missed == {"edge: edge F1", "vis: blur SSIM", "depth: depth rank correlation, mean image removed"}


def test_a_noisy_autoencoder_is_seen(perfect):
    noise = np.random.default_rng(0).normal(0, 15, perfect.references[0].shape)
    noisy = [(clip + noise).clip(0, 255).astype(np.uint8) for clip in perfect.references]
    assert verdicts(replace(perfect, reconstructions=noisy))["autoencoder: PSNR (dB)"] is False


def test_what_cannot_be_evaluated_is_refused_before_anything_runs():
    with pytest.raises(ValueError, match="at least 2"):
        EvaluateSettings(clips=1)
    with pytest.raises(ValueError, match="give --frames 9 or more"):
        EvaluateSettings(frames=5)


@pytest.mark.cluster
@pytest.mark.usefixtures("cluster")
@pytest.mark.timeout(600)  # every part of the project at once: a busy machine takes minutes
def test_evaluates_the_shipped_model_from_rendering_to_report(tmp_path):
    done = []
    settings = EvaluateSettings(clips=2, fit_clips=2, frames=9, steps=1, device="cpu")
    evaluation = evaluate(
        settings, str(tmp_path), lambda event: done.append(event) if isinstance(event, RowDone) else None
    )
    assert len(done) == 2 * len(PROBES)
    report = json.loads((tmp_path / "evaluation.json").read_text())
    assert report["passed"] is evaluation.passed
    assert report["model"]["name"] == "tiny-transfer"
    assert [sum(row) for row in report["confusion"]] == [2] * len(LOOKS)
    scores = {score["name"]: score for score in report["scores"]}
    assert scores["depth: depth rank correlation"]["ground_truth"] > 0.8
    assert f"| {scores['edge: edge F1']['mean']:.3g} |" in (tmp_path / "evaluation.md").read_text()
    assert cv2.imread(str(tmp_path / "evaluation.png")).shape == (16 * (18 + 144 + 4), 2 * (256 + 4), 3)
