"""Runs whose rows are made in this process, without Ray and without a model: everything else about them is real."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from airshower.cluster.packing import pack_frames
from airshower.configs.messages import GeneratedClip, PreparedClip, Row, RowError
from airshower.configs.model_source import ModelSource
from airshower.configs.presets import tiny_transfer
from airshower.configs.spec import ClipSpec, EdgeSpec
from airshower.pipelines import generate as generating
from airshower.pipelines.events import Event, RowDone, Warned
from airshower.pipelines.ledger.committer import Committer
from airshower.pipelines.manifest import entry_of
from airshower.pipelines.run import Run, RunSummary

SETTINGS = generating.GenerateSettings(source=ModelSource(preset=tiny_transfer()))
FRAMES = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)


@dataclass(kw_only=True)
class Outcome:
    """What a run said."""

    summary: RunSummary
    done: list[str]
    warnings: list[str]


@dataclass(kw_only=True)
class QuickRuns:
    """Makes rows of inputs in a folder into run folders."""

    inputs: Path
    on_row: Callable[[Row], None] = field(default=lambda row: None)  # before it is made; may raise

    def row(self, name: str, seed: int = 0, index: int = 0) -> Row:
        """A row; names that begin with "bad" fail while they are generated, "slow" while they are written."""
        video = self.inputs / f"{name}.mov"
        if not video.exists():
            video.write_text(name)
        spec = ClipSpec(name=name, prompt=f"prompt of {name}", video_path=str(video), edge=EdgeSpec(), seed=seed)
        spec = spec.resolved(tiny_transfer())
        return Row(index=index, name=name, source=f"{name}.json", spec=spec, prompt=spec.prompt or "")

    def unread(self, name: str) -> Row:
        """A row that could not be read."""
        error = RowError(stage="read", type="InputError", message=f"{name}: seed: too large")
        return Row(index=0, name=name, source=f"{name}.json", spec=None, error=error)

    def run(self, output: Path | str, *rows: Row | str, **settings: object) -> Outcome:
        """Runs rows, or rows of these names, as one command."""
        given = [self.row(row) if isinstance(row, str) else row for row in rows]
        events: list[Event] = []
        numbered = [replace(row, index=index) for index, row in enumerate(given)]
        summary = generating.generate(numbered, str(output), replace(SETTINGS, **settings), events.append)
        return Outcome(
            summary=summary,
            done=sorted(event.name for event in events if isinstance(event, RowDone)),
            warnings=[event.message for event in events if isinstance(event, Warned)],
        )

    def make(
        self, rows: Sequence[Row], made: Sequence[Row], settings: object, parts: object, run: Run, asked: object
    ) -> None:
        """In place of the graph."""
        for row in rows:
            self.on_row(row)
            ended = entry_of(self._made(run.as_next_edition(row), Committer(ledger=run.ledger, run=run.id)))
            if ended.error is not None:
                run.record_failure(ended, ended.error)
            run.end(ended)

    def _made(self, row: Row, writer: Committer) -> Row:
        generated = GeneratedClip(frames=pack_frames(FRAMES), model={"name": "none"}, chunks=1, seconds={})
        row = replace(row, prepared=prepared(), generated=generated)
        if row.name.startswith("bad"):
            return row.failed("generate", RuntimeError("can't make that"))
        if row.name.startswith("slow"):
            return row.failed("write", OSError("no space left"), transient=True)
        return writer.write(row)


def prepared() -> PreparedClip:
    """Edges of two frames."""
    size = {"height": 16, "width": 16, "input_height": 16, "input_width": 16}
    return PreparedClip(fps=10, frames=2, **size, controls={"edge": pack_frames(FRAMES)}, masks={})


def lines(output: Path) -> list[tuple[str, str]]:
    """Names and states of the manifest's lines, in their order."""
    table = pq.read_table(output / "manifest.parquet")
    assert table["index"].to_pylist() == sorted(set(table["index"].to_pylist()))
    return list(zip(table["name"].to_pylist(), table["status"].to_pylist(), strict=True))
