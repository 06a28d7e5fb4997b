"""One rank of a training run: the loop that Ray Train starts on every worker.

The loop knows nothing of what is trained: a task gives the loss of a batch and exports the result. Batches are drawn
from (seed, step, rank) alone, so a resumed run sees the batches it would have seen.
"""

import math
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray.train
import torch
from ray.train.torch import get_device, prepare_model
from torch import nn

from airshower.configs.network import tiny_multiview_dit, tiny_transfer_dit
from airshower.configs.training import AutoencoderExperiment, Experiment, MultiviewExperiment
from airshower.models.training.autoencoder_task import AutoencoderTask
from airshower.models.training.averaging import Average
from airshower.models.training.clips import read_clips
from airshower.models.training.latent_task import LatentTask
from airshower.models.training.multiview_task import MultiviewTask
from airshower.models.training.optimizers import build_optimizers, rate_factor, set_rates
from airshower.models.training.transfer_task import TransferTask

MODEL_FOLDER = "model"  # of a checkpoint: the averaged weights, ready for inference
STATE_FILE = "state.pt"


@dataclass(frozen=True, kw_only=True)
class TrainerSettings:
    """What every rank needs to know."""

    experiment: Experiment
    clips: str  # folder of training clips
    words: tuple[str, ...]  # vocabulary beyond the clips' captions
    report_every_steps: int
    checkpoint_every_steps: int
    threads: int
    compiled: bool


def train_rank(settings: TrainerSettings) -> None:
    """Trains to the experiment's last step, from the latest checkpoint if there is one."""
    torch.set_num_threads(settings.threads)
    device = get_device()
    task = _build_task(settings, device)
    optimisation = settings.experiment.optimisation
    torch.manual_seed(optimisation.seed)
    optimizers = build_optimizers(task, task.muon_weights(), optimisation)
    average = Average(dict(task.named_parameters()), optimisation.ema_halflife_steps)
    step = _resume(task, optimizers, average, device)
    if settings.compiled:
        task.compile_network()
    # A batch may leave out control branches, and each rank others.
    model = prepare_model(task, move_to_device=False, parallel_strategy_kwargs={"find_unused_parameters": True})
    context = ray.train.get_context()
    batch = math.ceil(optimisation.batch / context.get_world_size())
    started, first, losses, skipped = time.perf_counter(), step, [], 0
    while step < optimisation.steps:
        factor = rate_factor(optimisation, step)
        set_rates(optimizers, factor)
        generator = torch.Generator().manual_seed(hash((optimisation.seed, step, context.get_world_rank())) % 2**63)
        with torch.autocast(device.type, torch.bfloat16, enabled=_is_fast_in_bfloat16(device)):
            loss = model(generator, batch, step / optimisation.steps)
        loss.backward()
        if not update(task, optimizers, optimisation.gradient_clip):
            skipped += 1
        average.update(dict(task.named_parameters()))
        losses.append(loss.detach())
        step += 1
        last = step == optimisation.steps
        if last or step % settings.report_every_steps == 0:
            loss_of_interval, now = _finite_mean(losses, step), time.perf_counter()
            metrics = {
                "step": step,
                "steps": optimisation.steps,
                "loss": loss_of_interval,
                "skipped_steps": skipped,  # since the start of this process
                "learning_rate_factor": factor,
                "steps_per_s": (step - first) / (now - started),
            }
            started, first, losses = now, step, []
            if last or step % settings.checkpoint_every_steps == 0:
                _report_checkpoint(metrics, task, optimizers, average, step, export=last)
            else:
                ray.train.report(metrics)


def update(task: nn.Module, optimizers: list[torch.optim.Optimizer], gradient_clip: float) -> bool:
    """Steps with the task's gradients and drops them. Gradients that overflowed are dropped only, and it is False:
    one such step would spoil every weight.
    """
    norm = nn.utils.clip_grad_norm_(task.parameters(), gradient_clip)
    finite = bool(torch.isfinite(norm))
    if finite:
        for optimizer in optimizers:
            optimizer.step()
    task.zero_grad(set_to_none=True)
    return finite


def _build_task(settings: TrainerSettings, device: torch.device) -> AutoencoderTask | LatentTask:
    clips = read_clips(Path(settings.clips), device)
    experiment = settings.experiment
    torch.manual_seed(experiment.optimisation.seed)
    if isinstance(experiment, AutoencoderExperiment):
        return AutoencoderTask(experiment, clips).to(device)
    if isinstance(experiment, MultiviewExperiment):
        return MultiviewTask(experiment, tiny_multiview_dit(), clips, list(settings.words)).to(device)
    return TransferTask(experiment, tiny_transfer_dit(), clips, list(settings.words)).to(device)


def _is_fast_in_bfloat16(device: torch.device) -> bool:
    """GPUs, and CPUs with instructions for it; others would only emulate it."""
    return device.type == "cuda" or bool(torch.cpu._is_avx512_bf16_supported())


def _finite_mean(losses: list[torch.Tensor], step: int) -> float:
    """Raises RuntimeError for a run that has diverged: its checkpoint would take the place of a good one."""
    mean = float(torch.stack(losses).mean())
    if not math.isfinite(mean):
        raise RuntimeError(f"the loss of the {len(losses)} steps up to {step} is {mean}: train with a lower rate")
    return mean


def _resume(task: nn.Module, optimizers: list[torch.optim.Optimizer], average: Average, device: torch.device) -> int:
    """Loads the latest checkpoint, if any; returns the step to go on from."""
    checkpoint = ray.train.get_checkpoint()
    if checkpoint is None:
        return 0
    with checkpoint.as_directory() as folder:
        state: dict[str, Any] = torch.load(Path(folder) / STATE_FILE, map_location=device, weights_only=True)
    task.load_state_dict(state["task"])
    for optimizer, saved in zip(optimizers, state["optimizers"], strict=True):
        optimizer.load_state_dict(saved)
    average.tensors, average.steps = state["average"], state["step"]
    return int(state["step"])


def _report_checkpoint(
    metrics: dict[str, Any],
    task: AutoencoderTask | LatentTask,
    optimizers: list[torch.optim.Optimizer],
    average: Average,
    step: int,
    *,
    export: bool,
) -> None:
    """Reports with a checkpoint from rank 0; the last one also holds the averaged weights ready for inference."""
    if ray.train.get_context().get_world_rank() != 0:
        ray.train.report(metrics)
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        state = {
            "task": task.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in optimizers],
            "average": average.tensors,
            "step": step,
        }
        torch.save(state, folder / STATE_FILE)
        if export:
            task.load_state_dict(average.tensors, strict=False)
            task.export(folder / MODEL_FOLDER)
        ray.train.report(metrics, checkpoint=ray.train.Checkpoint.from_directory(str(folder)))
