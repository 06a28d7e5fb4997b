"""`airshower runs`, on ledgers written as runs write them."""

import hashlib
import json
import re
from pathlib import Path

import pytest

from airshower.cluster.store import open_store
from airshower.configs.records import Commit, Failure, OutputFile, RunRecord
from airshower.pipelines.folder_manifest import Manifest
from airshower.pipelines.ledger.ledger import Ledger, chunks_folder
from airshower.pipelines.ledger.run_records import RunRecords

CUT_SHORT = f"c-{'2' * 32}"


@pytest.fixture
def run(tmp_path) -> Path:
    ledger = Ledger(open_store(tmp_path / "run"))
    ledger.require()
    command = ("airshower", "generate", "rows.jsonl", "--output", str(tmp_path / "run"), "--fresh")
    RunRecords(ledger).begin(
        RunRecord(
            run="1",
            begun="2026-01-01T00:00:00+00:00",
            command=command,
            working_directory=str(tmp_path),
            rows=3,
            version="0",
        ),
        b"".join(bytes.fromhex(key * 32) for key in ("aa", "bb", "cc")),
    )
    clip = tmp_path / "run" / "data" / f"a-{'1' * 32}" / "a.mp4"
    clip.parent.mkdir(parents=True)
    clip.write_bytes(b"clip")
    ledger.commit(commit("aa" * 32))
    for attempt in (1, 1):
        ledger.fail(failure("bb" * 32, attempt))
    ledger.fail(failure("aa" * 32, 1))
    for key in ("aa" * 32, "cc" * 32):  # the first is made
        ledger.store.write(f"{chunks_folder(key)}/0", b"chunk")
    for folder in (CUT_SHORT, "theirs"):
        (tmp_path / "run" / "data" / folder).mkdir()
        (tmp_path / "run" / "data" / folder / "c.mp4").write_bytes(b"cut sho")
    Manifest(ledger, "1").settle({}, {}, pytest.fail)
    return tmp_path / "run"


def commit(key: str) -> Commit:
    digest = hashlib.sha256(b"clip").hexdigest()
    return Commit(
        key=key,
        name="a",
        run="1",
        nonce="1" * 32,
        folder=f"data/a-{'1' * 32}",
        files={"a.mp4": OutputFile(size_bytes=4, sha256=digest)},
        outputs={"video": "a.mp4"},
        frames=1,
        fps=1,
        height=2,
        width=2,
        chunks=1,
        seconds={},
        node="here",
    )


def failure(key: str, attempt: int) -> Failure:
    return Failure(
        key=key,
        name="b",
        source="rows.jsonl line 2",
        run="1",
        attempt=attempt,
        stage="prepare",
        type="ValueError",
        message="b.mp4: no such file",
    )


def test_runs_are_listed_and_shown_with_their_failures_by_cause(run, call):
    code, out, _ = call("runs", "list", str(run.parent))
    assert code == 0
    assert re.search(r"run +│ 3 +│ 1 +│ 1 +│ 1 +│ 1 +│ 2026-01-01", out)
    code, out, _ = call("runs", "show", str(run), "--failed", "--verify")
    assert code == 0
    assert "3 wanted, 1 made, 1 failed, 1 missing" in out
    assert "failed b in prepare (rows.jsonl line 2): b.mp4: no such file" in out
    assert "all files of 1 clips are as committed" in out


def test_what_failed_is_found_again_whatever_stage_it_was(quick, call, tmp_path):
    output = tmp_path / "runs" / "night"
    quick.run(output, "a", "bad", "slow", quick.unread("typo"))
    code, out, _ = call("runs", "list", str(tmp_path / "runs"), "--json")
    assert code == 0
    (listed,) = json.loads(out)
    assert listed.pop("begun")
    assert listed == {"run": "night", "wanted": 4, "made": 1, "failed": 3, "missing": 0, "runs": 1}
    code, out, _ = call("runs", "show", str(output), "--failed", "--json")
    assert code == 0
    shown = json.loads(out)
    assert (shown["failed"], shown["missing"], shown["damage"], shown["runs"][0]["rows"]) == (3, 0, [], 4)
    assert shown["failures"][0] == {
        "name": "bad",
        "stage": "generate",
        "type": "RuntimeError",
        "message": "can't make that",
        "source": "bad.json",
    }
    assert [(row["name"], row["stage"]) for row in shown["failures"][1:]] == [("slow", "write"), ("typo", "read")]
    causes = json.loads(call("runs", "show", str(output), "--json")[1])["causes"]
    assert sorted((cause["stage"], cause["rows"]) for cause in causes) == [("generate", 1), ("read", 1), ("write", 1)]
    assert call("runs", "list", str(tmp_path / "inputs"), "--json")[:2] == (0, "[]\n")


def test_a_file_that_is_not_as_it_was_committed_is_found(run, call):
    next(run.glob("data/a-*/a.mp4")).write_bytes(b"else")
    code, out, _ = call("runs", "show", str(run), "--verify")
    assert code == 1
    assert "a.mp4 has other content than was committed" in out


def test_cleaning_removes_what_no_commit_names(run, call):
    assert "would remove" in call("runs", "clean", str(run), "--dry-run")[1]
    assert (run / "data" / CUT_SHORT).exists()
    assert (
        "1 folders of attempts without a commit, 1 of chunks of clips that are made"
        in call("runs", "clean", str(run))[1]
    )
    assert [path.name for path in (run / "ledger" / "chunks").iterdir()] == ["cc" * 32]
    assert sorted(path.parent.name for path in run.glob("data/*/*.mp4")) == [f"a-{'1' * 32}", "theirs"]


def test_retry_runs_the_last_command_for_what_failed(run, call):
    code, _, errors = call("runs", "retry", str(run))
    assert code == 2  # rows.jsonl is gone
    assert f"airshower generate rows.jsonl --output {run} --retry-failed --output {run}" in errors
    assert "--fresh" not in errors


def test_rows_of_standard_input_cannot_be_retried(run, call):
    command = ("airshower", "generate", "-", "--output", str(run))
    ledger = Ledger(open_store(run))
    RunRecords(ledger).begin(
        RunRecord(run="2", begun="2026", command=command, working_directory=str(run.parent), rows=1, version="0")
    )
    code, _, errors = call("runs", "retry", str(run))
    assert code == 2
    assert "its rows came from standard input and aren't kept: generate them with --retry-failed" in errors


def test_a_folder_without_a_ledger_and_one_of_another_version_are_one_line(run, tmp_path, call):
    assert "no ledger here" in call("runs", "show", str(tmp_path))[2]
    (run / "ledger" / "ledger.json").write_text('{"format": 99}')
    code, _, errors = call("runs", "show", str(run))
    assert code == 2
    assert "its ledger has format 99, this version of Airshower writes format 2" in errors
