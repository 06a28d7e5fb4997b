"""The streaming graph on real Ray, with a small stand-in for the model where only the graph is tested.

The cluster has one CPU, which is also the test that no stage waits for a CPU another one holds.
"""

import os
import re
import signal
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import ray

from airshower.cluster.packing import pack_frames, unpack_frames
from airshower.cluster.session import ray_session
from airshower.configs.gang_layout import GangLayout
from airshower.configs.messages import GeneratedClip, PreparedClip, Row, RowError, TextEmbedding
from airshower.configs.model_source import ModelSource
from airshower.configs.presets import tiny_transfer
from airshower.configs.spec import ClipSpec, EdgeSpec
from airshower.pipelines.events import RowDone, RowFailed, RunStarted, StageFinished, Warned
from airshower.pipelines.follow import RunError
from airshower.pipelines.generate import GenerateSettings, generate
from airshower.pipelines.graph import GraphParts
from tests.processes import kill_below, stop

pytestmark = pytest.mark.cluster
ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers can't import test files

SETTINGS = GenerateSettings(source=ModelSource(preset=tiny_transfer()), replicas=2, stall_timeout_s=60)


@pytest.fixture(scope="module", autouse=True)
def one_cpu(shared_cluster):
    shared_cluster.stop()
    with ray_session(address="local", local_cpus=1) as cluster:
        yield cluster


def prepare(spec: ClipSpec) -> PreparedClip:
    if spec.name.startswith("unreadable"):
        raise ValueError(f"{spec.video_path}: no such\nfile")
    frames = np.random.default_rng(spec.seed).integers(0, 256, (5, 16, 16, 3), dtype=np.uint8)
    packed = pack_frames(frames)
    return PreparedClip(
        fps=10,
        frames=5,
        height=16,
        width=16,
        input_height=16,
        input_width=16,
        input_frames=packed,
        controls={"edge": packed},
        masks={},
    )


@dataclass
class CountingEncoder:
    """Leaves one line per prompt that it really encodes."""

    log: Path
    warn: Callable[[str], None]

    def __post_init__(self) -> None:
        self.cache: dict[str, TextEmbedding] = {}

    def encode(self, prompt: str, controls: Sequence[str]) -> TextEmbedding:
        if prompt not in self.cache:
            with self.log.open("a") as file:
                file.write(prompt + "\n")
            self.cache[prompt] = TextEmbedding(data=prompt.encode(), shape=(1, len(prompt)))
        return self.cache[prompt]


@dataclass
class FaultyReplica:
    """Inverts its input; the row's name says what else happens. `folder` remembers what happened before."""

    folder: Path

    def generate(self, spec, prepared, text, negative_text, on_progress=None, checkpoints=None) -> GeneratedClip:
        first_time = self.remember(spec.name)
        if spec.name.startswith("poison") or (spec.name.startswith("killer") and first_time):
            os.kill(os.getpid(), signal.SIGKILL)
        if spec.name.startswith("stopper") and first_time:
            os.kill(os.getpid(), signal.SIGSTOP)
        if spec.name.startswith("broken") and first_time:
            raise RuntimeError("CUDA error: an illegal memory access was encountered")
        if spec.name.startswith("raising"):
            raise RuntimeError("CUDA out of memory")
        frames = 255 - unpack_frames(prepared.controls["edge"])
        if spec.name.startswith("unwritable"):
            frames = frames[:0]  # no video has no frame
        return GeneratedClip(
            frames=pack_frames(frames), model={"name": "inverter"}, chunks=1, seconds={"denoise_s": 0.5}
        )

    def remember(self, name: str) -> bool:
        with (self.folder / f"{name}.begun").open("a") as file:
            file.write("x")
        return (self.folder / f"{name}.begun").stat().st_size == 1


def rows_named(*names: str) -> list[Row]:
    rows = []
    for index, name in enumerate(names):
        prompt = f"prompt {index % 3}"
        spec = ClipSpec(name=name, prompt=prompt, video_path=__file__, edge=EdgeSpec(), seed=index)
        rows.append(Row(index=index, name=name, source="s.json", spec=spec.resolved(tiny_transfer()), prompt=prompt))
    return rows


def not_needed():
    raise RuntimeError("annotators were loaded, and no row needs them")


def stand_ins(memory: Path, device: str, gang: GangLayout) -> GraphParts:
    return GraphParts(
        prepare=prepare,
        load_annotator=not_needed,
        load_text_encoder=partial(CountingEncoder, memory / "prompts.txt"),
        load_replica=partial(FaultyReplica, memory),
    )


def test_every_row_ends_exactly_once_whatever_happens_to_others(tmp_path):
    output = tmp_path / "run"
    rows = rows_named("a", "unreadable", "killer", "raising", "broken", "unwritable", "b", "c", "d", "e")
    rejected = RowError(stage="read", type="InputError", message="seed: too large")
    rows.append(Row(index=len(rows), name="typo", source="s.json", spec=None, error=rejected))
    events = []

    def hear(event: object) -> None:
        events.append(event)
        if isinstance(event, RunStarted):
            (output / "b.mp4").mkdir()  # where its link should go

    summary = generate(rows, str(output), SETTINGS, hear, parts=partial(stand_ins, tmp_path))

    failed = {event.name: event for event in events if isinstance(event, RowFailed)}
    done = [event.name for event in events if isinstance(event, RowDone)]
    assert sorted(done) == ["a", "b", "broken", "c", "d", "e", "killer"]
    assert {name: event.stage for name, event in failed.items()} == {
        "typo": "read",
        "unreadable": "prepare",
        "raising": "generate",
        "unwritable": "write",
    }
    assert failed["unreadable"].message == f"{__file__}: no such file"
    warnings = [event.message for event in events if isinstance(event, Warned)]
    assert ["b.mp4: no run wrote that: it is kept" in warning for warning in warnings] == [True]
    assert (summary.done, summary.failed) == (7, 4)
    assert [failure.name for failure in summary.failures] == ["unreadable", "raising", "unwritable", "typo"]

    assert isinstance(events[0], RunStarted)
    assert events[0].rows == len(rows)
    assert events[0].stages == ("prepare", "text", "generate", "write")
    stages = Counter((event.name, event.stage) for event in events if isinstance(event, StageFinished))
    assert set(stages.values()) == {1}
    assert {stage for name, stage in stages if name == "killer"} == set(events[0].stages)
    assert {stage for name, stage in stages if name == "raising"} == {"prepare", "text"}

    table = pq.read_table(summary.manifest)
    assert table["name"].to_pylist() == [row.name for row in rows]
    by_name = {line["name"]: line for line in table.to_pylist()}
    assert by_name["killer"]["status"] == "done"
    assert (by_name["killer"]["frames"], by_name["killer"]["fps"]) == (5, 10)
    assert (output / "killer.mp4").resolve() == (output / by_name["killer"]["video"]).resolve()
    assert by_name["killer"]["seconds_generate"] > 0
    assert by_name["killer"]["seconds_annotate"] is None
    assert by_name["raising"]["error_type"] == "RuntimeError"
    assert by_name["raising"]["video"] is None
    assert sorted((tmp_path / "prompts.txt").read_text().split("\n")) == ["", "", "prompt 0", "prompt 1", "prompt 2"]
    assert not list(output.glob(".*"))


def test_who_hands_out_rows_and_who_passes_them_on_die_together(tmp_path):
    rows = rows_named(*(f"row{index}" for index in range(30)))
    done = []

    def kill(event: object) -> None:
        if isinstance(event, RowDone):
            done.append(event.index)
            if len(done) == 1:  # most rows are not handed out yet
                killed.update(kind for kind in victims if kill_below(kind))

    victims = {"ray::Dispatcher", "ray::Read_Parcels"}
    killed: set[str] = set()
    summary = generate(rows, str(tmp_path / "run"), SETTINGS, kill, parts=partial(stand_ins, tmp_path))
    assert (killed, summary.done, sorted(done)) == (victims, 30, list(range(30)))


def test_who_hangs_is_ended_and_the_run_goes_on(tmp_path):
    rows = rows_named("stopper", *(f"row{index}" for index in range(9)))
    warnings, stopped = [], []

    def stop_dispatcher(event: object) -> None:
        if isinstance(event, Warned):
            warnings.append(event.message)
        if isinstance(event, RowDone) and not stopped:
            stopped.append(kill_below("ray::Dispatcher", stop))

    settings = replace(SETTINGS, hang_timeout_s=3.0)
    summary = generate(rows, str(tmp_path / "run"), settings, stop_dispatcher, parts=partial(stand_ins, tmp_path))
    assert (summary.done, summary.failed, stopped) == (10, 0, [True])
    assert (tmp_path / "stopper.begun").read_text().startswith("xx")
    hung = [" ".join(warning.split()[:2]) for warning in warnings if "has said nothing for 3 s" in warning]
    assert "the dispatcher" in hung
    assert re.fullmatch(r"process \d+", next(who for who in hung if who != "the dispatcher"))


def test_a_row_that_always_kills_its_worker_fails_alone(tmp_path):
    rows = rows_named("a", "poison", "b")
    summary = generate(rows, str(tmp_path / "run"), SETTINGS, parts=partial(stand_ins, tmp_path))
    assert summary.done == 2
    assert [(failure.name, failure.stage) for failure in summary.failures] == [("poison", "generate")]
    assert "ended its worker process 3 times" in summary.failures[0].message


def test_a_model_that_cannot_be_loaded_ends_the_run_with_one_line(tmp_path):
    def load():
        raise ValueError("weights/x: no such folder:\ngive one that holds a whole model")

    def parts(device: str, gang: GangLayout) -> GraphParts:
        return replace(stand_ins(tmp_path, device, gang), load_replica=load)

    rows = rows_named("a", "b", "c")
    with pytest.raises(RunError, match=r"^replica: weights/x: no such folder: give one that holds a whole model$"):
        generate(rows, str(tmp_path / "run"), SETTINGS, parts=parts)
    table = pq.read_table(tmp_path / "run" / "manifest.parquet")
    assert table["status"].to_pylist() == ["failed"] * 3
    assert table["error_stage"].to_pylist() == ["run"] * 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"device": "cuda"}, "cluster has no GPU"),
        ({"device": "tpu"}, "use auto, cpu or cuda"),
        ({"replicas": 0}, "at least one"),
    ],
)
def test_asking_for_what_the_cluster_lacks_is_an_error(tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        generate(rows_named("a"), str(tmp_path), replace(SETTINGS, **change), parts=partial(stand_ins, tmp_path))
