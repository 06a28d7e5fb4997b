"""Muon against PyTorch's own, which takes matrices only, and the schedule's ends."""

import pytest
import torch
from torch import nn

from airshower.configs.training import Optimisation
from airshower.models.training.optimizers import Muon, build_optimizers, rate_factor


def _stepped(optimizer_class, shapes, steps=4, **settings):
    """Weights after some steps down the same slope."""
    random = torch.Generator().manual_seed(0)
    weights = [nn.Parameter(torch.randn(shape, generator=random)) for shape in shapes]
    optimizer = optimizer_class(weights, lr=0.02, weight_decay=0.1, **settings)
    for _ in range(steps):
        for weight in weights:
            weight.grad = weight.detach().sin() + torch.randn(weight.shape, generator=random)
        optimizer.step()
    return [weight.detach() for weight in weights]


def test_matrices_take_the_steps_of_pytorchs_muon():
    shapes = [(6, 10), (12, 4), (6, 10)]
    for ours, theirs in zip(_stepped(Muon, shapes), _stepped(torch.optim.Muon, shapes, nesterov=True), strict=True):
        # bfloat16 inside: batched products round otherwise than single ones.
        torch.testing.assert_close(ours, theirs, atol=5e-3, rtol=0)


def test_a_convolution_counts_as_the_matrix_of_its_output_channels():
    (matrix,) = _stepped(Muon, [(6, 20)], steps=1)
    (convolution,) = _stepped(Muon, [(6, 5, 2, 2)], steps=1)
    torch.testing.assert_close(convolution.flatten(1), matrix)


def test_every_parameter_has_one_optimizer():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Linear(4, 4))
    settings = Optimisation(steps=10, batch=1, muon_learning_rate=0.1, adam_learning_rate=0.01, warmup_steps=2)
    optimizers = build_optimizers(net, [net[0].weight], settings)
    held = [id(p) for optimizer in optimizers for group in optimizer.param_groups for p in group["params"]]
    assert sorted(held) == sorted(id(p) for p in net.parameters())


@pytest.mark.parametrize(("step", "factor"), [(0, 0.25), (4, 0.5), (8, 0.0)])
def test_rates_rise_and_fall(step, factor):
    settings = Optimisation(steps=8, batch=1, muon_learning_rate=0.1, adam_learning_rate=0.01, warmup_steps=4)
    assert rate_factor(settings, step) == pytest.approx(factor, abs=1e-6)
