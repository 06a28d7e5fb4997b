"""Training end to end at toy size: sample world, Ray Train, a model folder that a replica loads and runs."""

import dataclasses

import numpy as np
import pytest
import torch

from airshower.actors.replica import Replica
from airshower.actors.text_encoder import TextEncoder
from airshower.actors.trainer import update
from airshower.cluster.packing import pack_frames, unpack_frames
from airshower.configs.messages import PreparedClip
from airshower.configs.model_source import ModelSource
from airshower.configs.presets import tiny_transfer as transfer_preset
from airshower.configs.spec import ClipSpec
from airshower.configs.training import Optimisation, Window, WorldClips, tiny_autoencoder, tiny_transfer
from airshower.models.autoencoder import VideoAutoencoder
from airshower.models.training.clips import read_clips
from airshower.pipelines.train import StepsTrained, TrainSettings, train
from tests.processes import kill_below

CLIPS = WorldClips(clips=2, seed=0, frames=5, height=32, width=48, captions=2)
KILLED_AFTER = 3


def _settings(experiment, output, steps, **more):
    optimisation = Optimisation(steps=steps, batch=2, muon_learning_rate=1e-2, adam_learning_rate=1e-3, warmup_steps=1)
    return TrainSettings(
        experiment=dataclasses.replace(experiment, data=CLIPS, optimisation=optimisation),
        output=output,
        report_every_steps=1,
        checkpoint_every_steps=1,
        **more,
    )


def _steps(settings, after_step=lambda step: None):
    """Trains; returns the model folder and the steps that were reported, each with a finite loss."""
    steps = []

    def on_event(event):
        if isinstance(event, StepsTrained):
            assert np.isfinite(event.metrics["loss"])
            steps.append(event.metrics["step"])
            after_step(steps[-1])

    return train(settings, on_event), steps


@pytest.fixture(scope="module")
def output(shared_cluster, tmp_path_factory):
    shared_cluster.start()
    return tmp_path_factory.mktemp("transfer")


@pytest.fixture(scope="module")
def experiment():
    autoencoder = dataclasses.replace(tiny_autoencoder(), data=CLIPS, windows=(Window(until=1.0, frames=5, crop=32),))
    optimisation = dataclasses.replace(autoencoder.optimisation, steps=3, batch=2)
    return dataclasses.replace(tiny_transfer(), autoencoder=dataclasses.replace(autoencoder, optimisation=optimisation))


@pytest.fixture(scope="module")
def autoencoder(output, experiment):
    """The steps of an autoencoder's run that ended after two, and of the one that went on to the third."""
    settings = _settings(experiment.autoencoder, output / "autoencoder", steps=2, clips=output / "clips")
    _, first = _steps(settings)
    _, second = _steps(dataclasses.replace(settings, experiment=experiment.autoencoder))
    return first, second


@pytest.fixture(scope="module")
def transfer(autoencoder, experiment, output):
    """Model folder of a transfer network whose rank was killed on the way, and the steps that were reported."""
    killed = []

    def kill_once(step):
        if step == KILLED_AFTER and not killed:
            killed.append(step)
            kill_below("RayTrainWorker")

    return _steps(_settings(experiment, output, steps=10), kill_once)


def test_the_same_command_goes_on(autoencoder):
    first, second = autoencoder
    assert (first, second) == ([1, 2], [3])


def test_latent_statistics_are_those_of_the_clips(autoencoder, output):
    latents = read_clips(output / "clips", torch.device("cpu")).tensors["video"]
    encoder = VideoAutoencoder.load(
        output / "autoencoder" / "model" / "autoencoder", torch.device("cpu"), torch.float32
    )
    encoded = encoder.encode(latents.permute(0, 4, 1, 2, 3).float() / 127.5 - 1).transpose(0, 1).flatten(1)
    assert encoded.mean(1).abs().max() < 0.05
    assert (encoded.std(1) - 1).abs().max() < 0.05


def test_an_update_with_an_overflowed_gradient_is_skipped():
    layer = torch.nn.Linear(2, 2)
    before = layer.weight.detach().clone()
    layer(torch.full((1, 2), torch.inf)).sum().backward()
    assert not update(layer, [torch.optim.AdamW(layer.parameters())], 1.0)
    assert torch.equal(layer.weight, before)
    layer(torch.ones(1, 2)).sum().backward()
    assert update(layer, [torch.optim.AdamW(layer.parameters())], 1.0)
    assert not torch.equal(layer.weight, before)


def test_a_diverged_run_ends_with_its_reason(output, experiment, tmp_path):
    settings = _settings(experiment.autoencoder, tmp_path, steps=4, clips=output / "clips", restarts=0)
    diverging = dataclasses.replace(settings.experiment.optimisation, muon_learning_rate=1e30)
    with pytest.raises(RuntimeError, match=r"steps up to \d is nan: train with a lower rate"):
        train(
            dataclasses.replace(settings, experiment=dataclasses.replace(settings.experiment, optimisation=diverging)),
            print,
        )


def test_a_killed_rank_goes_on_from_its_checkpoint(transfer):
    _, steps = transfer
    again = steps[steps.index(KILLED_AFTER) + 1 :]
    assert steps[0] == 1, "the finished autoencoder was trained again"
    assert steps[-1] == 10
    assert min(again) > 1


def test_the_result_generates(transfer):
    model, _ = transfer
    preset = transfer_preset()
    random = np.random.default_rng(0)
    frames = random.integers(0, 255, (5, 32, 48, 3), np.uint8)
    spec = ClipSpec.model_validate(
        {"name": "a", "prompt": "a red car", "video_path": "a.mp4", "edge": {}, "num_steps": 2}
    )
    prepared = PreparedClip(
        fps=24, frames=5, height=32, width=48, input_height=32, input_width=48,
        input_frames=None, controls={"edge": pack_frames(frames)}, masks={},
    )  # fmt: skip
    text = TextEncoder(ModelSource(preset=preset, weights=str(model)))
    replica = Replica(ModelSource(preset=preset, weights=str(model)))
    made = replica.generate(
        spec.resolved(preset), prepared, *(text.encode(prompt, ("edge",)) for prompt in (spec.prompt, ""))
    )
    assert unpack_frames(made.frames).shape == (5, 32, 48, 3)
    assert text.encoded == 2
