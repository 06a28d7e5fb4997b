"""What a row leaves to the annotators: depth, segmentation and masks of words, computed from its input video.

Order of operations as in the published Transfer2.5 inference: the networks see the file's own frames, all that the clip
has; what they give is resized like a file. The video is read again, as the caller has it read, so that frames of its
size never travel from stage to stage. Assumes a prepared row, whose other controls and masks are there.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Protocol

import cv2
import numpy as np

from airshower.cluster.packing import pack_frames
from airshower.configs.annotators import DEPTH, DETECTOR, TRACKER
from airshower.configs.messages import PreparedClip, Row
from airshower.configs.sizes import Size
from airshower.configs.spec import ClipSpec, Control
from airshower.pipelines.decoding.limits import MediaLimits
from airshower.pipelines.decoding.source import Reading
from airshower.pipelines.media import read_video
from airshower.pipelines.named_errors import named
from airshower.pipelines.prepare import CONTROL_INTERPOLATION, MASK_THRESHOLD, packed_mask

ReadInput = Callable[[ClipSpec, int], np.ndarray]  # what `input_frames` does

PROMPT_WORDS = 128  # of a clip's prompt, where nothing says what to segment; as published


class AnnotatorLike(Protocol):
    """What is needed of `airshower.actors.annotator.Annotator`; frames are uint8 (F, H, W, 3)."""

    def depth(self, frames: np.ndarray) -> np.ndarray: ...

    def segmentation(self, frames: np.ndarray, words: str) -> np.ndarray: ...

    def sha256(self, name: str) -> str: ...


def input_frames(spec: ClipSpec, frames: int, limits: MediaLimits | None = None) -> np.ndarray:
    """The first frames of a row's input at the file's size, uint8 (F, H, W, 3); raises as `read_video`."""
    if spec.video_path is None:
        raise ValueError("video_path: missing, and there is nothing else to compute controls and masks from: give it")
    # What was said of the file once needn't be said again.
    reading = Reading(limits=limits or MediaLimits(), keep_damaged=spec.keep_damaged_frames)
    with named("video_path"):
        return read_video(spec.video_path, max_frames=frames, reading=reading).frames


def annotate_row(row: Row, annotator: AnnotatorLike, read: ReadInput = input_frames) -> Row:
    """Adds to a prepared row what its spec leaves to annotators; raises what `annotate_clip` does."""
    if not isinstance(row.spec, ClipSpec) or not isinstance(row.prepared, PreparedClip):
        raise ValueError(f"row {row.name}: reached annotate without a prepared clip: this is a bug in the graph")
    return replace(row, prepared=annotate_clip(row.spec, row.prompt, row.prepared, annotator, read))


def annotate_clip(
    spec: ClipSpec, prompt: str, prepared: PreparedClip, annotator: AnnotatorLike, read: ReadInput = input_frames
) -> PreparedClip:
    """Adds the controls and masks that a prepared clip lacks; `prompt` is the row's.

    Raises what `read` does, and ValueError, naming the field, where nothing of its words is in the first frame and
    where the weights of a network are missing or wrong.
    """
    video = _Annotated(read(spec, prepared.frames), annotator)
    size = Size(prepared.height, prepared.width)
    controls = {
        key: prepared.controls.get(key) or pack_frames(video.control(key, spec, prompt, size)) for key in spec.controls
    }
    masks = {key: packed_mask(video.mask(key, words, size)) for key, words in spec.mask_prompts.items()}
    return replace(
        prepared,
        controls=controls,
        masks={**prepared.masks, **masks},
        annotators={name: annotator.sha256(name) for name in _networks(spec)},
    )


class _Annotated:
    """Frames of a video at the file's size, and what annotators see in them; the same words are looked for once."""

    def __init__(self, frames: np.ndarray, annotator: AnnotatorLike) -> None:
        self._frames = frames
        self._annotator = annotator
        self._segmentations: dict[str, np.ndarray] = {}

    def control(self, key: Control, spec: ClipSpec, prompt: str, size: Size) -> np.ndarray:
        """Depth or segmentation at the clip's size."""
        if key == "depth":
            with _named("depth"):
                computed = self._annotator.depth(self._frames)
        else:
            computed = self._segmentation(*_segmented_words(spec, prompt))
        return _resized(computed, size, CONTROL_INTERPOLATION[key])

    def mask(self, key: Control, words: str, size: Size) -> np.ndarray:
        """Where something of the words is, bool (F, H, W) at the clip's size."""
        found = self._segmentation(f"{key}.mask_prompt", words).any(axis=-1)
        return _resized(np.where(found, np.uint8(255), np.uint8(0)), size, cv2.INTER_LINEAR) > MASK_THRESHOLD

    def _segmentation(self, field: str, words: str) -> np.ndarray:
        if words not in self._segmentations:
            with _named(field):
                self._segmentations[words] = self._annotator.segmentation(self._frames, words)
        return self._segmentations[words]


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


def _resized(frames: np.ndarray, size: Size, interpolation: int) -> np.ndarray:
    if frames.shape[1:3] == (size.height, size.width):
        return frames
    return np.stack([cv2.resize(frame, (size.width, size.height), interpolation=interpolation) for frame in frames])


@contextmanager
def _named(field: str) -> Iterator[None]:
    """Puts the field in front of what goes wrong with it."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{field}: {error}") from error
