"""`airshower train`: one experiment from its data to a model folder, with progress while it goes.

The experiment's preset says what is trained; options here say how long and on which hardware.
"""

import dataclasses
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

import typer

from airshower.configs.training import (
    EXPERIMENTS,
    AutoencoderExperiment,
    Experiment,
    MultiviewExperiment,
    TransferExperiment,
)
from airshower.platform.progress import clock_words
from airshower.platform.ticker import ticking

if TYPE_CHECKING:
    from airshower.pipelines.train import TrainEvent

MAKERS_PER_GPU = 4  # more only take turns

E = TypeVar("E", bound=AutoencoderExperiment | TransferExperiment | MultiviewExperiment)


def train(
    experiment: Annotated[str, typer.Argument(help=f"Experiment preset: {', '.join(EXPERIMENTS)}")],
    *,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Run folder; an interrupted run in it goes on")
    ],
    autoencoder: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Trained autoencoder for an experiment on latents; default: train one first"),
    ] = None,
    rendered: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Rendered clips to use and add to; default: DIR/clips")
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Optimiser steps; default: the experiment's")] = None,
    autoencoder_steps: Annotated[
        int | None,
        typer.Option(min=1, help="Steps of the autoencoder that is trained first; default: the experiment's"),
    ] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Clips per step; default: the experiment's")] = None,
    clips: Annotated[int | None, typer.Option(min=1, help="Training clips; default: the experiment's")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of weights and batches; default: 0")] = None,
    device: Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="auto takes GPUs if there are any")] = "auto",
    workers: Annotated[int, typer.Option(min=1, help="Ranks, one GPU each on cuda")] = 1,
    makers: Annotated[
        int | None,
        typer.Option(min=1, help="Processes that render clips; default: one per CPU, or 4 that share a GPU"),
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="CPU threads per rank; default: all CPUs, shared between the ranks")
    ] = None,
    compiled: Annotated[bool, typer.Option("--compile", help="Compile the transformer")] = False,
    report_every: Annotated[int, typer.Option(min=1, help="Steps between progress reports")] = 100,
    checkpoint_every: Annotated[
        int, typer.Option(min=1, help="Steps between checkpoints; a multiple of --report-every")
    ] = 1_000,
    verbose: Annotated[bool, typer.Option("--verbose", help="Let Ray log, and show tracebacks")] = False,
) -> None:
    """Train an experiment on the sample world; the result is DIR/model."""
    from airshower.cluster.session import ray_session, what_starts
    from airshower.pipelines.train import TrainSettings, claim_folder
    from airshower.pipelines.train import train as run_training

    if checkpoint_every % report_every:
        raise ValueError(f"--checkpoint-every {checkpoint_every}: not a multiple of --report-every {report_every}")
    if autoencoder is not None and autoencoder_steps is not None:
        raise ValueError("--autoencoder-steps: no autoencoder is trained when --autoencoder names one: leave one out")
    chosen = _varied(experiment, autoencoder_steps, steps=steps, batch=batch, clips=clips, seed=seed)
    asked = TrainSettings(experiment=chosen, output=output, autoencoder=autoencoder, clips=rendered)
    claim_folder(asked)  # before Ray is started
    begun_s, last = time.monotonic(), what_starts(None) or f"{experiment}: rendering clips"

    def tell(event: "TrainEvent") -> None:
        nonlocal last
        last = _line(event)
        ticker.say(last)

    def line() -> str:
        return f"{last}  ({clock_words(time.monotonic() - begun_s)} so far)"

    with ticking(line, sys.stdout) as ticker, ray_session(verbose=verbose) as cluster:
        cpus, gpus = max(1, int(cluster.cpus)), int(cluster.gpus)
        if device == "auto":
            device = "cuda" if gpus else "cpu"
        settings = dataclasses.replace(
            asked,
            device=device,
            workers=workers,
            makers=makers or (MAKERS_PER_GPU * gpus if device == "cuda" else cpus),
            encoders=gpus if device == "cuda" else makers or cpus,
            threads=threads or max(1, cpus // workers),
            compiled=compiled,
            report_every_steps=report_every,
            checkpoint_every_steps=checkpoint_every,
        )
        model = run_training(settings, tell)
    print(f"model: {model}")


def _varied(name: str, autoencoder_steps: int | None, **changes: int | None) -> Experiment:
    """The experiment with the options' changes; raises ValueError for an unknown name and for an option without use."""
    if name not in EXPERIMENTS:
        raise ValueError(f"experiment {name!r} is unknown: use one of {', '.join(EXPERIMENTS)}")
    chosen = _with(EXPERIMENTS[name], **changes)
    if isinstance(chosen, TransferExperiment):
        shared = {"clips": changes["clips"], "seed": changes["seed"], "steps": autoencoder_steps}
        return dataclasses.replace(chosen, autoencoder=_with(chosen.autoencoder, **shared))
    if autoencoder_steps is not None:
        raise ValueError(f"--autoencoder-steps: {name} doesn't train an autoencoder first: use --steps")
    return chosen


def _with(experiment: E, *, clips: int | None = None, **optimisation: int | None) -> E:
    """The experiment with other settings; None leaves one as it is."""
    changes = {key: value for key, value in optimisation.items() if value is not None}
    data = experiment.data if clips is None else dataclasses.replace(experiment.data, clips=clips)
    return dataclasses.replace(
        experiment,
        data=data,  # type: ignore[arg-type]  # clips of the same kind
        optimisation=dataclasses.replace(experiment.optimisation, **changes),
    )


def _line(event: "TrainEvent") -> str:
    """One line of progress."""
    from airshower.pipelines.train import ClipsPrepared

    if isinstance(event, ClipsPrepared):
        return f"{event.experiment}: {event.clips} clips {event.how}"
    metrics = event.metrics
    skipped = f"  {metrics['skipped_steps']} steps skipped" if metrics["skipped_steps"] else ""
    left_s = (metrics["steps"] - metrics["step"]) / metrics["steps_per_s"]
    return (
        f"{event.experiment}: step {metrics['step']}/{metrics['steps']}  loss {metrics['loss']:.4f}"
        f"  rate x {metrics['learning_rate_factor']:.3f}  {metrics['steps_per_s']:.2f} steps/s"
        f"  {left_s / 60:.1f} min left{skipped}"
    )
