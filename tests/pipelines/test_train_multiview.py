"""Training the multiview network end to end at toy size: seven cameras, their mirror image, a network that samples."""

import dataclasses

import pytest
import torch

from airshower.configs.training import Optimisation, RigClips, tiny_multiview, tiny_transfer
from airshower.models.autoencoder import VideoAutoencoder
from airshower.models.dit.transformer import Context, ControlInput
from airshower.models.dit.views import Cameras
from airshower.models.text import WordEncoder
from airshower.models.training.clips import read_shard
from airshower.models.weights import load_transformer
from airshower.pipelines.train import TrainSettings, train

CPU = torch.device("cpu")
FRONT_WIDE, CROSS_RIGHT, CROSS_LEFT = 0, 1, 5


@pytest.fixture(scope="module")
def output(shared_cluster, tmp_path_factory, shipped_autoencoder):
    output = tmp_path_factory.mktemp("multiview")
    optimisation = Optimisation(steps=2, batch=1, muon_learning_rate=1e-2, adam_learning_rate=1e-3, warmup_steps=1)
    data = RigClips(clips=1, seed=0, frames=5, height=32, width=48, captions=2)
    experiment = dataclasses.replace(tiny_multiview(), data=data, optimisation=optimisation)
    settings = TrainSettings(
        experiment=experiment, output=output, autoencoder=shipped_autoencoder, report_every_steps=1
    )
    shared_cluster.start()
    train(settings, print)
    return output


@pytest.fixture(scope="module")
def shipped_autoencoder(pytestconfig):
    return pytestconfig.rootpath / "models" / "shipped" / "tiny-transfer" / "autoencoder"


def test_mirrored_clips_swap_left_and_right_cameras(output, shipped_autoencoder):
    rendered = read_shard(output / "clips", "clips-000000").tensors["video"][0]
    mirrored = read_shard(output / "latents", "clips-000000-mirrored").tensors["video"][0]
    encoder = VideoAutoencoder.load(shipped_autoencoder, CPU, torch.float32)
    for camera, source in ((FRONT_WIDE, FRONT_WIDE), (CROSS_RIGHT, CROSS_LEFT), (CROSS_LEFT, CROSS_RIGHT)):
        video = rendered[source].flip(-2).permute(3, 0, 1, 2)[None].float() / 127.5 - 1
        torch.testing.assert_close(mirrored[camera], encoder.encode(video)[0].half(), atol=0.01, rtol=0.01)


def test_the_result_denoises_any_cameras(output, shipped_autoencoder):
    net = load_transformer(output / "model" / "transformer", CPU, torch.float32)
    text = WordEncoder.load(output / "model" / "text_encoder", CPU)
    VideoAutoencoder.load(output / "model" / "autoencoder", CPU, torch.float32)
    prompts = text(text.tokens(["a red car", ""])).flatten(0, 1)[None]
    latents = torch.randn(1, 16, 2 * 2, 4, 6)
    context = Context(text_BMC=net.project_text(prompts), cameras=Cameras((1, 3)))
    with torch.inference_mode():
        velocity = net(
            latents,
            torch.tensor([[500.0]]),
            context,
            torch.zeros(1, 1, *latents.shape[2:]),
            {"hdmap": ControlInput(latents)},
        )
    assert velocity.shape == latents.shape
    assert velocity.isfinite().all()


def test_it_needs_an_autoencoder(tmp_path):
    with pytest.raises(ValueError, match="name one with --autoencoder"):
        TrainSettings(experiment=tiny_multiview(), output=tmp_path)
    TrainSettings(experiment=tiny_transfer(), output=tmp_path)
