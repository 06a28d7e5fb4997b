"""`airshower checkpoint list` and `download` as a user sees them, against a server on this machine.

Each command is a process of its own, since huggingface_hub reads its environment when it is imported.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from airshower.configs.annotators import ANNOTATORS
from airshower.configs.presets import transfer25_2b
from airshower.configs.published import PUBLISHED
from airshower.models.annotators.folder import AnnotatorFolder
from airshower.models.model_parts import open_parts
from airshower.platform.cli import main
from tests.cluster import hub_server
from tests.cluster.hub_server import COMMIT

ROOT = Path(__file__).parent.parent.parent
EDGE = "general/edge/61f5694b-0ad5-4ecd-8ad7-c8545627d125_ema_bf16.pt"
OLDER_EDGE = "general/edge/ecd0ba00-1111-2222-3333-444444444444_ema_bf16.pt"
WEIGHTS = os.urandom(300_000)
CHUNK_BYTES = 10 * 2**20  # what huggingface_hub reads at a time, and so the unit in which it goes on


@pytest.fixture
def hub():
    with hub_server.running() as server:
        server.repos["nvidia/Cosmos-Transfer2.5-2B"] = {EDGE: WEIGHTS, OLDER_EDGE: b"older", "README.md": b"card"}
        server.repos["nvidia/Cosmos-Reason1-7B"] = {"config.json": b"{}", "parts/weights.pt": b"weights"}
        yield server


@pytest.fixture
def run(tmp_path, hub):
    def command(*arguments, **environment):
        return finished(started(tmp_path, hub, *arguments, **environment))

    return command


def started(tmp_path, hub, *arguments, **environment) -> subprocess.Popen:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    own = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home")}
    return subprocess.Popen(
        [sys.executable, "-m", "airshower", "checkpoint", "download", *map(str, arguments)],
        cwd=ROOT,
        env={**kept, **own, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finished(process: subprocess.Popen) -> subprocess.CompletedProcess:
    out, err = process.communicate(timeout=100)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def one_line(done) -> str:
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    lines = [line for line in done.stderr.splitlines() if line.startswith("airshower:")]
    assert len(lines) == 1, done.stderr
    assert "Traceback" not in done.stderr
    return lines[0]


def test_a_file_comes_into_the_cache_once(run, hub, tmp_path):
    first = run("transfer2.5-2b-edge")
    assert first.returncode == 0, first.stderr
    path = Path(first.stdout.removesuffix("\n"))
    assert path.read_bytes() == WEIGHTS
    assert path.is_relative_to(tmp_path / "home")
    again = run("transfer2.5-2b-edge")
    assert again.stdout == first.stdout
    assert len(hub.downloads()) == 1


def test_a_file_comes_into_a_folder_once(run, hub, tmp_path):
    for _ in range(2):
        done = run("transfer2.5-2b-edge", "--to", tmp_path / "weights")
        assert done.returncode == 0, done.stderr
        assert Path(done.stdout.strip()) == tmp_path / "weights" / EDGE
    assert (tmp_path / "weights" / EDGE).read_bytes() == WEIGHTS
    assert len(hub.downloads()) == 1


def test_a_file_that_was_not_fetched_is_kept(run, hub, tmp_path, monkeypatch):
    mine = tmp_path / "weights" / EDGE
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"mine")
    assert "it is kept: move it away, or choose another folder" in one_line(
        run("transfer2.5-2b-edge", "--to", tmp_path / "weights")
    )
    assert mine.read_bytes() == b"mine"
    assert hub.downloads() == []
    mine.unlink()
    assert run("transfer2.5-2b-edge", "--to", tmp_path / "weights").returncode == 0
    monkeypatch.setattr(hub_server, "COMMIT", 40 * "b")
    hub.repos["nvidia/Cosmos-Transfer2.5-2B"][EDGE] = WEIGHTS[::-1]  # published anew
    assert run("transfer2.5-2b-edge", "--to", tmp_path / "weights").returncode == 0
    assert mine.read_bytes() == WEIGHTS[::-1]


def test_two_processes_fetch_a_file_once(hub, tmp_path):
    hub.delay_s = 0.5
    arguments = (tmp_path, hub, "transfer2.5-2b-edge", "--to", tmp_path / "weights")
    both = [finished(process) for process in [started(*arguments), started(*arguments)]]
    assert [done.returncode for done in both] == [0, 0], both
    assert both[0].stdout == both[1].stdout
    assert len(hub.downloads()) == 1


def test_a_dropped_connection_is_taken_up_where_it_broke(run, hub):
    content = os.urandom(CHUNK_BYTES + 200_000)
    hub.repos["nvidia/Cosmos-Transfer2.5-2B"][EDGE] = content
    hub.dropped_after_bytes = [CHUNK_BYTES + 100_000]
    done = run("transfer2.5-2b-edge")
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).read_bytes() == content
    first, second = hub.downloads()
    assert "range" not in first
    assert second["range"] == f"bytes={CHUNK_BYTES}-"


def test_a_pattern_finds_its_file(run):
    done = run("transfer2.5-2b-edge-older")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith(OLDER_EDGE)


def test_a_whole_repository_comes_at_its_commit(run, tmp_path):
    done = run("reason1-7b")
    assert done.returncode == 0, done.stderr
    folder = Path(done.stdout.strip())
    assert folder.name == COMMIT
    assert {file.relative_to(folder).as_posix() for file in folder.rglob("*.*")} == {"config.json", "parts/weights.pt"}


def test_a_token_is_sent(run, hub):
    hub.token = "secret"
    assert "missing, private or gated" in one_line(run("transfer2.5-2b-edge"))
    assert run("transfer2.5-2b-edge", HF_TOKEN="secret").returncode == 0


def test_an_unknown_name_gets_near_ones(run, hub):
    assert "did you mean transfer2.5-2b-edge" in one_line(run("transfer2.5-2b-egde"))
    assert hub.requests == []


def test_a_missing_repository_is_named_with_what_was_reported(run):
    line = one_line(run("predict2-2b-multiview-720p-10fps"))
    assert "nvidia/Cosmos-Predict2-2B-Multiview is missing, private or gated" in line
    assert "reported as missing (Predict2 issue 175)" in line


def test_a_missing_file_is_named_with_what_is_there(run):
    line = one_line(run("transfer2.5-2b-multiview-hdmap"))
    assert "no file matches auto/multiview/4ecc66e9" in line
    assert EDGE in line


def test_a_pattern_that_fits_two_files_is_refused(run, hub):
    hub.repos["nvidia/Cosmos-Transfer2.5-2B"]["general/edge/ecd0ba00.pt"] = b"other"
    line = one_line(run("transfer2.5-2b-edge-older"))
    assert "2 files match general/edge/ecd0ba00*.pt" in line
    assert OLDER_EDGE in line


def test_a_missing_commit_is_named(run, hub, monkeypatch):
    monkeypatch.setattr(hub_server, "COMMIT", 40 * "b")
    assert "none of its 2 commits begin with 3210bec" in one_line(run("reason1-7b"))


@pytest.mark.parametrize("refusal", [(403, "GatedRepo"), (401, "GatedRepo"), (403, "")])
def test_a_gated_repository_says_what_to_accept(run, hub, refusal):
    hub.refusal = refusal
    line = one_line(run("transfer2.5-2b-edge"))
    assert f"accept its licence at {hub.url}/nvidia/Cosmos-Transfer2.5-2B" in line
    assert "hf auth login" in line


def test_a_server_that_is_down_is_named(run):
    line = one_line(run("transfer2.5-2b-edge", HF_ENDPOINT="http://127.0.0.1:9"))
    assert "the connection to http://127.0.0.1:9 failed" in line
    assert "HF_ENDPOINT" in line
    assert "HF_HUB_OFFLINE" in one_line(run("transfer2.5-2b-edge", HF_HUB_OFFLINE="1"))


def test_what_does_not_fit_is_not_begun(run, hub, tmp_path):
    hub.sizes[EDGE] = 10**18
    line = one_line(run("transfer2.5-2b-edge", "--to", tmp_path / "weights"))
    assert "needs 1000000000.0 GB" in line
    assert hub.downloads() == []


@pytest.mark.parametrize("folder", [(), ("--to", "weights")], ids=["cache", "folder"])
def test_a_wrong_checksum_removes_the_file(run, hub, tmp_path, folder):
    folder = tuple(str(tmp_path / one) if one == "weights" else one for one in folder)
    hub.corrupt = True
    assert "its repository states" in one_line(run("transfer2.5-2b-edge", *folder))
    hub.corrupt = False
    done = run("transfer2.5-2b-edge", *folder)
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).read_bytes() == WEIGHTS


def test_the_list_names_all(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["checkpoint", "list"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["name", "network", "repository", "file", "note"]
    assert [line.split()[0] for line in lines[1:]] == list(PUBLISHED)
    assert any("reported as missing (Predict2 issue 175)" in line for line in lines)


def test_the_list_is_there_for_machines(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["checkpoint", "list", "--json"])
    listed = json.loads(capsys.readouterr().out)
    assert [one["name"] for one in listed] == list(PUBLISHED)
    assert listed[0]["path"] == EDGE


def test_a_model_comes_with_all_its_parts(run, hub, tmp_path):
    for control in ("blur", "depth", "seg"):
        name = next(one.path for one in PUBLISHED.values() if one.path and one.path.startswith(f"general/{control}/"))
        hub.repos["nvidia/Cosmos-Transfer2.5-2B"][name] = control.encode()
    hub.repos["nvidia/Cosmos-Predict2.5-2B"] = {"tokenizer.pth": b"autoencoder"}
    for name in ("siglip2", *ANNOTATORS):
        hub.repos[PUBLISHED[name].repo] = {"config.json": b"{}"}
    done = run("transfer2.5-2b", "--to", tmp_path / "weights")
    assert (done.returncode, done.stdout.strip()) == (0, str(tmp_path / "weights")), done.stderr
    parts = open_parts(transfer25_2b(), str(tmp_path / "weights"))
    parts.require()
    assert len(parts.networks()) == 5
    annotators = AnnotatorFolder(tmp_path / "weights")
    assert [annotators.part(name).name for name in ANNOTATORS] == list(ANNOTATORS)
    assert "--to DIR" in one_line(run("transfer2.5-2b"))
