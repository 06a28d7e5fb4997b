"""Clips of several cameras through the command line, with small random networks in their published form."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKLWan
from transformers import T5Config, T5EncoderModel, T5TokenizerFast

from airshower.configs.cameras import RIG
from airshower.configs.network import ControlConfig, RopeConfig, ViewsConfig
from airshower.configs.presets import transfer25_2b_multiview
from airshower.configs.sizes import Size
from airshower.models.model_parts import open_parts
from airshower.models.pixels import to_frames, to_tensor
from airshower.pipelines.media import read_video, write_video
from airshower.pipelines.prepare_views import antialiased
from airshower.platform.cli import main
from tests.benchmarks.random_reason1 import save_random_reason1
from tests.models.checkpoints.small import CONFIG, published, random_network

VIEWS = ViewsConfig(cameras=7, channels=7)
ROPE = RopeConfig(t_ratio=8 / 24, precision="bfloat16_exponents")
HDMAP = ControlConfig(branches=("hdmap",), injected_after=(0, 2), padded_channels=184, hint_layers=7)
FLAGS = ["--resolution", "144", "--num-steps", "2", "--device", "cpu", "--replicas", "1"]
CPU = torch.device("cpu")
CHUNK = {"num_video_frames_per_view": 5, "aspect_ratio": "1:1"}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A folder with both multiview models."""
    folder = tmp_path_factory.mktemp("weights")
    hdmap = replace(CONFIG, rope=ROPE, views=VIEWS, control=HDMAP)
    torch.save(published(random_network(hdmap)), folder / "transfer2.5-2b-multiview-hdmap.pt")
    t5_rope = RopeConfig(t_ratio=8 / 24, base_fps=24.0, precision="bfloat16")
    predict2 = replace(
        CONFIG, rope=t5_rope, views=VIEWS, control=None, text_in_channels=None, text_channels=16, timestep_scale=1.0
    )
    torch.save(published(random_network(predict2, seed=1)), folder / "predict2-2b-multiview-720p-10fps.pt")
    torch.manual_seed(0)
    autoencoder = AutoencoderKLWan(base_dim=8, z_dim=16, dim_mult=[1, 2, 2, 2], num_res_blocks=1)
    for name in ("predict2.5-2b-vae", "predict2-2b-vae"):
        autoencoder.save_pretrained(folder / name)
    sizes = {"width": 40, "layers": 2, "heads": 2, "key_value_heads": 1, "mrope_section": (2, 4, 4)}
    save_random_reason1(folder / "reason1-7b", words=("system", "user", "rain"), dtype=torch.float32, **sizes)
    words = ["<pad>", "</s>", "<unk>", "▁rain"]
    torch.manual_seed(0)
    t5 = {"vocab_size": len(words), "d_model": 16, "d_kv": 8, "d_ff": 24, "num_layers": 1, "num_heads": 2}
    T5EncoderModel(T5Config(**t5)).save_pretrained(folder / "t5-11b")
    vocabulary = [(word, -float(index)) for index, word in enumerate(words)]
    T5TokenizerFast(vocab=vocabulary, extra_ids=0).save_pretrained(folder / "t5-11b")
    return folder


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """Per camera nine frames at 10 fps; other rates and lengths; and all cameras in one file."""
    folder, random = tmp_path_factory.mktemp("videos"), np.random.default_rng(0)
    frames = {name: random.integers(0, 255, (9, 72, 128, 3), np.uint8) for name in RIG}
    for name, video in frames.items():
        write_video(folder / f"{name}.mp4", video, 10)
    write_video(folder / "long.mp4", np.repeat(frames["rear"], 3, axis=0), 30)
    write_video(folder / "short.mp4", frames["rear"][:3], 10)
    write_video(folder / "odd.mp4", frames["rear"], 24)
    write_video(folder / "five.mp4", np.concatenate([frames[name][:5] for name in RIG[:5]]), 10)
    return folder


def _run(folder, rows, call, capsys, code=0):
    """Writes the rows, runs them and returns the summary."""
    folder.mkdir(exist_ok=True)
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(SystemExit, match=f"^{code}$"):
        main(["generate", str(folder / "rows.jsonl"), "--output", str(folder / "run"), *call, *FLAGS])
    return capsys.readouterr().out


def _through_autoencoder(weights, video):
    """The first frame of a video as a clip that starts with it shows it."""
    autoencoder = open_parts(transfer25_2b_multiview(), str(weights)).autoencoder(CPU, torch.float32)
    first = antialiased(read_video(str(video), max_frames=1).frames[0], Size(144, 144))
    return to_frames(autoencoder.decode(autoencoder.encode(to_tensor(first[None], CPU))))[0]


def _maps(videos, *cameras, **more):
    return {name: {"control_path": str(videos / f"{name}.mp4"), **more} for name in cameras}


@pytest.mark.cluster
@pytest.mark.usefixtures("cluster")
def test_hd_maps_become_videos_of_all_cameras(weights, videos, tmp_path, capsys):
    base = {"prompt": "rain", "num_conditional_frames": 0, **CHUNK}
    two = _maps(videos, "front_wide", "rear")
    bad = {"prompt": "rain", "num_conditional_frames": 0, "front_wide": two["front_wide"]}
    rows = [
        base | {"name": "seven", **_maps(videos, *RIG)},
        base | {"name": "apart", "save_combined_views": False, **two},
        base | {"name": "weightless", "control_weight": 0.0, **two},
        base | {"name": "longer", "enable_autoregressive": True, "num_chunks": 3, **two},
        {**base, "name": "given", "num_conditional_frames": 1}
        | {name: {**view, "input_path": view["control_path"]} for name, view in two.items()},
        bad | {"name": "bad-length", "rear": {"control_path": str(videos / "short.mp4")}},
        bad | {"name": "bad-rates", "rear": {"control_path": str(videos / "long.mp4")}},
        bad | {"name": "bad-rate", "rear": {"control_path": str(videos / "odd.mp4")}},
    ]
    call = ["--model", "transfer2.5-2b-multiview", "--weights", str(weights)]
    summary = " ".join(_run(tmp_path, rows, call, capsys, code=1).split())
    assert "5 done, 3 failed" in summary
    assert "short.mp4 has 3 frames at 10 fps and front_wide.control_path 9: give files of one length" in summary
    assert "long.mp4 runs at 30 fps and front_wide.control_path at 10 fps" in summary
    assert "odd.mp4: runs at 24 fps, which is no whole multiple of 10" in summary

    def frames(name):
        return read_video(str(tmp_path / "run" / f"{name}.mp4")).frames

    assert frames("seven").shape == (35, 144, 144, 3)
    assert frames("seven_grid").shape == (5, 432, 432, 3)
    assert frames("apart_rear").shape == (5, 144, 144, 3)
    assert frames("longer").shape == (18, 144, 144, 3)  # maps of 9 frames end it: chunks from 0, 4 and not 8
    records = {row["name"]: tmp_path / "run" / f"{row['name']}.json" for row in rows[:5]}
    records = {name: json.loads(path.read_text()) for name, path in records.items()}
    assert records["longer"]["chunks"] == 2
    assert records["apart"]["cameras"] == ["front_wide", "rear"]
    assert records["apart"]["frames"] == 5
    assert records["apart"]["frames_sha256"] != records["weightless"]["frames_sha256"]
    kept = np.abs(frames("given")[0].astype(int) - _through_autoencoder(weights, videos / "front_wide.mp4")).mean()
    other = np.abs(frames("apart_front_wide")[0].astype(int) - frames("given")[0]).mean()
    assert kept < 0.5 * other  # noise doesn't survive H.264 well


@pytest.mark.cluster
@pytest.mark.usefixtures("cluster")
def test_predict2_goes_on_from_the_cameras_last_frames(weights, videos, tmp_path, capsys):
    five = {"prompt": "rain", "input_path": str(videos / "five.mp4"), "n_views": 5, **CHUNK}
    rows = [
        five | {"name": "waymo"},
        five | {"name": "numbered", "exact_reference": True},
        five | {"name": "from-text", "num_conditional_frames": 0},
        {"name": "apart", "prompt": "rain", "rear": {"input_path": str(videos / "rear.mp4")}, **CHUNK},
        five | {"name": "bad-count", "n_views": 4},
    ]
    call = ["--model", "predict2-2b-multiview", "--weights", str(weights)]
    summary = " ".join(_run(tmp_path, rows, call, capsys, code=1).split())
    assert "4 done, 1 failed" in summary
    assert "five.mp4 has 25 frames at 10 fps, which 4 cameras of one length can't have" in summary
    hashes = [json.loads((tmp_path / "run" / f"{row['name']}.json").read_text())["frames_sha256"] for row in rows[:4]]
    assert len(set(hashes)) == 4


def test_rows_of_both_kinds_are_told_apart_before_anything_starts(videos, tmp_path, capsys):
    clip = {"name": "one", "prompt": "rain", "video_path": str(videos / "rear.mp4"), "edge": {}}
    rows = [clip, {"name": "many", "prompt": "rain", "num_conditional_frames": 0, **_maps(videos, "rear")}]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(SystemExit, match=r"^2$"):
        main(["generate", str(tmp_path / "rows.jsonl"), "--output", str(tmp_path / "run")])
    assert "rows are for different models (one tiny-transfer, many tiny-multiview)" in capsys.readouterr().err
