"""Whether weights fit a network: every difference between their names and shapes, in words."""

from collections.abc import Mapping
from typing import Protocol


class Shaped(Protocol):
    """A tensor, in memory, on the meta device or still in its file."""

    @property
    def shape(self) -> tuple[int, ...]: ...


def differences(got: Mapping[str, Shaped], wanted: Mapping[str, Shaped]) -> list[str]:
    """Every missing, unexpected and mis-shaped weight; empty when they fit exactly."""
    problems = [f"{name} is missing" for name in wanted if name not in got]
    problems += [f"{name} is unexpected" for name in got if name not in wanted]
    problems += [
        f"{name} is {tuple(got[name].shape)}, expected {tuple(weight.shape)}"
        for name, weight in wanted.items()
        if name in got and tuple(got[name].shape) != tuple(weight.shape)
    ]
    return problems
