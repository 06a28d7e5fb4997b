"""Generation from weights in their published form: small ones of the same networks, through the command line."""

import json
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from airshower.configs.presets import PRESETS, transfer25_2b
from airshower.configs.spec import CONTROLS, ClipSpec
from airshower.models.model_parts import open_parts
from airshower.models.weights import WeightsError
from airshower.pipelines.media import read_video, write_video
from airshower.platform.cli import main
from tests.models.checkpoints.small import WITH_IMAGE, published, random_network
from tests.small_published import save_small_published
from tests.small_siglip import save_small_siglip

CPU = torch.device("cpu")
FLAGS = ["--resolution", "144", "--num-steps", "2", "--num-video-frames-per-chunk", "5", "--device", "cpu"]
FLAGS += ["--replicas", "1"]


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A folder of weights, some laid down as files and some as a download leaves them; depth is not there."""
    folder = tmp_path_factory.mktemp("weights")
    save_small_published(folder)
    return folder


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rows")
    frames = np.random.default_rng(0).integers(0, 255, (5, 144, 256, 3), np.uint8)
    write_video(folder / "in.mp4", frames, 10)
    for control in CONTROLS[:2]:
        row = {"prompt": "rain", "video_path": "in.mp4", control: {}}
        (folder / f"{control}.json").write_text(json.dumps(row))
    row = {"prompt": "rain", "video_path": "in.mp4", "depth": {"control_path": "in.mp4"}}
    (folder / "depth.json").write_text(json.dumps(row))
    return folder


@pytest.mark.cluster
def test_each_row_is_made_by_the_network_of_its_controls(weights, rows, tmp_path, capsys):
    call = ["generate", str(rows), "--model", "transfer2.5-2b", "--weights", str(weights), "--output", str(tmp_path)]
    with pytest.raises(SystemExit, match=r"^1$"):
        main([*call, *FLAGS])
    summary = capsys.readouterr().out
    assert "2 done, 1 failed" in summary
    assert (
        f"no transfer2.5-2b-depth here: `airshower checkpoint download transfer2.5-2b-depth --to {weights}" in summary
    )
    records = {name: json.loads((tmp_path / f"{name}.json").read_text()) for name in ("edge", "vis")}
    assert {name: record["model"]["network"] for name, record in records.items()} == {"edge": "edge", "vis": "vis"}
    assert records["edge"]["model"]["sha256"] != records["vis"]["model"]["sha256"]
    assert read_video(str(tmp_path / "vis.mp4")).frames.shape == (5, 144, 256, 3)


@pytest.mark.cluster
def test_weights_come_from_a_bucket(weights, rows, tmp_path, capsys, bucket):
    for file in weights.rglob("*"):
        if file.is_file() and "seg" not in file.name:
            bucket.upload_file(str(file), "drives", f"weights/{file.relative_to(weights).as_posix()}")
    call = ["generate", str(rows), "--model", "transfer2.5-2b", "--output", str(tmp_path), *FLAGS]
    with pytest.raises(SystemExit, match=r"^1$"):
        main([*call, "--weights", "s3://drives/weights"])
    said = capsys.readouterr()
    assert "fetching s3://drives/weights/transfer2.5-2b-edge.pt: 0 of " in said.err
    assert "2 done, 1 failed" in said.out
    assert "s3://drives/weights: no transfer2.5-2b-depth here: put there what `airshower checkpoint" in said.out
    assert json.loads((tmp_path / "edge.json").read_text())["model"]["weights"] == "s3://drives/weights"
    with pytest.raises(SystemExit, match=r"^2$"):
        main([*call, "--weights", "s3://drives/nowhere"])
    assert "s3://drives/nowhere/ does not exist" in capsys.readouterr().err


@pytest.mark.cluster
def test_a_distilled_network_takes_a_few_steps_without_guidance(weights, rows, tmp_path, capsys):
    folder, specs = tmp_path / "weights", tmp_path / "specs"
    folder.mkdir()
    specs.mkdir()
    for file in weights.iterdir():
        name = file.name.replace("edge.pt", "edge-distilled.pt")
        (folder / name).symlink_to(file)
    row = json.loads((rows / "edge.json").read_text()) | {"video_path": str(rows / "in.mp4")}
    row["num_video_frames_per_chunk"] = 5
    for name, more in (("plain", {}), ("guided", {"guidance": 3}), ("steps", {"num_steps": 5})):
        (specs / f"{name}.json").write_text(json.dumps({"num_steps": 2} | row | more))
    (specs / "long.json").write_text(json.dumps({"num_steps": 2, **row, "num_video_frames_per_chunk": 1}))
    flags = ["--model", "transfer2.5-2b-distilled", "--resolution", "144", "--device", "cpu", "--replicas", "1"]
    call = ["generate", str(specs), "--weights", str(folder), "--output", str(tmp_path / "run"), *flags]
    with pytest.raises(SystemExit, match=r"^1$"):
        main([*call, "--max-frames", "5"])
    summary = " ".join(capsys.readouterr().out.split())
    assert "1 done, 3 failed" in summary
    assert "guidance: transfer2.5-2b-distilled is sampled without guidance: remove it" in summary
    assert "num_steps 5: transfer2.5-2b-distilled takes 4 at most" in summary
    assert "5 frames take 5 chunks, and transfer2.5-2b-distilled was trained on single ones" in summary
    parts = open_parts(PRESETS["transfer2.5-2b-distilled"], str(folder))
    assert parts.network("edge", CPU, torch.float32).config.timestep_scale == 1.0


@pytest.mark.cluster
def test_a_style_image_counts_and_needs_its_encoder(weights, rows, tmp_path, capsys):
    styled = json.loads((rows / "edge.json").read_text()) | {
        "video_path": str(rows / "in.mp4"),
        "context_frame_index": 2,
    }
    (tmp_path / "styled.json").write_text(json.dumps(styled))
    (tmp_path / "plain.json").write_text(json.dumps({**styled, "context_frame_index": None}))
    flags = ["--model", "transfer2.5-2b", "--output", str(tmp_path / "run"), *FLAGS]
    with_encoder = _with_style_encoder(weights, tmp_path / "weights")
    for rows_of, folder, code in (("styled.json", weights, 1), ("", with_encoder, 0)):
        with pytest.raises(SystemExit, match=f"^{code}$"):
            main(["generate", str(tmp_path / rows_of), "--weights", str(folder), *flags])
    assert "styled: " in (summary := capsys.readouterr().out)
    assert "no siglip2 here: `airshower checkpoint download siglip2" in summary
    hashes = {
        json.loads((tmp_path / "run" / f"{name}.json").read_text())["frames_sha256"] for name in ("styled", "plain")
    }
    assert len(hashes) == 2


def _with_style_encoder(weights, folder):
    folder.mkdir()
    for file in weights.iterdir():
        (folder / file.name).symlink_to(file)
    save_small_siglip(folder / "siglip2", width=WITH_IMAGE.image.channels)
    return folder


@pytest.mark.cluster
def test_rows_leave_controls_and_masks_to_annotators(weights, annotators, rows, tmp_path, capsys):
    row = {"prompt": "a red car", "video_path": str(rows / "in.mp4"), "max_frames": 3}
    specs = tmp_path / "specs"
    specs.mkdir()
    for name, control in (
        ("plain", {"vis": {}}),
        ("masked", {"edge": {"mask_prompt": "car"}}),
        ("seg", {"seg": {"control_prompt": "tree"}}),
        ("nothing", {"edge": {"mask_prompt": "..."}}),
    ):
        (specs / f"{name}.json").write_text(json.dumps(row | control))
    output = tmp_path / "run"
    flags = ["--model", "transfer2.5-2b", "--weights", str(weights), "--output", str(output), *FLAGS]
    runs = (("seg.json", [], "0 done, 1 failed"), ("", ["--annotators", str(annotators)], "3 done, 1 failed"))
    for rows_of, more, result in runs:
        with pytest.raises(SystemExit, match=r"^1$"):
            main(["generate", str(specs / rows_of), *flags, *more])
        assert result in (summary := capsys.readouterr().out)
        if not more:
            assert "in annotate: seg: seg.control_prompt: " in summary
            assert f"`airshower checkpoint download grounding-dino --to {weights / 'grounding-dino'}`" in summary
    assert "in annotate: nothing: edge.mask_prompt: the prompt '...' has no word" in summary

    entries = {entry["name"]: entry for entry in pq.read_table(output / "manifest.parquet").to_pylist()}
    assert entries["masked"]["seconds_annotate"] > 0
    assert entries["plain"]["seconds_annotate"] is None
    assert entries["nothing"]["error_stage"] == "annotate"
    records = {name: json.loads((output / f"{name}.json").read_text()) for name in ("plain", "masked", "seg")}
    assert {name: sorted(record["annotators"]) for name, record in records.items()} == {
        "plain": [],
        "masked": ["grounding-dino", "sam2"],
        "seg": ["grounding-dino", "sam2"],
    }
    assert records["masked"]["outputs"]["mask_edge"] == "masked_mask_edge.mp4"
    assert read_video(str(output / "masked_mask_edge.mp4")).frames.shape == (3, 144, 256, 3)
    assert read_video(str(output / "seg_control_seg.mp4")).frames.std() > 0
    assert not (output / "plain_mask_vis.mp4").exists()
    assert "masked_mask_edge.mp4" in (output / "index.html").read_text()


def test_several_controls_share_a_network_without_image_branch(weights, tmp_path):
    for file in weights.iterdir():
        (tmp_path / file.name).symlink_to(file)
    branch = replace(WITH_IMAGE.control, branches=("depth",))
    depth = published(random_network(replace(WITH_IMAGE, control=branch), seed=9))
    torch.save(depth, tmp_path / "transfer2.5-2b-depth.pt")
    parts = open_parts(transfer25_2b(), str(tmp_path))
    name = parts.network_of(("edge", "depth"))
    net = parts.network(name, CPU, torch.float32)
    assert tuple(net.branches) == CONTROLS
    assert net.config.image is None
    assert torch.equal(net.branches["depth"].embedder.proj[1].weight, depth["net.control_embedder.proj.1.weight"])


def test_several_controls_take_no_style_image():
    row = {"name": "a", "prompt": "rain", "video_path": "/in.mp4", "edge": {}, "depth": {"control_path": "/d.mp4"}}
    spec = ClipSpec.model_validate(row | {"context_frame_index": 3})
    with pytest.raises(ValueError, match="context_frame_index: the network of several controls takes no style image"):
        spec.resolved(transfer25_2b())


def test_two_files_for_one_part_are_refused(weights, tmp_path):
    for file in weights.iterdir():
        (tmp_path / file.name).symlink_to(file)
    (tmp_path / "transfer2.5-2b-edge.safetensors").write_bytes(b"")
    with pytest.raises(WeightsError, match=r"holds transfer2\.5-2b-edge\.pt, transfer2\.5-2b-edge\.safetensors: leave"):
        open_parts(transfer25_2b(), str(tmp_path)).require()


def test_weights_have_to_be_named():
    with pytest.raises(WeightsError, match=r"airshower checkpoint download transfer2\.5-2b --to DIR"):
        open_parts(transfer25_2b(), None)
