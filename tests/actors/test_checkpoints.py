"""A clip that goes on from chunks that were made before: frame for frame what it is when nothing happens."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from airshower.actors.checkpoints import Checkpoints, MadeChunk
from airshower.actors.replica import Replica
from airshower.actors.row_texts import row_texts
from airshower.actors.text_encoder import TextEncoder
from airshower.cluster.packing import unpack_frames
from airshower.configs.messages import GeneratedClip
from airshower.configs.model_source import ModelSource
from airshower.configs.presets import ModelPreset, tiny_multiview, tiny_transfer
from airshower.configs.row_formats import spec_of
from airshower.pipelines.prepare_row import prepare_row

EXAMPLES = Path(__file__).parents[2] / "configs" / "examples"
CLIP = {
    "video_path": str(EXAMPLES / "street_90028" / "rgb.mp4"),
    "edge": {},
    "max_frames": 11,
    "num_steps": 1,
    "num_video_frames_per_chunk": 5,
}
VIEWS = {
    **{
        camera: {"control_path": str(EXAMPLES / "seven_cameras" / f"{camera}.mp4")} for camera in ("rear", "cross_left")
    },
    "aspect_ratio": "1:1",
    "num_conditional_frames": 0,
    "num_steps": 1,
    "num_video_frames_per_view": 5,
    "enable_autoregressive": True,
    "num_chunks": 3,
}


class Kept:
    """Checkpoints in memory."""

    def __init__(self, *chunks: MadeChunk) -> None:
        self.chunks = list(chunks)

    def load(self) -> list[MadeChunk]:
        return list(self.chunks)

    def save(self, number: int, made: MadeChunk) -> None:
        assert number == len(self.chunks)
        self.chunks.append(made)


class Maker:
    """A replica of one model and what it needs."""

    def __init__(self, preset: ModelPreset) -> None:
        source = ModelSource(preset=preset)
        self._preset, self._replica = preset, Replica(source)
        self._encode = TextEncoder(source, device="cpu", threads=1, warn=print).encode

    def make(self, row: dict, kept: Checkpoints) -> tuple[GeneratedClip, list[float]]:
        """The clip, and what was said of its progress."""
        spec = spec_of({"name": "a", "prompt": "rain", "seed": 3, **row}).resolved(self._preset)
        texts = row_texts(spec, spec.prompt, self._encode)
        fractions: list[float] = []
        clip = self._replica.generate(spec, prepare_row(spec), *texts, on_progress=fractions.append, checkpoints=kept)
        return clip, fractions


@pytest.fixture(scope="module")
def maker():
    return cache(Maker)


@pytest.mark.parametrize(
    ("preset", "row"),
    [
        (tiny_transfer(), CLIP),
        (tiny_transfer(), {**CLIP, "exact_reference": True}),
        (tiny_multiview(), {**VIEWS, "exact_reference": True}),
    ],
    ids=["clip", "exact clip", "exact views"],
)
def test_a_clip_that_goes_on_is_the_undisturbed_clip(maker, preset, row):
    make, kept = maker(preset).make, Kept()
    undisturbed, _ = make(row, kept)
    assert len(kept.chunks) == undisturbed.chunks - 1 == 2  # the last one is for nobody
    for before in (1, 2):
        clip, fractions = make(row, Kept(*kept.chunks[:before]))
        assert np.array_equal(unpack_frames(clip.frames), unpack_frames(undisturbed.frames))
        assert clip.resumed_chunks == before
        assert [part.part for part in clip.parts].count("denoise_s") == 3 - before
        assert fractions[0] == before / 3
        assert clip.flops["denoise_s"] == pytest.approx(undisturbed.flops["denoise_s"] * (3 - before) / 3)


def test_clips_of_one_chunk_are_not_asked_about(maker):
    class Untouched:
        def __getattr__(self, name: str):
            raise AssertionError(name)

    assert maker(tiny_transfer()).make({**CLIP, "max_frames": 5}, Untouched())[0].resumed_chunks == 0
