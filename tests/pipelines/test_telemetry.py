"""A run's traces: one per row across all processes, whatever happens to the row."""

import os
import signal
import sys
import time
from collections import defaultdict
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
import ray

from airshower.cluster.packing import pack_frames, unpack_frames
from airshower.cluster.span_files import read_spans
from airshower.cluster.store import open_store
from airshower.configs.gang_layout import GangLayout
from airshower.configs.messages import GeneratedClip, PartTime, PreparedClip, Row, RowError, TextEmbedding
from airshower.configs.model_source import ModelSource
from airshower.configs.presets import tiny_transfer
from airshower.configs.spans import Span
from airshower.configs.spec import ClipSpec, EdgeSpec
from airshower.pipelines.events import Event, Warned
from airshower.pipelines.generate import GenerateSettings, generate
from airshower.pipelines.graph import GraphParts
from airshower.platform.report.read import read_report

pytestmark = pytest.mark.cluster
ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers can't import test files

SETTINGS = GenerateSettings(source=ModelSource(preset=tiny_transfer()), replicas=1, stall_timeout_s=60)
PARTS = ("load", "encode", "denoise", "decode", "encode", "denoise", "decode")


@dataclass
class Replica:
    """Inverts its input in two chunks; the row's name says what else happens."""

    folder: Path

    def generate(self, spec, prepared, text, negative_text, on_progress=None, checkpoints=None) -> GeneratedClip:
        if spec.name == "killer" and not (self.folder / "killed").exists():
            (self.folder / "killed").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if spec.name == "raising":
            raise RuntimeError("can't make frame 7")
        begun_ns = time.time_ns()
        parts = [
            PartTime(part=f"{part}_s", begun_ns=begun_ns + number * 1_000, seconds=1e-6)
            for number, part in enumerate(PARTS)
        ]
        return GeneratedClip(
            frames=pack_frames(255 - unpack_frames(prepared.controls["edge"])),
            model={"name": "inverter"},
            chunks=2,
            seconds={"denoise_s": 2e-6},
            gpu="H200",
            gpus=1,
            parts=tuple(parts),
            flops={"denoise_s": 3e12},
        )


class Encoder:
    def encode(self, prompt, controls) -> TextEmbedding:
        return TextEmbedding(data=b"0000", shape=(1, 1))


def prepare(spec: ClipSpec) -> PreparedClip:
    import numpy as np

    packed = pack_frames(np.full((2, 16, 16, 3), spec.seed, np.uint8))
    size = {"height": 16, "width": 16, "input_height": 16, "input_width": 16}
    return PreparedClip(fps=10, frames=2, **size, input_frames=None, controls={"edge": packed}, masks={})


def stand_ins(folder: Path, device: str, gang: GangLayout) -> GraphParts:
    return GraphParts(
        prepare=prepare,
        load_annotator=Encoder,
        load_text_encoder=lambda warn: Encoder(),
        load_replica=partial(Replica, folder),
    )


def run(folder: Path, *names: str) -> list[Event]:
    """The events of a run in `folder`/run."""
    rows = []
    for index, name in enumerate(names):
        spec = ClipSpec(name=name, prompt="a", video_path=__file__, edge=EdgeSpec(), seed=index)
        rows.append(Row(index=index, name=name, source="s.json", spec=spec.resolved(tiny_transfer()), prompt="a"))
    unread = RowError(stage="read", type="InputError", message="no such field")
    rows.append(Row(index=len(rows), name="unread", source="s.json", spec=None, error=unread))
    events: list[Event] = []
    generate(rows, str(folder / "run"), SETTINGS, events.append, parts=partial(stand_ins, folder))
    return events


def traces_in(folder: Path) -> dict[str, dict[str, list[Span]]]:
    """The spans in a run folder, by the name of the row and of the span."""
    traces: dict[str, dict[str, list[Span]]] = defaultdict(lambda: defaultdict(list))
    for _, span in read_spans(open_store(folder)):
        traces[str(span.attributes["row"])][span.name].append(span)
    return traces


def test_every_row_has_one_trace_of_what_was_done_to_it(cluster, tmp_path):
    events = run(tmp_path, "a", "killer", "raising")
    assert not [event for event in events if isinstance(event, Warned)]
    traces = traces_in(tmp_path / "run")
    assert set(traces) == {"a", "killer", "raising"}

    for name, by_stage in traces.items():
        (root,) = by_stage["row"]
        spans = [span for some in by_stage.values() for span in some]
        assert {span.trace_id for span in spans} == {root.trace_id}
        assert len({span.span_id for span in spans}) == len(spans)
        assert root.begun_ns == min(span.begun_ns for span in spans)
        assert root.ended_ns == max(span.ended_ns for span in spans)
        for stage in ("prepare", "text", "generate", "write"):
            assert [span.parent_id for span in by_stage.get(stage, [])] in ([root.span_id], []), (name, stage)
    assert len({by_stage["row"][0].trace_id for by_stage in traces.values()}) == 3

    (made,) = traces["a"]["generate"]
    assert [len(traces["a"][part]) for part in ("load", "encode", "denoise", "decode")] == [1, 2, 2, 2]
    assert {span.parent_id for span in traces["a"]["denoise"]} == {made.span_id}
    assert [span.attributes["chunk"] for span in traces["a"]["denoise"]] == [0, 1]
    assert [span.attributes["flops"] for span in traces["a"]["denoise"]] == [1.5e12, 1.5e12]
    assert made.attributes["flops"] == 3e12
    assert (made.attributes["frames"], made.attributes["gpu"]) == (2, "H200")
    assert made.attributes["attempt"] in (1, 2)  # it may have waited in the process that the killer took down
    (prepared,) = traces["a"]["prepare"]
    assert prepared.attributes["bytes_in"] == 0
    assert 0 < prepared.attributes["bytes_out"] < made.attributes["bytes_in"]  # the embeddings came along
    assert made.error is None

    assert traces["killer"]["generate"][0].attributes["attempt"] == 2
    (failed,) = traces["raising"]["generate"]
    assert failed.error == traces["raising"]["row"][0].error == "RuntimeError: can't make frame 7"
    assert "write" not in traces["raising"]

    report = read_report(str(tmp_path / "run"))
    assert (report.made, report.failed) == (2, 2)
    assert report.begun_again.keys() == {"generate"}  # the killer, and perhaps rows that waited in its process
    assert {cause.stage: cause.names for cause in report.causes} == {"generate": ["raising"], "read": ["unread"]}
    assert {stage.stage: stage.rows for stage in report.stages} == dict.fromkeys(
        ("prepare", "text", "generate", "write"), 2
    )
    (time,) = report.gpu_times
    assert (time.gpu, time.gpus) == ("H200", 1)  # the process that was killed and the next one are one replica
    assert time.seconds["denoise"] == pytest.approx(4e-6, rel=0.5)  # of spans, in double precision of Unix time
    assert time.held_s == pytest.approx(report.wall_s)
