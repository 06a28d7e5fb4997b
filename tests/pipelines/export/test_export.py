"""Exports of committed clips: what is in them, what a second one adds, and what a killed one leaves."""

import json
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import webdataset

from airshower.cluster.local_store import LocalStore
from airshower.cluster.store import open_store
from airshower.configs.export_records import ExportSettings, PlannedClip
from airshower.configs.messages import Row
from airshower.pipelines.export.clips import ExportError
from airshower.pipelines.export.export import ExportSummary, export
from airshower.pipelines.export.shard_book import ShardBook
from airshower.pipelines.folder_manifest import Manifest
from airshower.pipelines.ledger.missing import made_entry
from airshower.pipelines.media import read_video
from tests.pipelines.export.conftest import Run, pictures

TAR = ExportSettings(dataset="webdataset")


def exported(run: Run, folder: Path, settings: ExportSettings = TAR, **more: object) -> ExportSummary:
    return export(run.ledger, open_store(folder), settings, **more)


def files_of(folder: Path) -> dict[str, bytes]:
    """The dataset's own files."""
    paths = [path for path in folder.rglob("*") if path.is_file() and ".airshower" not in path.parts]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def samples(*shards: Path) -> list[dict[str, bytes]]:
    return list(webdataset.WebDataset([str(shard) for shard in shards], shardshuffle=False, empty_check=False))


def keys(folder: Path) -> list[str]:
    return [sample["__key__"] for sample in samples(*sorted(folder.glob("*.tar")))]


def manifest(run: Run, **names: str) -> None:
    """The folder's table after a run that was asked for some rows: name by key."""
    table = Manifest(run.ledger, run.run)
    for index, (key, name) in enumerate(names.items()):
        row = Row(index=index, name=name, key=key * 64, source="s", prompt="p", spec=None)
        table.add(made_entry(row, run.ledger.commit_of(key * 64)))
    table.settle({}, {}, pytest.fail)


def test_a_webdataset_holds_what_was_committed(run, tmp_path):
    assert exported(run, tmp_path / "set") == ExportSummary(added=3, kept=0, shards=1)
    found = samples(tmp_path / "set" / "shard-000000.tar")
    assert [sample["__key__"] for sample in found] == ["b-" + "a" * 12, "c-" + "b" * 12, "a_1-" + "c" * 12]
    last = found[2]
    assert set(last) - {"__key__", "__url__", "__local_path__"} == {"json", "txt", "mp4", "edge.mp4"}
    assert last["txt"] == b"rain 5"
    commit = run.ledger.commit_of("c" * 64)
    made = tmp_path / "run" / commit.folder
    assert last["mp4"] == (made / "a.1.mp4").read_bytes()
    assert last["edge.mp4"] == (made / "a.1_control_edge.mp4").read_bytes()
    about = json.loads(last["json"])
    assert (about["caption"], about["seed"], about["fps"], about["frames"]) == ("rain 5", 12, 10, 5)
    assert (about["height"], about["width"], json.loads(about["model"])["sha256"]) == (32, 48, "f00")
    camera = json.loads(about["cameras"])["camera"]
    assert camera["intrinsics_px"] == {"fx": 45, "fy": 40, "cx": 24, "cy": 16}
    assert np.array(camera["camera_to_world"])[:, 0, 3].tolist() == [0, 0.5, 1, 1.5, 2]
    with tarfile.open(tmp_path / "set" / "shard-000000.tar") as archive:
        assert {(entry.mtime, entry.uid, entry.uname) for entry in archive} == {(0, 0, "")}


def test_controls_inputs_and_cameras_are_left_out_or_taken_in(run, tmp_path):
    bare = ExportSettings(dataset="webdataset", controls=False, inputs=True, cameras=False)
    exported(run, tmp_path / "set", bare)
    first = samples(tmp_path / "set" / "shard-000000.tar")[0]
    assert set(first) - {"__key__", "__url__", "__local_path__"} == {"json", "txt", "mp4", "input.mp4"}
    assert json.loads(first["json"])["cameras"] == ""
    run.clip("still", "0", frames=1)
    exported(run, tmp_path / "stills", select="still")
    (still,) = samples(tmp_path / "stills" / "shard-000000.tar")
    assert set(still) - {"__key__", "__url__", "__local_path__"} == {"json", "txt", "jpg", "edge.jpg"}


def test_the_same_clips_give_the_same_bytes_and_new_ones_a_new_shard(run, tmp_path):
    for name in ("lerobot", "webdataset", "parquet"):
        settings = ExportSettings(dataset=name)
        exported(run, tmp_path / name, settings)
        exported(run, tmp_path / f"{name}2", settings)
        before = files_of(tmp_path / name)
        assert before == files_of(tmp_path / f"{name}2")
        assert exported(run, tmp_path / name, settings) == ExportSummary(added=0, kept=3, shards=1)
        assert files_of(tmp_path / name) == before
    before = files_of(tmp_path / "webdataset")
    run.clip("d", "9")
    assert exported(run, tmp_path / "webdataset") == ExportSummary(added=1, kept=3, shards=2)
    after = files_of(tmp_path / "webdataset")
    assert {path: after[path] for path in before} == before
    assert keys(tmp_path / "webdataset")[3:] == ["d-" + "9" * 12]
    assert len(keys(tmp_path / "webdataset")) == 4


def test_only_clips_that_still_count_are_exported_under_their_last_names(run, tmp_path):
    run.begin("2")
    run.clip("b", "d")  # the row was changed
    manifest(run, d="b", c="renamed")
    exported(run, tmp_path / "set")
    assert keys(tmp_path / "set") == ["c-" + "b" * 12, "renamed-" + "c" * 12, "b-" + "d" * 12]
    assert exported(run, tmp_path / "some", select="?").added == 2
    run.ledger.begin_epoch()
    run.begin("3", epoch=1)
    run.clip("b", "e")
    exported(run, tmp_path / "fresh")
    assert keys(tmp_path / "fresh") == ["b-" + "e" * 12]
    with pytest.raises(ExportError, match=r"holds 3 clips that .*run doesn't have, or has made anew since: export to"):
        exported(run, tmp_path / "set")


class Stopped(BaseException):
    pass


class StoppingStore(LocalStore):
    """Ends the process, as it were, before it writes for the nth time."""

    def __init__(self, location: Path, writes: int) -> None:
        super().__init__(location)
        self.left = writes

    def _ask(self, call, path, *args):
        if call.__name__ in ("_create", "_put", "_write"):
            if self.left == 0:
                raise Stopped
            self.left -= 1
        return super()._ask(call, path, *args)


@pytest.mark.parametrize(("name", "all_writes", "every"), [("webdataset", 6, 1), ("lerobot", 16, 3)])
def test_a_killed_export_leaves_nothing_half_and_is_finished_by_the_next(tmp_path, name, all_writes, every):
    run = Run(tmp_path / "run")
    for key in "ab":
        run.clip(key, key)
    settings = ExportSettings(dataset=name, shard_mib=0.001, controls=False)
    assert exported(run, tmp_path / "whole", settings).shards == 2
    whole = files_of(tmp_path / "whole")
    for writes in range(0, all_writes, every):
        folder = tmp_path / f"after{writes}"
        with pytest.raises(Stopped):
            export(run.ledger, StoppingStore(folder, writes), settings)
        found = files_of(folder)
        assert found == {path: whole[path] for path in found}
        exported(run, folder, settings)
        assert files_of(folder) == whole
    export(run.ledger, StoppingStore(tmp_path / "undisturbed", all_writes), settings)


def test_exports_at_once_make_one_dataset(run, tmp_path):
    small = ExportSettings(dataset="webdataset", shard_mib=0.001)
    exported(run, tmp_path / "whole", small)
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda _: exported(run, tmp_path / "set", small), range(3)))
    assert files_of(tmp_path / "set") == files_of(tmp_path / "whole")
    assert len(files_of(tmp_path / "set")) == 3


def test_a_shard_that_another_export_has_planned_is_taken_as_it_is(run, tmp_path):
    store = open_store(tmp_path / "set")
    book = ShardBook(store, TAR)
    book.require()
    theirs = book.plan(0, (PlannedClip(key="b" * 64, name="c", frames=2, caption="rain 2"),))
    assert book.plan(0, ()) == theirs
    assert exported(run, tmp_path / "set") == ExportSummary(added=3, kept=0, shards=2)
    assert keys(tmp_path / "set") == ["c-" + "b" * 12, "b-" + "a" * 12, "a_1-" + "c" * 12]


def test_parquet_has_a_row_per_clip_with_videos_in_it_or_beside_it(run, tmp_path):
    exported(run, tmp_path / "in", ExportSettings(dataset="parquet", inputs=True))
    table = pq.ParquetFile(tmp_path / "in" / "shard-000000.parquet")
    assert table.num_row_groups == 3
    row = table.read().to_pylist()[0]
    commit = run.ledger.commit_of("a" * 64)
    made = tmp_path / "run" / commit.folder
    assert row["video"] == (made / "b.mp4").read_bytes()
    assert row["control_edge"] == (made / "b_control_edge.mp4").read_bytes()
    assert row["input"] == (made / "b_input.mp4").read_bytes()
    assert row["control_depth"] is None
    assert (row["caption"], row["frames"], row["seed"]) == ("rain 9", 9, 10)
    assert (row["cameras"][0]["fx"], len(row["cameras"][0]["camera_to_world"])) == (45, 9)
    assert json.loads(row["spec"])["edge"]["control_weight"] == 1

    exported(run, tmp_path / "beside", ExportSettings(dataset="parquet", embed=False))
    beside = pq.read_table(tmp_path / "beside" / "shard-000000.parquet").to_pylist()[0]
    assert (tmp_path / "beside" / beside["video_path"]).read_bytes() == row["video"]
    assert (tmp_path / "beside" / beside["control_edge_path"]).read_bytes() == row["control_edge"]
    assert beside["input_path"] is None


@pytest.mark.parametrize("apart", [True, False])
def test_every_camera_has_its_video(tmp_path, apart):
    run = Run(tmp_path / "run")
    run.views("rig", "a", apart=apart)
    exported(run, tmp_path / "set")
    (sample,) = samples(tmp_path / "set" / "shard-000000.tar")
    about = json.loads(sample["json"])
    assert about["views"] == list(json.loads(about["cameras"])) == ["front_wide", "rear"]
    for seed, camera in ((4, "front_wide"), (5, "rear")):
        (tmp_path / "one.mp4").write_bytes(sample[f"{camera}.mp4"])
        seen = read_video(str(tmp_path / "one.mp4")).frames
        assert np.abs(seen.astype(int) - pictures(seed, 5)).mean() < 8
    maps = {name for name in sample if name.startswith("hdmap")}
    assert maps == ({"hdmap_front_wide.mp4", "hdmap_rear.mp4"} if apart else {"hdmap.mp4"})


def test_a_file_that_is_not_as_committed_ends_the_export_and_leaves_no_shard(run, tmp_path):
    commit = run.ledger.commit_of("a" * 64)
    (tmp_path / "run" / commit.folder / "b.mp4").write_bytes(b"other")
    with pytest.raises(ExportError, match=r"b.mp4 has other content than was committed: clip b can't be exported"):
        exported(run, tmp_path / "set")
    assert not files_of(tmp_path / "set")
    assert exported(run, tmp_path / "set", select="[!b]*").added == 2


def test_a_folder_that_does_not_fit_is_refused(run, tmp_path):
    exported(run, tmp_path / "set")
    with pytest.raises(ExportError, match=r"set: was exported with --shard-mib 256, not --shard-mib 9: give the"):
        exported(run, tmp_path / "set", ExportSettings(dataset="webdataset", shard_mib=9))
    with pytest.raises(ExportError, match="set: was exported with --no-inputs, not --inputs: give the"):
        exported(run, tmp_path / "set", ExportSettings(dataset="webdataset", inputs=True))
    with pytest.raises(ExportError, match="run: holds files that no export wrote"):
        exported(run, tmp_path / "run")
    with pytest.raises(ExportError, match=r"has no clip named x\*: fix --select"):
        exported(run, tmp_path / "new", select="x*")
    with pytest.raises(ExportError, match="empty has no clip yet"):
        exported(Run(tmp_path / "empty"), tmp_path / "new")
    assert not (tmp_path / "new").exists() or not files_of(tmp_path / "new")
    (tmp_path / "set" / ".airshower" / "plans" / "000000.json").write_text("{}")
    with pytest.raises(ExportError, match=r"000000.json: is no record of an export"):
        exported(run, tmp_path / "set")


MIXED = {"a": ("edge",), "b": ("edge", "vis"), "c": ("vis",), "d": ("edge",)}


@pytest.fixture
def mixed(tmp_path) -> Run:
    """A run whose rows have different controls; by key as by name."""
    run = Run(tmp_path / "mixed")
    for name, controls in MIXED.items():
        run.clip(name, name, controls=controls, filmed=name != "a")
    return run


def test_rows_with_different_controls_are_one_webdataset_that_others_read(mixed, tmp_path):
    exported(mixed, tmp_path / "set")
    shards = [samples(shard) for shard in sorted((tmp_path / "set").glob("*.tar"))]
    assert [[sample["__key__"][0] for sample in shard] for shard in shards] == [["b"], ["a", "d"], ["c"]]
    for sample in (sample for shard in shards for sample in shard):
        controls = MIXED[sample["__key__"][0]]
        assert {name for name in sample if name.endswith(".mp4")} == {f"{control}.mp4" for control in controls}
    # Hugging Face's datasets takes columns from the first samples, which must agree, and the types of fields as well
    members = [{frozenset(sample) for sample in shard} for shard in shards]
    assert {len(kinds) for kinds in members} == {1}
    assert all(kinds.pop() <= shards[0][0].keys() for kinds in members)
    fields = [json.loads(sample["json"]) for shard in shards for sample in shard]
    assert len({tuple(sorted((name, type(value)) for name, value in one.items())) for one in fields}) == 1


def test_a_lerobot_dataset_has_the_videos_that_all_its_clips_have(mixed, tmp_path):
    told = []
    settings = ExportSettings(dataset="lerobot", cameras=False)
    exported(mixed, tmp_path / "all", settings, tell=told.append)
    assert [path.name for path in (tmp_path / "all" / "videos").iterdir()] == ["observation.images.camera"]
    assert told[0].endswith("some of these have none: control_edge, control_vis")
    exported(mixed, tmp_path / "edges", settings, select="[abd]", tell=told.append)
    videos = sorted(path.name for path in (tmp_path / "edges" / "videos").iterdir())
    assert videos == ["observation.images.camera", "observation.images.edge"]
    assert exported(mixed, tmp_path / "edges", settings, select="[ab]", tell=pytest.fail).kept == 3
    with pytest.raises(ExportError, match=r"clip c: .* the first one has observation.images.edge, c hasn't"):
        exported(mixed, tmp_path / "edges", settings)


def test_a_refused_export_ties_its_folder_to_nothing(mixed, tmp_path):
    with pytest.raises(ExportError, match="--no-cameras"):
        exported(mixed, tmp_path / "set", ExportSettings(dataset="lerobot"))
    assert list((tmp_path / "set").iterdir()) == []
    assert exported(mixed, tmp_path / "set", ExportSettings(dataset="parquet")).added == 4


def test_what_no_export_wrote_is_kept(mixed, tmp_path):
    exported(mixed, tmp_path / "set", select="d")
    (tmp_path / "set" / "notes.txt").write_text("mine")
    (tmp_path / "set" / "shard-000001.tar").write_text("mine")
    before = files_of(tmp_path / "set")
    with pytest.raises(ExportError, match=r"set: shard-000001.tar: no export wrote that: it is kept: move it away"):
        exported(mixed, tmp_path / "set")
    assert files_of(tmp_path / "set") == before
    (tmp_path / "set" / "shard-000001.tar").unlink()
    assert exported(mixed, tmp_path / "set").added == 3

    settings = ExportSettings(dataset="lerobot", cameras=False)
    exported(mixed, tmp_path / "episodes", settings, select="[ad]")
    info = tmp_path / "episodes" / "meta" / "info.json"
    info.write_text(info.read_text() + " ")
    before = info.read_bytes()
    with pytest.raises(ExportError, match=r"episodes: meta/info.json: not as an export wrote it: move it away"):
        exported(mixed, tmp_path / "episodes", settings, select="[abd]")
    assert info.read_bytes() == before


def test_object_storage_at_both_ends(bucket, tmp_path):
    run = Run("s3://drives/run")
    run.clip("a", "a")
    settings = ExportSettings(dataset="lerobot")
    export(run.ledger, open_store("s3://drives/set"), settings)
    exported(run, tmp_path / "set", settings)
    for path, data in files_of(tmp_path / "set").items():
        assert bucket.get_object(Bucket="drives", Key=f"set/{path}")["Body"].read() == data
