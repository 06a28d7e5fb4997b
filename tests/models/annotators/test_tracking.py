"""Masks of a tiny random SAM 2 are those of transformers' own way through the clip, with less memory."""

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate
from transformers import Sam2VideoInferenceSession, Sam2VideoProcessor

from airshower.models.annotators.tracking import PreparedFrames, Tracker
from tests.models.annotators.tiny_networks import save_tracker

CPU = torch.device("cpu")
BOXES = torch.tensor([[12.0, 16, 28, 32], [40, 4, 60, 44]])


@pytest.fixture(scope="module")
def tracker(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tracker")
    save_tracker(folder)
    return Tracker.load(folder, CPU)


@pytest.fixture(scope="module")
def frames():
    """Ten frames of a square that moves over a gradient."""
    f, y, x = np.mgrid[:10, :48, :64]
    square = (abs(x - 20 - 2 * f) < 8) & (abs(y - 24) < 8)
    return np.stack([x * 3, y * 4 + f * 5, np.where(square, 255, f * 20)], axis=-1).astype(np.uint8)


@pytest.fixture(scope="module")
def masks(tracker, frames):
    return tracked(tracker, frames, BOXES)


def tracked(tracker, frames, boxes):
    """All masks, (N, F, H, W)."""
    return np.stack(list(tracker.track(frames, boxes)), axis=1)


def whole_clip_masks(tracker, frames, boxes):
    """What transformers does with a clip that is prepared and kept whole."""
    side = tracker._model.config.image_size
    height, width = frames.shape[1:3]
    prepared = PreparedFrames(frames, side, CPU)
    session = Sam2VideoInferenceSession(
        video=torch.stack([prepared[index] for index in range(len(frames))]),
        video_height=height,
        video_width=width,
        dtype=torch.float32,
    )
    # its constructor needs torchvision, for the processing of images; the one of boxes does not
    processor = Sam2VideoProcessor.__new__(Sam2VideoProcessor)
    processor.target_size, processor.point_pad_value = side, -10
    processor.add_inputs_to_inference_session(
        session, frame_idx=0, obj_ids=list(range(len(boxes))), input_boxes=[boxes.tolist()]
    )
    outputs = tracker._model.propagate_in_video_iterator(session, start_frame_idx=0)
    logits = [interpolate(output.pred_masks, (height, width), mode="bilinear") for output in outputs]
    return np.stack([logit[:, 0].numpy() > 0 for logit in logits], axis=1)


def test_every_object_has_a_mask_in_every_frame(masks):
    assert (masks.shape, masks.dtype) == ((2, 10, 48, 64), bool)
    shares = masks.mean(axis=(2, 3))
    assert 0 < shares.min() < shares.max() < 1
    assert np.unique(shares).size > 10  # neither objects nor frames are copies of each other


def test_masks_are_those_of_a_session_that_keeps_everything(tracker, frames, masks):
    np.testing.assert_array_equal(masks, whole_clip_masks(tracker, frames, BOXES))


@pytest.mark.parametrize("count", [1, 2])
def test_short_clips_too(tracker, frames, count):
    masks = tracked(tracker, frames[:count], BOXES[:1])
    np.testing.assert_array_equal(masks, whole_clip_masks(tracker, frames[:count], BOXES[:1]))


def test_memory_stops_growing_when_frames_are_out_of_reach(tracker, frames, monkeypatch):
    kept = []
    forget = tracker._forget

    def count(session, frame):
        forget(session, frame)
        outputs = session.output_dict_per_obj[1]
        kept.append(len(outputs["non_cond_frame_outputs"]))
        assert not any("high_res_masks" in output for kind in outputs.values() for output in kind.values())

    monkeypatch.setattr(tracker, "_forget", count)
    tracked(tracker, frames, BOXES)
    assert kept == [0, 1, 2, 3, 4, 4, 4, 4, 4, 4]  # frame 0 is a condition, not counted here


def test_boxes_decide(tracker, frames, masks):
    assert (tracked(tracker, frames[:1], BOXES.flip(0))[::-1] == masks[:, :1]).all()
    assert (masks[0, 0] != masks[1, 0]).any()


def test_frames_are_prepared_as_the_network_was_trained(frames):
    red = np.zeros((1, 8, 8, 3), np.uint8)
    red[..., 0] = 255
    prepared = PreparedFrames(red, 16, CPU)
    assert len(prepared) == 1
    assert (prepared[0].shape, prepared[0].dtype) == ((3, 16, 16), torch.float32)
    expected = [(1 - 0.485) / 0.229, -0.456 / 0.224, -0.406 / 0.225]  # ImageNet's mean and deviation
    np.testing.assert_allclose(prepared[0][:, 5, 5], expected, rtol=1e-5)
