"""The whole batch pipeline with the tiny model's classes: a row's frames depend on nothing but the row."""

import json
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from airshower.configs.messages import Row
from airshower.configs.model_source import ModelSource
from airshower.configs.presets import tiny_transfer
from airshower.configs.spec import ClipSpec, EdgeSpec, VisSpec
from airshower.pipelines.generate import GenerateSettings, generate
from airshower.pipelines.media import read_video, write_video

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("cluster")]


def make_rows(folder: Path) -> list[Row]:
    y, x = np.mgrid[0:144, 0:144]
    frames = np.stack([np.stack([x + 9 * t, y, x ^ y], axis=-1) % 256 for t in range(9)]).astype(np.uint8)
    write_video(folder / "input.mp4", frames, 10)
    common = {"video_path": str(folder / "input.mp4"), "num_steps": 2, "num_video_frames_per_chunk": 5}
    specs = [
        ClipSpec(name="edge", prompt="rain", max_frames=5, edge=EdgeSpec(), **common),
        ClipSpec(name="other_seed", prompt="rain", max_frames=5, seed=1, edge=EdgeSpec(), **common),
        ClipSpec(name="other_prompt", prompt="snow", max_frames=5, edge=EdgeSpec(), **common),
        ClipSpec(name="two_chunks", prompt="snow", edge=EdgeSpec(), vis=VisSpec(), **common),
    ]
    return [
        Row(index=i, name=spec.name, source="test", spec=spec.resolved(tiny_transfer()), prompt=spec.prompt)
        for i, spec in enumerate(specs)
    ]


def test_frames_do_not_depend_on_order_or_number_of_replicas(tmp_path, random_model):
    rows = make_rows(tmp_path)
    shuffled = [replace(row, index=i) for i, row in enumerate(random.Random(1).sample(rows, len(rows)))]
    assert [row.name for row in shuffled] != [row.name for row in rows]
    settings = GenerateSettings(
        source=ModelSource(preset=tiny_transfer(), weights=str(random_model)), device="cpu", stall_timeout_s=120
    )
    alone = generate(rows, str(tmp_path / "alone"), replace(settings, replicas=1))
    pair = generate(shuffled, str(tmp_path / "pair"), replace(settings, replicas=2))

    assert (alone.failures, pair.failures) == ((), ())
    records = {row.name: json.loads((tmp_path / "alone" / f"{row.name}.json").read_text()) for row in rows}
    hashes = {name: record["frames_sha256"] for name, record in records.items()}
    assert hashes == {
        row.name: json.loads((tmp_path / "pair" / f"{row.name}.json").read_text())["frames_sha256"] for row in rows
    }
    assert len(set(hashes.values())) == len(rows)
    assert (records["two_chunks"]["chunks"], records["two_chunks"]["frames"]) == (2, 9)
    assert len(read_video(str(tmp_path / "alone" / "two_chunks.mp4")).frames) == 9
