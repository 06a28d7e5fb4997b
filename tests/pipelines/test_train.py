"""Training end to end at toy size: sample world, Ray Train, a model folder that a replica loads and runs."""

import dataclasses

import numpy as np
import pytest
import ray

from airshower.actors.replica import Replica
from airshower.actors.text_encoder import TextEncoder
from airshower.cluster.packing import pack_frames, unpack_frames
from airshower.configs.messages import PreparedClip
from airshower.configs.presets import tiny_transfer as transfer_preset
from airshower.configs.spec import ClipSpec
from airshower.configs.training import Optimisation, WorldClips, tiny_autoencoder, tiny_transfer
from airshower.pipelines.train import TrainSettings, train

CLIPS = WorldClips(clips=2, seed=0, frames=5, height=32, width=48, captions=2)
SHORT = Optimisation(steps=3, batch=2, learning_rate=1e-3, warmup_steps=1)


@pytest.fixture(scope="module")
def cluster():
    with pytest.MonkeyPatch.context() as environment:
        # How often Ray Train's controller looks at its ranks: every report waits for the next time.
        environment.setenv("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.2")
        ray.init(
            address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=200 * 2**20
        )
        yield
        ray.shutdown()


@pytest.fixture(scope="module")
def trained(cluster, tmp_path_factory):
    """A model folder with all parts, and the metrics of both runs."""
    folder = tmp_path_factory.mktemp("train")
    metrics = []

    def run(experiment, **settings):
        output = folder / experiment.name
        chosen = TrainSettings(
            experiment=dataclasses.replace(experiment, data=CLIPS, optimisation=SHORT),
            output=output,
            report_every_steps=1,
            checkpoint_every_steps=1,
            **settings,
        )
        return train(chosen, lambda event: metrics.append(event.metrics) if event.metrics else None)

    autoencoder = run(dataclasses.replace(tiny_autoencoder(), crop=32, window_frames=5))
    model = run(tiny_transfer(), autoencoder=autoencoder / "autoencoder")
    (autoencoder / "autoencoder").rename(model / "autoencoder")
    return model, metrics


def test_reports_every_step_with_finite_loss(trained):
    _, metrics = trained
    assert [m["step"] for m in metrics] == [1, 2, 3, 1, 2, 3]
    assert all(np.isfinite(m["loss"]) for m in metrics)


def test_the_result_generates(trained):
    model, _ = trained
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
    text = TextEncoder(preset, str(model))
    replica = Replica(preset, str(model))
    made = replica.generate(spec.resolved(preset), prepared, text.encode(spec.prompt), text.encode(""))
    assert unpack_frames(made.frames).shape == (5, 32, 48, 3)
    assert text.encoded == 2
