"""Runs as they lie on disk, without the time that generating takes: real rows, real files, real commits."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from airshower.cluster.packing import pack_frames
from airshower.cluster.store import open_store
from airshower.configs.camera_file import CameraTrack
from airshower.configs.messages import GeneratedClip, PreparedClip, PreparedViews, Row
from airshower.configs.presets import tiny_multiview, tiny_transfer
from airshower.configs.records import RunRecord
from airshower.configs.row_formats import spec_of
from airshower.pipelines.ledger.committer import Committer
from airshower.pipelines.ledger.ledger import Ledger
from airshower.pipelines.ledger.run_records import RunRecords
from airshower.pipelines.media import shown_file

SIZE = (32, 48)
MakeClip = Callable[..., Row]


def pictures(seed: int, frames: int) -> np.ndarray:
    """Coarse squares that move, which a video holds well."""
    squares = np.random.default_rng(seed).integers(0, 256, (SIZE[0] // 8, SIZE[1] // 8, 3), dtype=np.uint8)
    picture = squares.repeat(8, 0).repeat(8, 1)
    return np.stack([np.roll(picture, 2 * number, axis=1) for number in range(frames)])


def track(frames: int) -> CameraTrack:
    """A camera that drives along x, of pictures twice the clip's size."""
    poses = [[[1, 0, 0, 0.5 * n], [0, 1, 0, 0], [0, 0, 1, 1.5], [0, 0, 0, 1]] for n in range(frames)]
    intrinsics = {"fx": 90, "fy": 80, "cx": 48, "cy": 32}
    fields = {"width_px": 96, "height_px": 64, "intrinsics_px": intrinsics, "camera_to_world": poses}
    return CameraTrack.model_validate(fields)


class Run:
    """A run folder to which clips are committed."""

    def __init__(self, location: str | Path) -> None:
        self.ledger = Ledger(open_store(location))
        self.ledger.require()
        self.begin("1")

    def begin(self, run: str, epoch: int = 0) -> None:
        """A run of a command; clips are committed by the last one."""
        self.run = run
        about = {"begun": "2026-01-01T00:00:00+00:00", "command": (), "working_directory": "/", "rows": 1}
        RunRecords(self.ledger).begin(RunRecord(run=run, version="0", epoch=epoch, **about))

    def clip(
        self,
        name: str,
        key: str,
        *,
        prompt: str = "rain",
        frames: int = 5,
        fps: float = 10,
        filmed: bool = True,
        controls: tuple[str, ...] = ("edge",),
    ) -> Row:
        """Commits a clip of one camera."""
        fields = {"name": name, "prompt": prompt, "video_path": "in.mp4", "seed": int(key, 16)}
        fields |= {control: {} for control in controls}
        prepared = PreparedClip(
            fps=fps,
            frames=frames,
            height=SIZE[0],
            width=SIZE[1],
            input_height=SIZE[0],
            input_width=SIZE[1],
            shown_input=shown_file(pictures(1, frames), fps),
            controls={control: pack_frames(pictures(2, frames)) for control in controls},
            masks={},
            camera_tracks={"camera": track(frames)} if filmed else {},
        )
        row = self._row(fields, key)
        return self._commit(row, prepared, pictures(int(key, 16), frames), tiny_transfer())

    def views(self, name: str, key: str, *, apart: bool) -> Row:
        """Commits a clip of two cameras, in one video or apart."""
        view = {"control_path": "map.mp4"}
        fields = {"name": name, "prompt": "rain", "num_conditional_frames": 0, "save_combined_views": not apart}
        prepared = PreparedViews(
            fps=10,
            frames=5,
            height=SIZE[0],
            width=SIZE[1],
            cameras=("front_wide", "rear"),
            controls={camera: pack_frames(pictures(3, 5)) for camera in ("front_wide", "rear")},
            inputs={},
            camera_tracks={camera: track(5) for camera in ("front_wide", "rear")},
        )
        frames = np.concatenate([pictures(4, 5), pictures(5, 5)])
        row = self._row({**fields, "front_wide": view, "rear": view}, key)
        return self._commit(row, prepared, frames, tiny_multiview())

    def _row(self, fields: dict, key: str) -> Row:
        name, prompt = fields["name"], fields["prompt"]
        return Row(index=0, name=name, source="rows", spec=spec_of(fields), prompt=prompt, key=key * 64)

    def _commit(self, row: Row, prepared, frames, preset) -> Row:
        model = {"name": preset.name, "sha256": "f00"}
        generated = GeneratedClip(frames=pack_frames(frames), model=model, chunks=1, seconds={"denoise_s": 1})
        row = Row(**{**vars(row), "spec": row.spec.resolved(preset), "prepared": prepared, "generated": generated})
        return Committer(ledger=self.ledger, run=self.run).write(row)


@pytest.fixture
def run(tmp_path) -> Run:
    """A run of three clips."""
    run = Run(tmp_path / "run")
    for name, key, frames in (("a.1", "c", 5), ("b", "a", 9), ("c", "b", 1 + 1)):
        run.clip(name, key, frames=frames, prompt=f"rain {frames}")
    return run
