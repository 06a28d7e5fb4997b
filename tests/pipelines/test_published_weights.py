"""Generation from weights in their published form: small ones of the same networks, through the command line."""

import json
from contextlib import redirect_stdout
from dataclasses import replace
from io import StringIO

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
    for name, row in (
        ("edge", {"edge": {}}),
        ("vis", {"vis": {}}),
        ("depth", {"depth": {"control_path": "in.mp4"}}),
        ("styled", {"edge": {}, "context_frame_index": 2}),
        ("masked", {"edge": {"mask_prompt": "car"}, "max_frames": 3}),
        ("seg", {"seg": {"control_prompt": "tree"}, "max_frames": 3}),
        ("nothing", {"edge": {"mask_prompt": "..."}}),
    ):
        (folder / f"{name}.json").write_text(json.dumps({"prompt": "rain", "video_path": "in.mp4"} | row))
    return folder


class Run:
    """All rows, made with a folder of weights: what the command said at its end, and what it left behind."""

    def __init__(self, rows, weights, output, *flags):
        call = ["generate", str(rows), "--model", "transfer2.5-2b", "--weights", str(weights), "--output", str(output)]
        with redirect_stdout(StringIO()) as said, pytest.raises(SystemExit, match=r"^1$"):
            main([*call, *FLAGS, *flags])
        self.weights, self.output, self.summary = weights, output, said.getvalue()

    def record(self, name):
        return json.loads((self.output / f"{name}.json").read_text())


@pytest.fixture(scope="module")
def bare(shared_cluster, weights, rows, tmp_path_factory):
    """A run with nothing beside the networks."""
    shared_cluster.start()
    return Run(rows, weights, tmp_path_factory.mktemp("bare"))


@pytest.fixture(scope="module")
def complete(shared_cluster, weights, annotators, rows, tmp_path_factory):
    """A run with annotators and the style encoder."""
    shared_cluster.start()
    folder = tmp_path_factory.mktemp("with_style_encoder")
    for file in weights.iterdir():
        (folder / file.name).symlink_to(file)
    save_small_siglip(folder / "siglip2", width=WITH_IMAGE.image.channels)
    return Run(rows, folder, tmp_path_factory.mktemp("complete"), "--annotators", str(annotators))


@pytest.mark.cluster
def test_each_row_is_made_by_the_network_of_its_controls(bare):
    assert "2 done, 5 failed" in bare.summary
    wanted = f"no transfer2.5-2b-depth here: `airshower checkpoint download transfer2.5-2b-depth --to {bare.weights}"
    assert wanted in bare.summary
    models = {name: bare.record(name)["model"] for name in ("edge", "vis")}
    assert {name: model["network"] for name, model in models.items()} == {"edge": "edge", "vis": "vis"}
    assert models["edge"]["sha256"] != models["vis"]["sha256"]
    assert read_video(str(bare.output / "vis.mp4")).frames.shape == (5, 144, 256, 3)


@pytest.mark.cluster
def test_a_style_image_counts_and_needs_its_encoder(bare, complete):
    assert "styled: " in bare.summary
    assert "no siglip2 here: `airshower checkpoint download siglip2" in bare.summary
    assert complete.record("styled")["frames_sha256"] != complete.record("edge")["frames_sha256"]


@pytest.mark.cluster
def test_rows_leave_controls_and_masks_to_annotators(bare, complete):
    assert "in annotate: seg: seg.control_prompt: " in bare.summary
    wanted = f"`airshower checkpoint download grounding-dino --to {bare.weights / 'grounding-dino'}`"
    assert wanted in bare.summary
    assert "5 done, 2 failed" in complete.summary
    assert "in annotate: nothing: edge.mask_prompt: the prompt '...' has no word" in complete.summary
    entries = pq.read_table(complete.output / "manifest.parquet").to_pylist()
    entries = {entry["name"]: entry for entry in entries}
    assert entries["masked"]["seconds_annotate"] > 0
    assert entries["vis"]["seconds_annotate"] is None
    assert entries["nothing"]["error_stage"] == "annotate"
    assert {name: sorted(complete.record(name)["annotators"]) for name in ("vis", "masked", "seg")} == {
        "vis": [],
        "masked": ["grounding-dino", "sam2"],
        "seg": ["grounding-dino", "sam2"],
    }
    assert complete.record("masked")["outputs"]["mask_edge"] == "masked_mask_edge.mp4"
    assert read_video(str(complete.output / "masked_mask_edge.mp4")).frames.shape == (3, 144, 256, 3)
    assert read_video(str(complete.output / "seg_control_seg.mp4")).frames.std() > 0
    assert not (complete.output / "vis_mask_vis.mp4").exists()
    assert "masked_mask_edge.mp4" in (complete.output / "index.html").read_text()


@pytest.mark.cluster
@pytest.mark.usefixtures("no_cluster")  # workers inherit where the bucket is
def test_weights_come_from_a_bucket(weights, rows, tmp_path, capsys, bucket):
    for file in weights.rglob("*"):
        if file.is_file() and "seg" not in file.name:
            bucket.upload_file(str(file), "drives", f"weights/{file.relative_to(weights).as_posix()}")
    specs = [str(rows / f"{name}.json") for name in ("edge", "vis", "depth")]
    call = ["generate", *specs, "--model", "transfer2.5-2b", "--output", str(tmp_path), *FLAGS]
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
@pytest.mark.usefixtures("cluster")
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
