"""Batches of several cameras: who has the caption, which frames are given, and that fewer cameras are drawn."""

import dataclasses

import pytest
import torch

from airshower.configs.network import tiny_multiview_dit
from airshower.configs.training import tiny_multiview
from airshower.models.dit.transformer import Transformer
from airshower.models.dit.views import Cameras
from airshower.models.training.clips import ClipSet
from airshower.models.training.flow import FlowBatch, flow_loss
from airshower.models.training.initialisation import initialise
from airshower.models.training.multiview_task import MultiviewTask


@pytest.fixture(scope="module")
def task():
    random = torch.Generator().manual_seed(0)
    latents = {kind: torch.randn(3, 7, 16, 3, 4, 6, generator=random).half() for kind in ("video", "hdmap")}
    config = dataclasses.replace(tiny_multiview_dit(), blocks=3)
    return MultiviewTask(tiny_multiview(), config, ClipSet(latents, [["a red car"], ["a bus"], ["snow"]]), [])


def test_given_frames_of_every_camera_cost_nothing():
    net = Transformer(dataclasses.replace(tiny_multiview_dit(), blocks=3))
    initialise(net, torch.Generator().manual_seed(0))  # its velocity is zero, and so the loss the share of open frames
    batch = FlowBatch(
        latents_BCTYX=torch.zeros(4, 16, 7 * 4, 8, 8),
        text_BMC=torch.zeros(4, 7 * 2, 64),
        controls={},
        given_latent_frames_B=torch.ones(4),
        cameras=Cameras(tuple(range(7))),
    )
    loss = flow_loss(net, batch, 3.0, torch.Generator().manual_seed(0))
    assert loss.item() == pytest.approx(3 / 4, abs=0.02)


def test_the_caption_stands_with_the_first_camera(task):
    text = task._text(torch.tensor([0]), 3, torch.Generator().manual_seed(1))
    caption, *others = text.chunk(3, dim=1)
    assert caption.abs().sum() > 0
    assert all(not other.any() for other in others)


def test_batches_have_all_cameras_or_any_fewer_in_their_order(task):
    drawn = [task._cameras(7, torch.Generator().manual_seed(seed)).ids for seed in range(200)]
    assert all(list(ids) == sorted(set(ids)) for ids in drawn)
    assert {len(ids) for ids in drawn} == set(range(1, 8))
    assert 0.6 < sum(len(ids) == 7 for ids in drawn) / len(drawn) < 0.8


def test_a_cut_puts_the_chosen_cameras_one_after_the_other(task):
    cut = task._cut("hdmap", torch.tensor([2]), Cameras((1, 4)), frames=2)
    stored = task.clips.tensors["hdmap"][2].float()
    torch.testing.assert_close(cut[0], torch.cat((stored[1, :, :2], stored[4, :, :2]), dim=1))


def test_every_weight_learns(task):
    for seed in range(3):
        task(torch.Generator().manual_seed(seed), 1, 0.0).backward()
        with torch.no_grad():  # gates start at zero and hide what lies behind them from the first step
            for weight in task.parameters():
                weight.add_(0.01 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(0)))
    task.zero_grad()
    task(torch.Generator().manual_seed(7), 1, 0.0).backward()
    still = [name for name, weight in task.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert still == []
