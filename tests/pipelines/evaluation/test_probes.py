"""Every probe is a valid row that asks for what its name says, and the clips are found again."""

import numpy as np
import pytest

from airshower.configs.presets import preset
from airshower.configs.spec import CONTROLS
from airshower.pipelines.evaluation.looks import LOOKS
from airshower.pipelines.evaluation.probes import (
    PROBES,
    HeldOutScene,
    half_chunk,
    read_references,
    row_name,
    write_rows,
)
from airshower.pipelines.rows import read_rows

RNG = np.random.default_rng(0)


def scene(name: str) -> HeldOutScene:
    frames = np.repeat(RNG.integers(0, 255, (9, 9, 16, 1), dtype=np.uint8), 16, axis=1).repeat(16, axis=2)
    video = frames.repeat(3, axis=3)
    return HeldOutScene(
        name=name,
        prompt=f"{name} as drawn",
        look_prompts={look: f"{name} on a {look}" for look in LOOKS},
        frames=video,
        depth=video,
        seg=video,
        fps=10.0,
    )


def test_rows_are_valid_and_isolate_one_ability(tmp_path):
    scenes = [scene("scene1"), scene("scene2")]
    rows = read_rows([str(write_rows(scenes, tmp_path))], overrides={"num_steps": 3}, preset=preset("tiny-transfer"))
    assert [row.error for row in rows if row.error] == []
    asked = {row.name: row for row in rows}
    assert len(asked) == 2 * len(PROBES)
    for control in CONTROLS:
        assert list(asked[row_name(scenes[0], control)].spec.controls) == [control]
    assert list(asked["scene2_all"].spec.controls) == list(CONTROLS)
    assert asked["scene2_two_chunks"].spec.num_video_frames_per_chunk == 5
    night = asked["scene1_clear-night"]
    assert (night.prompt, list(night.spec.controls), night.spec.num_steps) == ("scene1 on a clear night", ["depth"], 3)
    references = read_references(scenes, tmp_path)
    assert np.abs(references[1].astype(int) - scenes[1].frames).mean() < 4


@pytest.mark.parametrize(("frames", "chunk"), [(9, 5), (17, 9), (33, 17), (34, 21)])
def test_a_clip_takes_two_chunks(frames, chunk):
    assert half_chunk(frames) == chunk
    assert chunk < frames <= chunk + (chunk - 1)


def test_too_short_for_two_chunks():
    with pytest.raises(ValueError, match="give --frames 9 or more"):
        half_chunk(5)
