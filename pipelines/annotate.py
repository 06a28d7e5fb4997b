"""What a row leaves to the annotators: depth, segmentation and masks of words, computed from its input video.

Order of operations as in the published Transfer2.5 inference: the networks see the file's own frames, all that the clip
has; what they give is resized like a file. Reads the video itself, so that frames of its size never travel. Assumes a
prepared row, whose other controls and masks are there.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from typing import Protocol

import cv2
import numpy as np

from airshower.cluster.packing import pack_frames
from airshower.configs.annotators import DEPTH, DETECTOR, TRACKER
from airshower.configs.messages import PackedFrames, PreparedClip, Row
from airshower.configs.spec import ClipSpec, Control
from airshower.pipelines.media import read_video
from airshower.pipelines.prepare import CONTROL_INTERPOLATION, MASK_THRESHOLD, packed_mask

PROMPT_WORDS = 128  # of a clip's prompt, where nothing says what to segment; as published


class AnnotatorLike(Protocol):
    """What is needed of `airshower.actors.annotator.Annotator`; frames are uint8 (F, H, W, 3)."""

    def depth(self, frames: np.ndarray) -> np.ndarray: ...

    def segmentation(self, frames: np.ndarray, words: str) -> np.ndarray: ...

    def sha256(self, name: str) -> str: ...


def annotate_row(row: Row, annotator: AnnotatorLike) -> Row:
    """Adds the controls and masks that the row's spec leaves to annotators; other rows stay as they are.

    Raises ValueError, naming the field, where nothing of its words is in the first frame and where the weights of a
    network are missing or wrong.
    """
    if row.spec is None or row.prepared is None:
        raise ValueError(f"row {row.name}: reached annotate without inputs: this is a bug in the graph")
    if not row.spec.needs_annotator:
        return row
    return replace(row, prepared=_annotated(row.spec, row.prompt, row.prepared, annotator))


def _annotated(spec: ClipSpec, prompt: str, clip: PreparedClip, annotator: AnnotatorLike) -> PreparedClip:
    if spec.video_path is None:
        raise ValueError(f"{spec.name}: nothing can be computed without video_path: give it")
    frames = read_video(spec.video_path, max_frames=clip.frames).frames

    @cache  # a control and the masks of others may be of the same words
    def segmentation(words: str) -> np.ndarray:
        return annotator.segmentation(frames, words)

    def control(key: Control) -> PackedFrames:
        if key == "depth":
            with _named("depth"):
                computed = annotator.depth(frames)
        else:
            field, words = _segmented_words(spec, prompt)
            with _named(field):
                computed = segmentation(words)
        return pack_frames(_resized(computed, clip, CONTROL_INTERPOLATION[key]))

    def mask(key: Control, words: str) -> PackedFrames:
        with _named(f"{key}.mask_prompt"):
            white = np.where(segmentation(words).any(axis=-1), np.uint8(255), np.uint8(0))
        return packed_mask(_resized(white, clip, cv2.INTER_LINEAR) > MASK_THRESHOLD)

    controls = {key: clip.controls[key] if key in clip.controls else control(key) for key in spec.controls}
    prompted = {key: mask(key, words) for key, words in spec.mask_prompts.items()}
    return replace(
        clip,
        controls=controls,
        masks={**clip.masks, **prompted},
        annotators={name: annotator.sha256(name) for name in _networks(spec)},
    )


def _segmented_words(spec: ClipSpec, prompt: str) -> tuple[str, str]:
    """What the segmentation control shows, after the name of the field that says it."""
    if spec.seg is not None and spec.seg.control_prompt is not None:
        return "seg.control_prompt", spec.seg.control_prompt
    return "seg without control_prompt", " ".join(prompt.split()[:PROMPT_WORDS])


def _networks(spec: ClipSpec) -> tuple[str, ...]:
    """The annotators that a row needs."""
    depth = (DEPTH,) if "depth" in spec.annotated_controls else ()
    words = (DETECTOR, TRACKER) if "seg" in spec.annotated_controls or spec.mask_prompts else ()
    return (*depth, *words)


def _resized(frames: np.ndarray, clip: PreparedClip, interpolation: int) -> np.ndarray:
    if frames.shape[1:3] == (clip.height, clip.width):
        return frames
    size = (clip.width, clip.height)
    return np.stack([cv2.resize(frame, size, interpolation=interpolation) for frame in frames])


@contextmanager
def _named(field: str) -> Iterator[None]:
    """Puts the field in front of what goes wrong with it."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{field}: {error}") from error
