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

from airshower.configs.network import tiny_transfer_dit
from airshower.configs.training import AutoencoderExperiment, Experiment, Optimisation
from airshower.models.training.autoencoder_task import AutoencoderTask
from airshower.models.training.averaging import Average
from airshower.models.training.clips import read_clips
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
    optimizer = torch.optim.AdamW(
        task.parameters(),
        lr=optimisation.learning_rate,
        betas=(0.9, 0.99),
        weight_decay=optimisation.weight_decay,
        fused=device.type == "cuda",
    )
    average = Average(dict(task.named_parameters()), optimisation.ema_halflife_steps)
    step = _resume(task, optimizer, average, device)
    if settings.compiled:
        task.compile_network()
    model = prepare_model(task, move_to_device=False)
    context = ray.train.get_context()
    batch = math.ceil(optimisation.batch / context.get_world_size())
    started, first, losses = time.perf_counter(), step, []
    while step < optimisation.steps:
        rate = _set_rate(optimizer, optimisation, step)
        generator = torch.Generator().manual_seed(hash((optimisation.seed, step, context.get_world_rank())) % 2**63)
        loss = model(generator, batch)
        loss.backward()
        nn.utils.clip_grad_norm_(task.parameters(), optimisation.gradient_clip)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        average.update(dict(task.named_parameters()))
        losses.append(loss.detach())
        step += 1
        last = step == optimisation.steps
        if last or step % settings.report_every_steps == 0:
            metrics = {
                "step": step,
                "steps": optimisation.steps,
                "loss": float(torch.stack(losses).mean()),
                "learning_rate": rate,
                "steps_per_s": (step - first) / (time.perf_counter() - started),
            }
            losses = []
            if last or step % settings.checkpoint_every_steps == 0:
                _report_checkpoint(metrics, task, optimizer, average, step, export=last)
            else:
                ray.train.report(metrics)


def _build_task(settings: TrainerSettings, device: torch.device) -> AutoencoderTask | TransferTask:
    clips = read_clips(Path(settings.clips), device)
    experiment = settings.experiment
    torch.manual_seed(experiment.optimisation.seed)
    if isinstance(experiment, AutoencoderExperiment):
        return AutoencoderTask(experiment, clips).to(device)
    return TransferTask(experiment, tiny_transfer_dit(), clips, list(settings.words)).to(device)


def _set_rate(optimizer: torch.optim.Optimizer, optimisation: Optimisation, step: int) -> float:
    """Linear warm-up, then half a cosine down to zero."""
    warmup = min(1.0, (step + 1) / max(1, optimisation.warmup_steps))
    rate = optimisation.learning_rate * warmup * 0.5 * (1 + math.cos(math.pi * step / optimisation.steps))
    for group in optimizer.param_groups:
        group["lr"] = rate
    return rate


def _resume(task: nn.Module, optimizer: torch.optim.Optimizer, average: Average, device: torch.device) -> int:
    """Loads the latest checkpoint, if any; returns the step to go on from."""
    checkpoint = ray.train.get_checkpoint()
    if checkpoint is None:
        return 0
    with checkpoint.as_directory() as folder:
        state: dict[str, Any] = torch.load(Path(folder) / STATE_FILE, map_location=device, weights_only=True)
    task.load_state_dict(state["task"])
    optimizer.load_state_dict(state["optimizer"])
    average.tensors, average.steps = state["average"], state["step"]
    return int(state["step"])


def _report_checkpoint(
    metrics: dict[str, Any],
    task: AutoencoderTask | TransferTask,
    optimizer: torch.optim.Optimizer,
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
            "optimizer": optimizer.state_dict(),
            "average": average.tensors,
            "step": step,
        }
        torch.save(state, folder / STATE_FILE)
        if export:
            task.load_state_dict(average.tensors, strict=False)
            task.export(folder / MODEL_FOLDER)
        ray.train.report(metrics, checkpoint=ray.train.Checkpoint.from_directory(str(folder)))
