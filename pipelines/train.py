"""Training an experiment: prepare its clips, run Ray Train, leave the result as a model folder.

Everything lies in the output folder: `clips/` (rendered; may be shared between runs), `autoencoder/` (a run of its
own) and `latents/` for experiments on latents, `run/` (Ray Train's checkpoints) and `model/` (the averaged weights).
The same command again goes on from the latest checkpoint.
"""

import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from ray.train import (
    CheckpointConfig,
    FailureConfig,
    Result,
    RunConfig,
    ScalingConfig,
    WorkerGroupError,
)
from ray.train.torch import TorchTrainer

from airshower.actors.trainer import MODEL_FOLDER, TrainerSettings, train_rank
from airshower.configs.training import AutoencoderExperiment, Experiment, MultiviewExperiment, TransferExperiment
from airshower.pipelines.claimed_folder import ClaimedFolder, is_claimed
from airshower.pipelines.train_news import Metrics, listening
from airshower.pipelines.training_data import encode_clips, holds_only_shards, render_clips
from airshower.pipelines.world.caption import vocabulary

_COMMAND = "train"


@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """How a run uses its machine; what is trained is in the experiment."""

    experiment: Experiment
    output: Path
    autoencoder: Path | None = None  # a trained one for experiments on latents; None trains the experiment's own
    clips: Path | None = None  # folder of rendered clips, shared with other runs; the output's own if None
    device: str = "cpu"
    workers: int = 1  # ranks
    makers: int = 1  # processes that render clips
    encoders: int = 1  # processes that encode them
    threads: int = 1
    compiled: bool = False
    report_every_steps: int = 100
    checkpoint_every_steps: int = 1_000
    restarts: int = 3  # from the latest checkpoint, when a rank fails

    def __post_init__(self) -> None:
        if self.autoencoder is not None and isinstance(self.experiment, AutoencoderExperiment):
            raise ValueError(f"{self.experiment.name}: an autoencoder is what it trains: don't name one")
        if self.autoencoder is None and isinstance(self.experiment, MultiviewExperiment):
            raise ValueError(
                f"{self.experiment.name}: trains no autoencoder of its own: name one with --autoencoder, such as "
                "models/shipped/tiny-transfer/autoencoder"
            )

    @property
    def rendered_clips(self) -> Path:
        return (self.output / "clips" if self.clips is None else self.clips).absolute()


@dataclass(frozen=True, kw_only=True)
class ClipsPrepared:
    """So many clips are rendered or encoded."""

    experiment: str
    how: str
    clips: int


@dataclass(frozen=True, kw_only=True)
class StepsTrained:
    """Rank 0's metrics of the last steps."""

    experiment: str
    metrics: Metrics


TrainEvent = ClipsPrepared | StepsTrained


def train(settings: TrainSettings, on_event: Callable[[TrainEvent], None]) -> Path:
    """Trains to the end and returns the model folder; raises RuntimeError when a rank fails again and again, and
    InTheWayError for folders of others that have the names of its own.
    """
    claim_folder(settings)
    if isinstance(settings.experiment, TransferExperiment) and settings.autoencoder is None:
        first = _autoencoder_run(settings, settings.experiment.autoencoder)
        settings = replace(settings, autoencoder=train(first, on_event) / "autoencoder")
    clips = _prepare(settings, on_event)
    rank = TrainerSettings(
        experiment=settings.experiment,
        clips=str(clips),
        words=() if isinstance(settings.experiment, AutoencoderExperiment) else tuple(vocabulary()),
        report_every_steps=settings.report_every_steps,
        checkpoint_every_steps=settings.checkpoint_every_steps,
        threads=settings.threads,
        compiled=settings.compiled,
    )

    def tell(metrics: Metrics) -> None:
        on_event(StepsTrained(experiment=settings.experiment.name, metrics=metrics))

    with listening(tell) as callback:
        trainer = TorchTrainer(
            partial(train_rank, rank),
            scaling_config=ScalingConfig(num_workers=settings.workers, use_gpu=settings.device == "cuda"),
            run_config=RunConfig(
                name="run",
                storage_path=str(settings.output.absolute()),
                checkpoint_config=CheckpointConfig(num_to_keep=2),
                failure_config=FailureConfig(max_failures=settings.restarts),
                callbacks=[callback],  # type: ignore[list-item]
            ),
        )
        try:
            result = trainer.fit()
        except WorkerGroupError as error:
            number, failure = min(error.worker_failures.items())
            reason = str(failure).strip().splitlines()[-1]  # above it, the rank's traceback
            raise RuntimeError(f"{settings.output}: training ended on rank {number}: {reason}") from error
    return _collect(result, settings)


def claim_folder(settings: TrainSettings) -> None:
    """Takes what a run makes in its output folder; raises InTheWayError where others have such names.

    Shards are only ever added to others, and an autoencoder may be that of an earlier run.
    """
    output, experiment = settings.output.absolute(), settings.experiment
    names = ["run", "model"]
    shards = ("latents",) if settings.clips else ("clips", "latents")
    names += [name for name in shards if not holds_only_shards(output / name)]
    if isinstance(experiment, TransferExperiment) and settings.autoencoder is None:
        names += [] if is_claimed(output / "autoencoder", _COMMAND) else ["autoencoder"]
    ClaimedFolder(output, _COMMAND).claim(names)


def _autoencoder_run(settings: TrainSettings, experiment: AutoencoderExperiment) -> TrainSettings:
    """The run that trains the autoencoder of an experiment on latents, beside it and on the same clips."""
    return replace(
        settings,
        experiment=experiment,
        output=settings.output / "autoencoder",
        clips=settings.rendered_clips,
        compiled=False,
    )


def _prepare(settings: TrainSettings, on_event: Callable[[TrainEvent], None]) -> Path:
    """Renders and, for experiments on latents, encodes the clips; returns the folder to train on."""
    output, rendered = settings.output.absolute(), settings.rendered_clips
    done: Counter[str] = Counter()

    def count(how: str, more: int) -> None:
        done[how] += more
        on_event(ClipsPrepared(experiment=settings.experiment.name, how=how, clips=done[how]))

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
        workers=settings.encoders,
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
