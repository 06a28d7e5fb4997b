"""Training an experiment: prepare its clips, run Ray Train, leave the result as a model folder.

Everything lies in the output folder: `clips/` (rendered; may be shared between runs), `latents/` (for experiments that
train on them), `run/` (Ray Train's checkpoints) and `model/` (the averaged weights). The same command again goes on
from the latest checkpoint.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any

from ray.train import CheckpointConfig, FailureConfig, Result, RunConfig, ScalingConfig, UserCallback
from ray.train.torch import TorchTrainer
from ray.util.queue import Queue

from airshower.actors.trainer import MODEL_FOLDER, TrainerSettings, train_rank
from airshower.configs.training import Experiment, TransferExperiment
from airshower.pipelines.training_data import encode_clips, render_clips
from airshower.pipelines.world.caption import vocabulary


@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """How a run uses its machine; what is trained is in the experiment."""

    experiment: Experiment
    output: Path
    autoencoder: Path | None = None  # folder of a trained autoencoder, for experiments on latents
    clips: Path | None = None  # folder of rendered clips, shared with other runs; the output's own if None
    device: str = "cpu"
    workers: int = 1  # ranks
    makers: int = 1  # processes that prepare clips
    threads: int = 1
    compiled: bool = False
    report_every_steps: int = 100
    checkpoint_every_steps: int = 1_000

    def __post_init__(self) -> None:
        needs_latents = isinstance(self.experiment, TransferExperiment)
        if needs_latents and self.autoencoder is None:
            raise ValueError(f"{self.experiment.name}: trains on latents: name a trained autoencoder's folder")
        if not needs_latents and self.autoencoder is not None:
            raise ValueError(f"{self.experiment.name}: an autoencoder is what it trains: don't name one")


@dataclass(frozen=True, kw_only=True)
class TrainEvent:
    """News of a run: clips rendered or encoded so far, or a rank's metrics."""

    rendered: int | None = None
    encoded: int | None = None
    metrics: dict[str, Any] | None = None


def train(settings: TrainSettings, on_event: Callable[[TrainEvent], None]) -> Path:
    """Trains to the end and returns the model folder."""
    clips = _prepare(settings, on_event)
    is_transfer = isinstance(settings.experiment, TransferExperiment)
    rank = TrainerSettings(
        experiment=settings.experiment,
        clips=str(clips),
        words=tuple(vocabulary()) if is_transfer else (),
        report_every_steps=settings.report_every_steps,
        checkpoint_every_steps=settings.checkpoint_every_steps,
        threads=settings.threads,
        compiled=settings.compiled,
    )
    with _listening(on_event) as news:
        trainer = TorchTrainer(
            partial(train_rank, rank),
            scaling_config=ScalingConfig(num_workers=settings.workers, use_gpu=settings.device == "cuda"),
            run_config=RunConfig(
                name="run",
                storage_path=str(settings.output.absolute()),
                checkpoint_config=CheckpointConfig(num_to_keep=2),
                failure_config=FailureConfig(max_failures=3),
                callbacks=[_Reporter(news)],  # type: ignore[list-item]
            ),
        )
        result = trainer.fit()
    return _collect(result, settings)


def _prepare(settings: TrainSettings, on_event: Callable[[TrainEvent], None]) -> Path:
    """Renders and, for experiments on latents, encodes the clips; returns the folder to train on."""
    output = settings.output.absolute()
    rendered = output / "clips" if settings.clips is None else settings.clips.absolute()
    done = {"rendered": 0, "encoded": 0}

    def count(kind: str, more: int) -> None:
        done[kind] += more
        on_event(TrainEvent(rendered=done[kind]) if kind == "rendered" else TrainEvent(encoded=done[kind]))

    render_clips(
        settings.experiment.data,
        rendered,
        device=settings.device,
        workers=settings.makers,
        on_clips=partial(count, "rendered"),
    )
    if settings.autoencoder is None:
        return rendered
    encode_clips(
        rendered,
        output / "latents",
        autoencoder=settings.autoencoder.absolute(),
        device=settings.device,
        workers=1,
        on_clips=partial(count, "encoded"),
    )
    return output / "latents"


def _collect(result: Result, settings: TrainSettings) -> Path:
    """Copies the exported parts out of the last checkpoint; with the autoencoder it trained on, a model is whole."""
    if result.error is not None or result.checkpoint is None:
        raise RuntimeError(f"{settings.output}: training ended without a result: {result.error}")
    model = settings.output / "model"
    with result.checkpoint.as_directory() as folder:
        shutil.copytree(Path(folder) / MODEL_FOLDER, model, dirs_exist_ok=True)
    if settings.autoencoder is not None:
        shutil.copytree(settings.autoencoder, model / "autoencoder", dirs_exist_ok=True)
    return model


class _Reporter(UserCallback):
    """Passes rank 0's metrics on. Ray Train calls it in its controller, another process: hence the queue."""

    def __init__(self, news: Queue) -> None:
        self._news = news

    def after_report(self, run_context: Any, metrics: list[dict[str, Any]], checkpoint: Any) -> None:  # noqa: ANN401
        self._news.put(metrics[0])


@contextmanager
def _listening(on_event: Callable[[TrainEvent], None]) -> Iterator[Queue]:
    """A queue whose metrics become events, on a thread: the main thread belongs to Ray Train's signal handling."""
    news = Queue()

    def listen() -> None:
        while (metrics := news.get()) is not None:
            on_event(TrainEvent(metrics=metrics))

    listener = Thread(target=listen, daemon=True)
    listener.start()
    try:
        yield news
    finally:
        news.put(None)
        listener.join()
        news.shutdown()
