"""The scores agree with the public evaluator (parity case transfer_metrics), and refuse what they can't score."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from airshower.pipelines import metrics

CASE = Path(__file__).parents[1] / "parity" / "cases" / "transfer_metrics"
CALLS = json.loads((CASE / "case.json").read_text())["calls"]
RNG = np.random.default_rng(0)


def evaluate(op: str, inputs: dict[str, np.ndarray], params: dict[str, str]) -> dict[str, np.ndarray]:
    if op == "canny_f1":
        edges = {f"{side}_edges": metrics.canny_edges(frames) for side, frames in inputs.items()}
        return {"f1_precision_recall": np.array(metrics.canny_f1(**inputs)), **edges}
    if op == "mask_miou":
        miou, kept_fraction = metrics.mask_miou(**inputs, **params)
        return {"miou": np.array([miou]), "kept_fraction": np.array([kept_fraction])}
    return {"score": np.array([getattr(metrics, op)(**inputs)])}


@pytest.mark.parametrize("call", CALLS, ids=[call["name"] for call in CALLS])
def test_equals_the_public_evaluator(call):
    tensors = load_file(CASE / "io.safetensors")
    tolerances = json.loads((CASE / "case.json").read_text())["tolerance_per_output"]
    got = evaluate(call["op"], {k: tensors[f"in.{v}"] for k, v in call["inputs"].items()}, call["params"])
    for result, name in call["outputs"].items():
        expected, tolerance = tensors[f"out.{name}"], tolerances[result]
        if "max_fraction_of_differing_pixels" in tolerance:
            assert np.mean(got[result] != expected) <= tolerance["max_fraction_of_differing_pixels"]
        else:
            np.testing.assert_allclose(got[result], expected, **tolerance)


def test_psnr_of_one_level_of_noise():
    frames = RNG.integers(1, 255, (2, 16, 16, 3), dtype=np.uint8)
    assert metrics.psnr_db(frames, frames + 1) == pytest.approx(48.1308, abs=1e-4)
    assert metrics.psnr_db(frames, frames) == float("inf")


def test_no_edges_and_no_found_masks_score_zero():
    flat = np.zeros((1, 16, 16), np.uint8)
    assert metrics.edge_f1(flat, flat) == (0.0, 0.0, 0.0)
    left, right = np.eye(2, dtype=np.uint8).reshape(2, 1, 1, 1, 2)
    assert metrics.mask_miou(left, right, "max") == (0.0, 0.0)


def test_what_cannot_be_scored_is_an_error():
    frames = RNG.integers(0, 255, (2, 16, 16, 3), dtype=np.uint8)
    for score in (metrics.psnr_db, metrics.blur_ssim, metrics.canny_f1):
        with pytest.raises(ValueError, match="one shape"):
            score(frames, frames[:1])
    with pytest.raises(ValueError, match="single colour"):
        metrics.blur_ssim(np.zeros_like(frames), frames)
    with pytest.raises(ValueError, match="frame 1 has no pixel"):
        metrics.depth_si_rmse(np.array([[[1.0]], [[0.0]]]), np.ones((2, 1, 1)))
    with pytest.raises(ValueError, match="use max or hungarian"):
        metrics.mask_miou(frames, frames, "greedy")
