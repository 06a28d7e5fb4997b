"""Settings of a row that change how the shipped model samples: guided generation, exact reference."""

from pathlib import Path

import numpy as np
import pytest

from airshower.actors.replica import Replica
from airshower.actors.text_encoder import TextEncoder
from airshower.cluster.packing import unpack_frames
from airshower.configs.model_source import ModelSource
from airshower.configs.presets import tiny_transfer
from airshower.configs.spec import ClipSpec
from airshower.pipelines.decoding.errors import MediaError
from airshower.pipelines.prepare import prepare_clip

FRAMES, HEIGHT, WIDTH = 9, 144, 256
SCENE = Path(__file__).parents[2] / "configs" / "examples" / "street_90028"


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """Labels that tell the left half from the right one, on a coarse grid."""
    folder = tmp_path_factory.mktemp("inputs")
    np.savez(folder / "labels.npz", np.broadcast_to(np.where(np.arange(32) < 16, 7, 3), (FRAMES, 18, 32)))
    return folder


def _spec(**more):
    row = {"name": "a", "prompt": "A city street on a snowy day.", "video_path": str(SCENE / "rgb.mp4")}
    row |= {"max_frames": FRAMES, "num_steps": 6, "depth": {"control_path": str(SCENE / "depth.mp4")}, **more}
    return ClipSpec.model_validate(row).resolved(tiny_transfer())


def _guided(folder, **more):
    labels = str(folder / "labels.npz")
    return _spec(guided_generation_mask=labels, guided_generation_foreground_labels=[7], **more)


def test_the_region_stays_close_to_the_input(inputs):
    preset = tiny_transfer()
    source = ModelSource(preset=preset)
    replica, text = Replica(source), TextEncoder(source)

    scene = unpack_frames(prepare_clip(_spec(show_input=True)).input_frames)

    def distances(spec):
        """Mean difference from the input, left and right half."""
        prompts = [text.encode(prompt, ("depth",)) for prompt in (spec.prompt, "")]
        made = unpack_frames(replica.generate(spec, prepare_clip(spec), *prompts).frames)
        error = np.abs(made.astype(float) - scene)
        return error[:, :, : WIDTH // 2].mean(), error[:, :, WIDTH // 2 :].mean()

    free_left, _ = distances(_spec())
    guided_left, guided_right = distances(_guided(inputs, guided_generation_step_threshold=5))
    assert guided_left < 0.85 * free_left
    assert guided_left < 0.85 * guided_right


def test_over_chunks_the_region_stays_closer_than_as_published(inputs):
    source = ModelSource(preset=tiny_transfer())
    replica, text = Replica(source), TextEncoder(source)
    scene = unpack_frames(prepare_clip(_spec(show_input=True)).input_frames)

    def left_error(**more):
        spec = _guided(inputs, guided_generation_step_threshold=5, num_video_frames_per_chunk=5, **more)
        prompts = [text.encode(prompt, ("depth",)) for prompt in (spec.prompt, "")]
        made = unpack_frames(replica.generate(spec, prepare_clip(spec), *prompts).frames)
        return np.abs(made.astype(float) - scene)[:, :, : WIDTH // 2].mean()

    assert left_error() < 0.7 * left_error(exact_reference=True)


def test_frames_that_a_chunk_passes_on_are_rounded_unless_told():
    preset = tiny_transfer()
    source = ModelSource(preset=preset)
    replica, text = Replica(source), TextEncoder(source)

    def made(**more):
        spec = _spec(num_video_frames_per_chunk=5, **more)
        prompts = [text.encode(prompt, ("depth",)) for prompt in (spec.prompt, "")]
        return unpack_frames(replica.generate(spec, prepare_clip(spec), *prompts).frames)

    rounded, published = made(), made(exact_reference=True)
    assert np.array_equal(rounded[:5], published[:5])
    assert not np.array_equal(rounded[5:], published[5:])
    assert np.abs(rounded[5:].astype(int) - published[5:]).mean() < 3


def test_a_mask_that_is_too_short_is_refused(inputs):
    np.savez(inputs / "short.npz", np.ones((FRAMES - 1, 8, 8), bool))
    with pytest.raises(MediaError, match=r"guided_generation_mask: .*short\.npz: has 8 frames and the clip 9"):
        prepare_clip(_spec(guided_generation_mask=str(inputs / "short.npz")))
