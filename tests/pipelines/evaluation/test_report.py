"""The report says what was found: verdict, tables and a picture that holds every frame."""

import json

import cv2
import numpy as np
import pytest

from airshower.pipelines.evaluation.looks import LOOKS, Confusion
from airshower.pipelines.evaluation.report import Evaluation, Score, contact_sheet, markdown, write_png

DIAGONAL = tuple(tuple(int(i == j) for j in range(len(LOOKS))) for i in range(len(LOOKS)))


def evaluation(*scores: Score) -> Evaluation:
    confusion = Confusion(looks=LOOKS, counts=DIAGONAL)
    return Evaluation(
        settings={"clips": 2},
        model={"name": "tiny-transfer", "sha256": "0123456789abcdef"},
        scores=scores,
        looks=(confusion, confusion),
        seconds=1.23,
    )


def test_one_missed_criterion_fails_the_evaluation():
    good = Score(name="edge F1", values=(0.6, 0.62468), shuffled=(0.1, 0.1), wanted="3x another scene", passed=True)
    bad = Score(name="blur SSIM", values=(0.7,), wanted=">= 0.80", passed=False)
    free = Score(name="PSNR (dB)", values=(21.0,))
    assert evaluation(good, free).passed
    result = evaluation(good, bad, free)
    assert not result.passed
    assert json.loads(json.dumps(result.as_json()))["scores"][1]["passed"] is False
    assert "| edge F1 | 0.612 | 0.1 |  | 3x another scene | yes |" in markdown(result)
    assert "| blur SSIM | 0.7 |  |  | >= 0.80 | NO |" in markdown(result)
    assert "| fog day | 0 | 0 | 0 | 1 | 0 | 0 |" in markdown(result)


def test_contact_sheet_shows_every_frame_in_rgb(tmp_path):
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    frames = [np.full((16, 32, 3), colour, np.uint8) for colour in colours]
    path = str(tmp_path / "sheet.png")
    write_png(path, contact_sheet({"ground truth": frames, "output": frames[::-1]}))
    read = cv2.cvtColor(cv2.imread(path), cv2.COLOR_BGR2RGB)
    for colour in colours:
        assert np.count_nonzero((read == colour).all(axis=2)) == 2 * 16 * 32
    with pytest.raises(ValueError, match="same number"):
        contact_sheet({"a": frames, "b": frames[:2]})
