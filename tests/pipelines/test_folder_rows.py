"""The manifest of a run folder: that of all its runs, not of the last one."""

from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from airshower.cluster.store import open_store
from airshower.configs.messages import Row
from airshower.pipelines.folder_state import state_of
from airshower.pipelines.ledger.ledger import Ledger
from tests.quick_runs import lines

SIX = tuple(f"row{number}" for number in range(6))


def done(*names: str) -> list[tuple[str, str]]:
    return [(name, "done") for name in names]


def commit_folder(output: Path, name: str) -> str:
    """Where the manifest has the files of a row."""
    table = pq.read_table(output / "manifest.parquet")
    (record,) = (line["record"] for line in table.to_pylist() if line["name"] == name)
    return record.split("/")[1]


def test_a_run_adds_its_rows_to_those_of_others(quick, tmp_path):
    output = tmp_path / "run"
    quick.run(output, *SIX)
    assert lines(output) == done(*SIX)
    quick.run(output, "seventh")
    assert lines(output) == done("seventh", *SIX)
    assert quick.run(output, *SIX[::-1]).summary.kept == 6
    assert lines(output) == done(*SIX[::-1], "seventh")


def test_a_name_is_that_of_the_clip_that_was_asked_for_last(quick, tmp_path):
    output = tmp_path / "run"
    first, second = (quick.row("a", seed=seed) for seed in (1, 2))
    quick.run(output, first, "b")
    quick.run(output, second)
    assert lines(output) == done("a", "b")
    quick.run(output, "c")
    assert lines(output) == done("c", "a", "b")
    assert quick.run(output, first).done == []  # the ledger has it
    assert lines(output) == done("a", "c", "b")
    (output / "manifest.parquet").unlink()
    quick.run(output, "b")
    assert lines(output) == done("b", "a", "c")
    assert (output / "a.mp4").resolve().parent.name == commit_folder(output, "a")
    renamed = replace(first, name="z", spec=first.spec.model_copy(update={"name": "z"}))
    quick.run(output, renamed)
    assert lines(output) == done("z", "b", "c")


def test_failed_rows_stay_until_they_are_made_or_others_of_their_names(quick, tmp_path):
    output = tmp_path / "run"
    quick.run(output, *SIX, "bad", quick.unread("typo"), "slow")
    failed = [("bad", "failed"), ("typo", "failed"), ("slow", "failed")]
    assert lines(output) == [*done(*SIX), *failed]
    quick.run(output, "other")
    assert lines(output) == [*done("other", *SIX), *failed]
    mistyped = quick.run(output, *(quick.unread(name) for name in SIX))
    assert (mistyped.summary.done, mistyped.summary.failed) == (0, 6)
    assert lines(output) == [*((name, "failed") for name in SIX), *done("other", *SIX), *failed]
    quick.run(output, *SIX, "typo")
    assert lines(output) == [*done(*SIX, "typo", "other"), ("bad", "failed"), ("slow", "failed")]


def test_a_run_that_ends_at_once_leaves_the_others_their_lines(quick, tmp_path):
    output = tmp_path / "run"
    quick.run(output, *SIX)

    def interrupted(row):
        raise KeyboardInterrupt

    quick.on_row = interrupted
    with pytest.raises(KeyboardInterrupt):
        quick.run(output, "new", SIX[0])
    assert lines(output) == done(SIX[0], *SIX[1:])


def test_a_fresh_start_begins_an_empty_table(quick, tmp_path):
    output = tmp_path / "run"
    quick.run(output, *SIX, "bad", quick.unread("typo"))
    quick.run(output, "row0", fresh=True)
    assert lines(output) == done("row0")
    quick.run(output, "row0", "row1")
    assert lines(output) == done("row0", "row1")


def test_runs_at_once_hold_the_rows_of_both(quick, tmp_path):
    output = tmp_path / "run"
    quick.run(output, "before", "bad-before")

    def other_run(row):
        quick.on_row = lambda row: None
        quick.run(output, "theirs", "bad-theirs", quick.unread("their-typo"), quick.row("both", seed=1))

    quick.on_row = other_run
    quick.run(output, "ours", quick.row("both", seed=2))
    assert sorted(lines(output)) == sorted(
        [
            *done("before", "theirs", "ours", "both"),
            *((name, "failed") for name in ("bad-before", "bad-theirs", "their-typo")),
        ]
    )


def test_a_manifest_that_was_written_over_takes_up_what_the_ledger_has(quick, tmp_path):
    output = tmp_path / "run"
    quick.run(output, "a", "bad")
    older = (output / "manifest.parquet").read_bytes()
    quick.run(output, "b", quick.row("a", seed=1), quick.unread("typo"))
    (output / "manifest.parquet").write_bytes(older)
    quick.run(output, "c")
    assert lines(output) == [*done("c"), ("bad", "failed"), *done("a", "b")]
    assert commit_folder(output, "a") == (output / "a.mp4").resolve().parent.name


def test_rows_are_counted_whatever_became_of_them(quick, tmp_path):
    output = tmp_path / "run"

    def killed(row):
        if row.name == "e":
            raise SystemExit

    quick.on_row = killed
    with pytest.raises(SystemExit):
        quick.run(output, "a", "b", "bad", "slow", quick.unread("typo"), "e", "f")
    for _ in range(2):
        state = state_of(Ledger(open_store(output)), pytest.fail)
        assert (state.wanted, state.made, len(state.failed), state.missing) == (7, 2, 3, 2)
        assert sorted((row.name, row.stage, row.source) for row in state.failed) == [
            ("bad", "generate", "bad.json"),
            ("slow", "write", "slow.json"),
            ("typo", "read", "typo.json"),
        ]
        (output / "manifest.parquet").unlink(missing_ok=True)  # the ledger says the same


def shown(output: Path) -> dict[str, str]:
    """Files of clips by the names that people look for: the folder of the attempt that made them."""
    return {path.name: path.readlink().parts[1] for path in sorted(output.iterdir()) if path.is_symlink()}


def named(row: Row, name: str) -> Row:
    """A row that is called otherwise."""
    assert row.spec is not None
    return replace(row, name=name, spec=row.spec.model_copy(update={"name": name}))


def test_no_row_of_a_later_command_takes_the_names_of_another_ones_files(quick, tmp_path):
    output = tmp_path / "run"
    quick.run(output, "clip", "clip_b")
    before = shown(output)
    for name, rule in (
        ("CLIP", "is one file with 'clip', which this run folder has, on disks that don't tell A from a"),
        ("clip_control_edge", "clashes with the files of 'clip', which this run folder has"),
        ("Clip_B", "is one file with 'clip_b', which"),
    ):
        summary = quick.run(output, named(quick.row("other", seed=7), name)).summary
        assert (summary.done, summary.failed) == (0, 1)
        assert f"name {name!r} {rule}" in summary.failures[0].message
        assert {name: place for name, place in shown(output).items() if name in before} == before
    assert quick.run(output, named(quick.row("clip_input"), "clip_c"), "clip").summary.failed == 0


def test_links_show_what_counts_and_under_no_other_name(quick, tmp_path):
    output = tmp_path / "run"
    row = quick.row("a")
    quick.run(output, row, "b")
    before = shown(output)
    renamed = quick.run(output, named(row, "z"))
    assert renamed.warnings == ["renamed, for nothing else of the row differs: a to z"]
    expected = {name.replace("a", "z", 1) if name.startswith("a") else name: place for name, place in before.items()}
    assert shown(output) == expected
    changed = replace(quick.row("z", seed=9), name="z")
    quick.run(output, changed)
    assert set(shown(output)) == set(expected)
    assert not set(place for name, place in shown(output).items() if name.startswith("z")) & set(before.values())
