"""The command line as a user meets it: exit codes, one-line errors, help, and a run from specs to gallery."""

import itertools
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pyarrow.parquet as pq
import pytest
import typer
from ray.exceptions import RaySystemError

import airshower
from airshower.configs.multiview_spec import MultiviewSpec
from airshower.configs.presets import tiny_transfer
from airshower.configs.spec import CONTROLS, ClipSpec
from airshower.pipelines.rows import read_rows
from airshower.platform import cli
from airshower.platform.clip_flags import clip_flags, overrides_from

ROOT = Path(__file__).parents[2]


def test_help_names_every_field_with_its_default(call):
    code, help_text, _ = call("generate", "--help")
    words = " ".join(re.sub(r"[│╭╮╰╯─]", " ", help_text).split())
    assert code == 0
    for name, field in ClipSpec.model_fields.items():
        if name not in (*CONTROLS, "name", "output_dir", "sigma_max"):
            assert f"--{name.replace('_', '-')}" in help_text
            assert (field.description or "").split(";")[0].split()[-1] in words
    for control in CONTROLS:
        assert f"--{control}.control-weight" in help_text
        assert f"--{control} " in help_text
    assert "Seed of the noise, 0..2^32-1; one seed and row mean one video; default: 2025" in words
    assert all("default:" in flag.help() or flag.value is False for flag in clip_flags())
    for panel in ("Run", "Clip settings", "Edge", "Vis", "Depth", "Seg"):
        assert f"─ {panel} " in help_text


@pytest.mark.parametrize("command", ["generate", "plan", "runs show", "checkpoint inspect"])
def test_help_wraps_with_the_terminal(command):
    """A paragraph's line ends where its next word doesn't fit, not where the source's line ended."""
    run = subprocess.run(
        [sys.executable, "-m", "airshower", *command.split(), "--help"],
        env={**os.environ, "COLUMNS": "80", "TERM": "dumb"},
        capture_output=True,
        text=True,
        check=True,
    )
    text = run.stdout.partition("╭─")[0].partition("Usage:")[2]
    for paragraph in text.split("\n" + " " * 80 + "\n")[1:]:
        lines = [line.strip() for line in paragraph.splitlines()]
        for line, after in itertools.pairwise(line for line in lines if line):
            assert len(line) + 1 + len(after.split()[0]) > 78
    assert "<bool>" not in run.stdout


def test_a_hint_names_the_command_that_helps(call):
    assert call("generate", "--bogus")[2].endswith("(airshower generate --help explains the flags)\n")
    assert call("generate", "rows.json", "-o")[2].endswith("(airshower generate --help explains the flags)\n")
    assert call("runs", "show")[2].endswith("(airshower runs show --help explains the flags)\n")


@pytest.mark.parametrize("flags", [("--output", ""), ("-o", ""), ("--output=",)])
def test_an_empty_output_is_not_the_working_directory(call, tmp_path, monkeypatch, flags):
    monkeypatch.chdir(tmp_path)
    for command in ("generate", "train", "evaluate", "plan"):
        code, _, errors = call(command, *flags)
        assert (code, errors) == (2, "airshower: --output is empty: give a folder, or . for the working directory\n")
    assert list(tmp_path.iterdir()) == []


def test_flags_become_overrides_of_the_row_format():
    given = {"clip__seed": 3, "clip__edge__control_weight": 0.5, "no_clip__show_input": True, "clip__guidance": None}
    assert overrides_from(given) == {"seed": 3, "edge.control_weight": 0.5, "show_input": False}
    assert overrides_from({"clip__edge": True, "clip__depth": None}) == {"edge": {}}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["generate", "x.json", "--guidance", "9"], "guidance 9 .*use 0..7"),
        (["generate", "x.json", "--edge.preset-edge-threshold", "hard"], "edge.preset_edge_threshold .*'very_low'"),
        (["generate", "x.json", "--sed", "3"], "--sed"),
        (["generate", "x.json", "--seed", "three"], "'--seed'.*integer"),
        (["generate", "x.json", "--show-input", "--no-show-input"], "--no-show-input and its opposite"),
        (["generate", "x.json", "--device", "tpu"], "tpu.*cuda"),
        (["generate", "x.json", "--model", "huge"], "model 'huge' is unknown: use one of tiny-transfer"),
        (["generate", "nowhere.json", "--output", "run"], r"nowhere\.json does not exist: give"),
        (["generate"], "SPECS"),
        (["paint"], "paint"),
    ],
)
def test_wrong_calls_end_with_2_and_one_line(call, arguments, message):
    code, _, errors = call(*arguments)
    assert code == 2
    assert re.fullmatch(rf"airshower: .*({message}).*\n", errors), errors


def test_verbose_adds_the_traceback(call):
    code, _, errors = call("generate", "nowhere.json", "--output", "run", "--verbose")
    assert code == 2
    assert "Traceback" in errors
    assert errors.splitlines()[-1].startswith("airshower: nowhere.json does not exist")


def test_what_ray_raises_is_no_bug_of_ours(call, monkeypatch):
    app = typer.Typer(add_completion=False)

    @app.command()
    def overloaded() -> None:
        raise RaySystemError("Failed to connect to GCS")

    monkeypatch.setattr(cli, "app", app)
    code, _, errors = call()
    assert code == 1
    assert errors.startswith("airshower: Ray: System error: Failed to connect to GCS: the machine may be overloaded")
    assert "bug" not in errors


def test_a_working_directory_that_is_gone_is_one_line(tmp_path):
    gone = tmp_path / "gone"
    gone.mkdir()
    run = "from airshower.platform.cli import main; main(['--version'])"
    script = f"import os; os.chdir({str(gone)!r}); os.rmdir({str(gone)!r}); {run}"
    ended = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 2
    assert re.fullmatch(r"airshower: the working directory is gone \(.*\): change to another one\n", ended.stderr)


def test_an_output_that_cannot_be_written_ends_with_2(call, tmp_path):
    (tmp_path / "row.json").write_text('{"prompt": "rain", "sed": 3}')
    (tmp_path / "file").write_text("in the way")
    code, _, errors = call("generate", str(tmp_path / "row.json"), "--output", str(tmp_path / "file" / "run"))
    assert code == 2
    assert re.fullmatch(r"airshower: .*file/run: can't be written.*\n", errors.splitlines(keepends=True)[-1])


def test_rows_that_all_fail_end_with_1_a_summary_and_a_gallery(call, tmp_path):
    rows = [json.dumps({"prompt": "rain", "edge": {}, "video_path": "no.mp4", "sed": index}) for index in range(12)]
    (tmp_path / "rows.jsonl").write_text("\n".join(rows))
    code, summary, errors = call("generate", str(tmp_path / "rows.jsonl"), "-o", str(tmp_path / "run"))
    lines = summary.splitlines()
    assert code == 1
    assert lines[0].startswith("0 done, 12 failed in 0:0")
    assert len([line for line in lines if "'sed' is not a field: did you mean 'seed'?" in line]) == 10
    assert "  and 2 more in manifest.parquet" in lines
    assert lines[-2:] == [f"gallery   {tmp_path}/run/index.html", f"manifest  {tmp_path}/run/manifest.parquet"]
    assert pq.read_table(tmp_path / "run" / "manifest.parquet").column("status").to_pylist() == ["failed"] * 12
    assert "did you mean" in (tmp_path / "run" / "index.html").read_text()
    assert "\x1b" not in summary + errors


def write_street(path: Path, frames: int) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 128, 72, "yuv420p"
        picture = np.random.default_rng(0).integers(0, 256, (72, 128, 3), dtype=np.uint8)
        for index in range(frames):
            moved = np.roll(picture, index, axis=1)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(moved, format="rgb24")))
        container.mux(stream.encode())


@pytest.mark.cluster
@pytest.mark.usefixtures("cluster")
def test_specs_become_clips_beside_rows_that_fail(call, tmp_path, random_model):
    write_street(tmp_path / "street.mp4", frames=9)
    (tmp_path / "cut.mp4").write_bytes((tmp_path / "street.mp4").read_bytes()[:500])
    (tmp_path / "good.json").write_text('{"prompt": "rain", "video_path": "street.mp4", "vis": {}, "seed": 1}')
    (tmp_path / "bad.json").write_text('{"prompt": "fog", "video_path": "cut.mp4", "edge": {}}')
    settings = (
        "--weights",
        str(random_model),
        "--replicas",
        "1",
        "--max-frames",
        "5",
        "--num-steps",
        "1",
        "--seed",
        "7",
    )
    code, summary, errors = call("generate", str(tmp_path), "-o", str(tmp_path / "run"), *settings)
    assert code == 1
    assert re.match(
        r"1 done, 1 failed in \d+:\d\d \(\d+\.\d clips/min\)\n  failed in prepare: bad: .*cut\.mp4", summary
    )
    assert "\x1b" not in summary + errors
    record = json.loads((tmp_path / "run" / "good.json").read_text())
    assert (record["seed"], record["frames"], record["spec"]["num_steps"]) == (7, 5, 1)
    page = (tmp_path / "run" / "index.html").read_text()
    assert re.search(r'data-src="data/good-\w+/good_control_vis\.mp4"', page)


@pytest.mark.cluster
def test_ctrl_c_stops_cleanly_with_130(tmp_path, random_model):
    write_street(tmp_path / "street.mp4", frames=33)
    (tmp_path / "row.json").write_text('{"prompt": "rain", "video_path": "street.mp4", "edge": {}, "num_steps": 1000}')
    words = f"-m airshower generate row.json -o run --weights {random_model}"
    command = [sys.executable, *words.split()]
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # ignored, where these tests run behind an `&`
    )
    lines = []
    for line in process.stderr or ():
        lines.append(line)
        if "replica on cpu" in line:
            process.send_signal(signal.SIGINT)
            os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all processes; and `timeout` to one before
    assert process.wait(timeout=60) == 130
    assert lines[-1] == f"airshower: stopped after 0 of 1 clips: see {tmp_path}/run/index.html\n"
    assert "Traceback" not in "".join(lines)


def test_sample_scenes_are_rows_that_can_be_read(call, tmp_path):
    shape = ("--frames", "3", "--size", "64x48", "--weather", "rain")
    code, summary, _ = call("data", "sample", str(tmp_path / "scenes"), "--clips", "2", "--seed", "5", *shape)
    assert code == 0
    assert summary.startswith("2 scenes in 0:0")
    rows = read_rows([str(tmp_path / "scenes")], overrides={}, preset=tiny_transfer())
    assert [row.error for row in rows] == [None, None]
    assert [frame.width for frame in av.open(str(rows[0].spec.video_path)).decode(video=0)] == [64, 64, 64]


@pytest.mark.parametrize(("flag", "value"), [("--size", "big"), ("--size", "63x48"), ("--weather", "lava")])
def test_wrong_sample_settings_end_with_2_and_one_line(call, tmp_path, flag, value):
    code, _, errors = call("data", "sample", str(tmp_path / "scenes"), flag, value)
    assert code == 2
    assert re.fullmatch(rf"airshower: .*{value[:2]}.*\n", errors), errors


def test_schema_is_the_row_formats(call):
    code, text, _ = call("spec", "schema")
    assert code == 0
    kinds = [set(kind["properties"]) for kind in json.loads(text)["anyOf"]]
    assert kinds == [set(ClipSpec.model_fields), set(MultiviewSpec.model_fields)]


def test_version(call):
    assert call("--version") == (0, f"airshower {airshower.__version__}\n", "")


def test_the_command_loads_no_heavy_library():
    code = "import sys, airshower.platform.cli; print([n for n in ('torch', 'ray', 'cv2', 'av') if n in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    assert result.stdout.strip() == "[]"


def test_the_driver_of_a_run_leaves_torch_to_its_workers():
    code = "import sys, airshower.pipelines.graph; print('torch' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"


def test_memory_is_known_without_a_gpu(call):
    row = "configs/examples/street_edge.json"
    code, table, _ = call("memory", row, "--model", "transfer2.5-2b", "--gpu-gib", "24")
    assert code == 0
    title, *lines = table.splitlines()
    assert title == "transfer2.5-2b: 1280x704, 93 frames, 1 control (street_edge)"
    fits = {line.split()[0]: line.split()[-1] == "fits" for line in lines[1:]}
    assert fits["none"] is False
    assert fits["text"] is fits["text,dit"] is True
    assert call("memory", row, "--model", "transfer2.5-2b", "--gpu-gib", "3")[0] == 1
    assert call("memory", row, "--gpu-gib", "3")[0] == 0  # the tiny model


def test_a_clip_that_the_host_cannot_hold_is_known_beforehand(call, monkeypatch):
    monkeypatch.setattr("airshower.pipelines.decoding.limits.machine_memory_bytes", lambda: 7 * 10**8)
    row = "configs/examples/street_edge.json"
    assert call("memory", row, "--gpu-gib", "24", "--resolution", "720")[0] == 0
    code, table, _ = call("memory", row, "--gpu-gib", "24", "--resolution", "1080")
    assert code == 1
    assert "host memory: 0.2 GiB for the frames of a file (street_edge), of 0.2 GiB that one may take" in table
    assert "more than is read: set max_frames, or take a smaller resolution" in table


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--offload", "dit,vae"], "offload 'vae' is unknown: use text, autoencoder, dit"),
        (["--offload", "dit", "--device", "cpu"], "offload dit: the model runs on a CPU"),
        (["--offload", "autoencoder", "--offload", "text"], "offload text: the text encoder of tiny-transfer runs on"),
    ],
)
def test_offloading_what_is_not_on_a_gpu_is_refused(call, tmp_path, flags, message):
    code, _, errors = call("generate", "configs/examples/street_edge.json", "-o", str(tmp_path / "run"), *flags)
    assert code == 2
    assert re.fullmatch(rf"airshower: {message}.*\n", errors), errors
