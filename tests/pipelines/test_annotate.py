"""What annotators add to a prepared clip: computed from the file's own frames, then resized as files are."""

import re
import shutil

import cv2
import numpy as np
import pytest

from airshower.actors.annotator import Annotator
from airshower.actors.replica import Replica
from airshower.cluster.packing import unpack_frames
from airshower.configs.annotators import ANNOTATORS, DEPTH, DETECTOR, TRACKER
from airshower.configs.messages import TextEmbedding
from airshower.configs.model_source import ModelSource
from airshower.configs.presets import tiny_transfer
from airshower.configs.spec import ClipSpec
from airshower.pipelines.annotate import annotate_clip
from airshower.pipelines.media import read_video, write_video
from airshower.pipelines.prepare import prepare_clip

PROMPT = "a red car"


@pytest.fixture(scope="module")
def annotator(annotators):
    return Annotator(str(annotators))


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    path = tmp_path_factory.mktemp("video") / "in.mp4"
    f, y, x = np.mgrid[:6, :96, :160]
    write_video(path, np.stack([x + 9 * f, y * 2 + f, f * 40 + 0 * x], axis=-1).astype(np.uint8), 10)
    return path


def spec_of(video, **controls):
    row = {"name": "a", "prompt": PROMPT, "video_path": str(video), "max_frames": 4}
    return ClipSpec.model_validate(row | controls).resolved(tiny_transfer().with_annotators("here"))


def annotated(annotator, spec):
    return annotate_clip(spec, PROMPT, prepare_clip(spec), annotator)


def test_controls_are_those_of_the_whole_clip_at_the_files_size(annotator, video):
    clip = annotated(annotator, spec_of(video, seg={"control_prompt": "tree"}, depth={}, edge={}))
    assert list(clip.controls) == ["edge", "depth", "seg"]  # the published order
    frames = read_video(str(video), max_frames=4).frames
    for key, computed, interpolation in (
        ("depth", annotator.depth(frames), cv2.INTER_LINEAR),
        ("seg", annotator.segmentation(frames, "tree"), cv2.INTER_NEAREST),
    ):
        resized = [cv2.resize(frame, (clip.width, clip.height), interpolation=interpolation) for frame in computed]
        np.testing.assert_array_equal(unpack_frames(clip.controls[key]), resized)
    assert set(clip.annotators) == set(ANNOTATORS)


def test_a_mask_is_white_where_something_of_its_words_is(annotator, video):
    clip = annotated(annotator, spec_of(video, vis={"mask_prompt": "tree"}, edge={"mask_prompt": "car"}))
    mask = unpack_frames(clip.masks["vis"])
    assert mask.shape == (4, clip.height, clip.width, 3)
    assert set(np.unique(mask)) == {0, 255}
    found = annotator.segmentation(read_video(str(video), max_frames=4).frames, "tree").any(axis=-1)
    nearest = cv2.resize(found[0].astype(np.uint8), (clip.width, clip.height), interpolation=cv2.INTER_NEAREST) > 0
    assert (nearest == (mask[0, ..., 0] > 0)).mean() > 0.9
    assert set(clip.annotators) == {DETECTOR, TRACKER}


def test_words_are_looked_for_once_and_default_to_the_prompts_first(annotator, video, monkeypatch):
    asked = []
    segmentation = annotator.segmentation
    monkeypatch.setattr(
        annotator, "segmentation", lambda frames, words: asked.append(words) or segmentation(frames, words)
    )
    spec = spec_of(video, seg={}, edge={"mask_prompt": PROMPT}, vis={"mask_prompt": PROMPT})
    annotated(annotator, spec)
    assert asked == [PROMPT]
    annotate_clip(spec_of(video, seg={}), "car  " * 200, prepare_clip(spec_of(video, seg={})), annotator)
    assert asked[1].split() == ["car"] * 128


def test_what_is_not_in_the_first_frame_is_one_line_that_names_the_field(annotator, video):
    with pytest.raises(ValueError, match=r"^edge\.mask_prompt: the prompt '\.\.' has no word: name what to look for$"):
        annotated(annotator, spec_of(video, edge={"mask_prompt": ".."}))


def test_a_missing_network_fails_the_rows_that_need_it(annotators, video, tmp_path):
    shutil.copytree(annotators / DEPTH, tmp_path / DEPTH)
    partial = Annotator(str(tmp_path))
    assert "depth" in annotated(partial, spec_of(video, depth={})).controls
    remedy = re.escape(f"`airshower checkpoint download {DETECTOR} --to {tmp_path / DETECTOR}` fetches it")
    with pytest.raises(ValueError, match=rf"^seg\.control_prompt: {tmp_path}: no {DETECTOR} here: {remedy}$"):
        annotated(partial, spec_of(video, seg={"control_prompt": "car"}))
    with pytest.raises(ValueError, match=r"no folder of annotators is given for .*: name one with --annotators DIR"):
        annotated(Annotator(None), spec_of(video, depth={}))


def test_annotators_may_be_in_a_bucket(annotators, video, bucket):
    for file in (annotators / DEPTH).iterdir():
        bucket.upload_file(str(file), "drives", f"networks/{DEPTH}/{file.name}")
    far = Annotator("s3://drives/networks")
    assert "depth" in annotated(far, spec_of(video, depth={})).controls
    message = rf"^edge\.mask_prompt: s3://drives/networks: no {DETECTOR} here: put there what `airshower checkpoint"
    with pytest.raises(ValueError, match=message):
        annotated(far, spec_of(video, edge={"mask_prompt": "car"}))


def test_a_replica_refuses_a_clip_that_was_not_annotated(video):
    spec = spec_of(video, edge={}, depth={})
    text = TextEmbedding(data=bytes(4), shape=(1, 1))
    with pytest.raises(ValueError, match="a: depth left to annotators, but not computed"):
        Replica(ModelSource(preset=tiny_transfer())).generate(spec, prepare_clip(spec), text, text)
