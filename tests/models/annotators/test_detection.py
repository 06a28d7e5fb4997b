"""Words to boxes: the real class end to end, and what its output is turned into, with outputs made by hand."""

import numpy as np
import pytest
import torch
from transformers.models.grounding_dino.modeling_grounding_dino import GroundingDinoObjectDetectionOutput

from airshower.models.annotators.detection import Detector, detection_text
from tests.models.annotators.tiny_networks import CLS, FULL_STOP, SEP, save_detector

CAR, TREE = 200, 201  # the tokenizer's ids
INPUT_IDS = torch.tensor([[CLS, CAR, FULL_STOP, TREE, FULL_STOP, SEP]])


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    folder = tmp_path_factory.mktemp("detector")
    save_detector(folder)
    return Detector.load(folder, torch.device("cpu"))


@pytest.fixture
def frame():
    return np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)


def output_of(car, tree, text_length=24):
    """A network's output for two boxes, the left half of the frame with confidence `car`, its middle with `tree`."""
    confidence = torch.zeros(1, 2, text_length)
    confidence[0, 0, 1], confidence[0, 1, 3] = car, tree
    boxes = torch.tensor([[[0.25, 0.5, 0.5, 1.0], [0.5, 0.5, 0.2, 0.5]]])  # centre x, y, width, height
    return GroundingDinoObjectDetectionOutput(logits=torch.logit(confidence), pred_boxes=boxes)


def test_the_network_sees_the_frame_and_the_words(detector, frame, monkeypatch):
    seen = {}
    forward = detector._model.forward
    monkeypatch.setattr(detector._model, "forward", lambda **inputs: seen.update(inputs) or forward(**inputs))
    found = detector.find(frame, "Car. Tree")
    assert seen["input_ids"].tolist() == INPUT_IDS.tolist()
    assert seen["pixel_values"].shape == (1, 3, 64, 85)
    assert found.boxes_N4.shape == (len(found.words), 4)  # a random network is sure of much


def test_a_prompt_longer_than_the_networks_text_is_cut(detector, frame):
    assert len(detector.find(frame, "car tree " * 100).boxes_N4) > 0


def test_boxes_come_in_pixels_with_their_words(detector):
    found = detector.select(output_of(car=0.9, tree=0.2), INPUT_IDS, 48, 64)
    np.testing.assert_allclose(found.boxes_N4, [[0, 0, 32, 48], [25.6, 12, 38.4, 36]], atol=1e-4)
    assert found.words == ["car", ""]  # the second is sure enough as an object, but not of what it is


def test_doubtful_objects_are_left_out_where_there_are_better_ones(detector):
    assert detector.select(output_of(car=0.9, tree=0.12), INPUT_IDS, 48, 64).words == ["car"]


def test_doubtful_objects_count_where_there_are_no_others(detector):
    found = detector.select(output_of(car=0.05, tree=0.12), INPUT_IDS, 48, 64)
    assert found.words == ["tree"]
    np.testing.assert_allclose(found.boxes_N4, [[25.6, 12, 38.4, 36]], atol=1e-4)


def test_nothing_found_names_the_prompt(detector, frame, monkeypatch):
    assert detector.select(output_of(car=0.09, tree=0.01), INPUT_IDS, 48, 64) is None
    monkeypatch.setattr(detector._model, "forward", lambda **_: output_of(car=0.09, tree=0.01))
    with pytest.raises(ValueError, match=r"nothing of the prompt 'a red car' is in the first frame: .* or give a file"):
        detector.find(frame, "a red car")


@pytest.mark.parametrize("prompt", ["", " \n", "..."])
def test_a_prompt_without_words_is_refused(detector, frame, prompt):
    with pytest.raises(ValueError, match=r"has no word: name what to look for"):
        detector.find(frame, prompt)


def test_prompts_are_written_as_in_training():
    assert detection_text(" A Red  Car\n") == "a red car."
    assert detection_text("car. tree.") == "car. tree."
