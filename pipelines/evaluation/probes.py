"""Probes: the ways in which each held-out scene is asked for, written as ordinary rows.

A probe is one row per scene that isolates one ability: one control alone, all four, two chunks, or a prompt of another
weather over unchanged depth. Rows are written beside their videos, so `airshower generate ROWS` makes them again.
Assumes the world's renders are at the model's size; scoring is done elsewhere.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from airshower.configs.spec import CONTROLS, Control
from airshower.pipelines.evaluation.looks import LOOKS, Look
from airshower.pipelines.media import read_video, write_video

LOOK_CONTROL: Control = "depth"  # unlike edges it does not change with light and weather
TWO_CHUNKS = "two_chunks"
ALL_CONTROLS = "all"
_CONTROL_CRF = 6  # flat colours must stay flat
PROBES: tuple[str, ...] = (*CONTROLS, ALL_CONTROLS, TWO_CHUNKS, *(str(look) for look in LOOKS))


@dataclass(frozen=True, kw_only=True)
class HeldOutScene:
    """One scene that no training saw: its videos, uint8 (frames, height, width, 3), and what each look is called."""

    name: str
    prompt: str
    look_prompts: Mapping[Look, str]
    frames: np.ndarray
    depth: np.ndarray  # the control video
    seg: np.ndarray  # the control video
    fps: float


def write_rows(scenes: Sequence[HeldOutScene], folder: Path) -> Path:
    """Writes the scenes' videos and one row per scene and probe; returns the path of the rows (JSON lines)."""
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    for scene in scenes:
        write_video(folder / f"{scene.name}.mp4", scene.frames, scene.fps)
        for control, frames in (("depth", scene.depth), ("seg", scene.seg)):
            write_video(folder / f"{scene.name}_{control}.mp4", frames, scene.fps, crf=_CONTROL_CRF)
        rows += [_row(scene, probe) for probe in PROBES]
    path = folder / "rows.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


def row_name(scene: HeldOutScene, probe: str) -> str:
    """What a probe's clip of a scene is called."""
    return f"{scene.name}_{probe.replace(' ', '-')}"


def read_references(scenes: Sequence[HeldOutScene], folder: Path) -> list[np.ndarray]:
    """The scenes as the pipeline sees them: their frames read back from the written videos."""
    return [read_video(str(folder / f"{scene.name}.mp4")).frames for scene in scenes]


def read_outputs(scenes: Sequence[HeldOutScene], probe: str, run_folder: Path) -> list[np.ndarray]:
    """The clips that a run made for a probe, as users get them."""
    return [read_video(str(run_folder / f"{row_name(scene, probe)}.mp4")).frames for scene in scenes]


def read_controls(scenes: Sequence[HeldOutScene], control: Control, run_folder: Path) -> list[np.ndarray]:
    """The control videos that a run showed for a control alone."""
    return [
        read_video(str(run_folder / f"{row_name(scene, control)}_control_{control}.mp4")).frames for scene in scenes
    ]


def half_chunk(frames: int) -> int:
    """The chunk length, 4k+1, with which a clip of `frames` takes exactly two chunks; raises ValueError below 9."""
    if frames < 9:
        raise ValueError(f"frames {frames}: a clip of two chunks needs 9 at least: give --frames 9 or more")
    return -(-(frames - 1) // 8) * 4 + 1


def _row(scene: HeldOutScene, probe: str) -> dict[str, Any]:
    """The spec of one probe; edge and vis are computed from the video as in any user's row."""
    look_prompts = {str(look): prompt for look, prompt in scene.look_prompts.items()}
    row: dict[str, Any] = {
        "name": row_name(scene, probe),
        "prompt": look_prompts.get(probe, scene.prompt),
        "video_path": f"{scene.name}.mp4",
    }
    files = {"depth": {"control_path": f"{scene.name}_depth.mp4"}, "seg": {"control_path": f"{scene.name}_seg.mp4"}}
    controls: Sequence[str] = (LOOK_CONTROL,) if probe in look_prompts else (probe,)
    if probe in (ALL_CONTROLS, TWO_CHUNKS):
        controls = CONTROLS
    row |= {control: files.get(control, {}) for control in controls}
    if probe == TWO_CHUNKS:
        row["num_video_frames_per_chunk"] = half_chunk(len(scene.frames))
    return row
