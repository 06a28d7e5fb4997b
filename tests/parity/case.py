"""Reference cases on disk: one folder each with case.json, io.safetensors and weights, many calls per folder.

A call carries everything that says what to run (family, kind, op, network, parameters, tensors); folder names and
shapes say nothing. Tensors are read only when they are asked for.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

Op = tuple[str, str, str]  # family, kind, op
TRACE_SUFFIX = "_steps"  # intermediate results, for debugging: the project need not expose them


@dataclass(frozen=True, kw_only=True)
class Call:
    """One evaluation of a reference case and what it has to give."""

    folder: Path
    case: Mapping[str, Any]
    call: Mapping[str, Any]

    @property
    def op(self) -> Op:
        return self.case["family"], self.case["kind"], self.call["op"]

    @property
    def net(self) -> Mapping[str, Any] | None:
        return self.case["net"]

    @property
    def params(self) -> Mapping[str, Any]:
        return self.call["params"]

    @property
    def weights(self) -> dict[str, Path]:
        """Weight files by role: main, base, or the control they belong to."""
        return {role: self.folder / file for role, file in self.case.get("weights", {}).items()}

    @cached_property
    def inputs(self) -> dict[str, Tensor]:
        return self._tensors("in.", self.call["inputs"])

    @cached_property
    def expected(self) -> dict[str, Tensor]:
        return self._tensors("out.", self.call["outputs"])

    def __str__(self) -> str:
        return f"{self.folder.name}:{self.call['name']}"

    def check(self, got: Mapping[str, Tensor]) -> None:
        """Raises AssertionError, naming the result, for one that is missing, of another shape or out of tolerance."""
        for result, expected in self.expected.items():
            if result not in got:
                assert result.endswith(TRACE_SUFFIX), f"{result} was not computed"
                continue
            assert got[result].shape == expected.shape, f"{result}: {got[result].shape}, expected {expected.shape}"
            assert torch.isfinite(got[result]).all(), f"{result} is not finite"
            failure = out_of_tolerance(got[result], expected, self._tolerance(result))
            assert failure is None, f"{result}: {failure}"

    def _tolerance(self, result: str) -> Mapping[str, float]:
        return self.case["tolerance_per_output"].get(result, self.case["tolerance"])

    def _tensors(self, prefix: str, names: Mapping[str, str]) -> dict[str, Tensor]:
        with safe_open(self.folder / "io.safetensors", framework="pt") as file:
            return {argument: file.get_tensor(prefix + name) for argument, name in names.items()}


def find_calls(root: Path) -> list[Call]:
    """Every call of every case below `root`; raises FileNotFoundError when there is none."""
    calls = []
    for path in sorted(root.glob("*/case.json")):
        case = json.loads(path.read_text())
        calls += [Call(folder=path.parent, case=case, call=call) for call in case["calls"]]
    if not calls:
        raise FileNotFoundError(f"{root}: no */case.json there: set PARITY_ROOT to a folder of reference cases")
    return calls


def out_of_tolerance(got: Tensor, expected: Tensor, tolerance: Mapping[str, float]) -> str | None:
    """What breaks the tolerance, in words; None when nothing does."""
    difference = (got.double() - expected.double()).abs()
    if "rtol" in tolerance:
        allowed = tolerance["atol"] + tolerance["rtol"] * expected.double().abs()
        excess = (difference - allowed).max().item()
        return f"off by {difference.max().item():.3g}, {excess:.3g} more than {dict(tolerance)}" if excess > 0 else None
    # Pictures: OpenCV builds differ in a few pixels. Channels of a pixel count one by one, as in the reference.
    share = (difference > 0).double().mean().item()
    if share > tolerance["max_fraction_of_differing_pixels"]:
        return f"{share:.4%} of the values differ, allowed by {dict(tolerance)} are fewer"
    most = difference.max().item()
    if most > tolerance.get("max_abs_difference", most):
        return f"off by {most:g} levels, allowed by {dict(tolerance)} are fewer"
    return None
