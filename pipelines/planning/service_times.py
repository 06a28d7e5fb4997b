"""How long a row takes in each stage, by its kind and the type of GPU: predicted first, then corrected by what is made.

A prediction is arithmetic divided by a rate. The rates of an H200 are measured (docs/benchmarks.md); those of other
GPUs are an estimate, their published peak at the share of it that an H200 reaches. Rows that are made correct both, in
the logarithm of the time: a stage on a type of GPU as a whole, and each kind within it, the more the less was known.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Protocol

from airshower.configs.flops import Flops
from airshower.configs.gpus import GPUS, Gpu
from airshower.configs.row_kind import RowKind, RowWork
from airshower.pipelines.events import STAGES

# TFLOP/s of an H200 within whole passes and clips, what is not arithmetic included: of docs/benchmarks.md, passes of
# 1 and 4 controls and of 7 cameras, which the two rates of the network give within 1 %, and encode and decode.
_H200_ATTENTION, _H200_LINEAR, _H200_CONVOLUTION = 604.0, 367.0, 144.0
# A float32 core at the tiny models, an estimate from a busy machine.
_CORE_TFLOPS = 0.03
# An estimate: GPUs wait for the CPU that starts their kernels where these are tiny.
_BLOCK_START_S = 0.0005
_UNKNOWN_TFLOPS = 312.0  # an A100's, for a GPU whose peak isn't known

# Of one CPU core per million pixels, from the same table: reading and resizing; x264; packing on the replica.
_PREPARE_S, _WRITE_S, _PACK_S = 0.025, 0.2, 0.016
_ANNOTATE_S = 0.1  # a guess: detection, tracking and depth on any GPU

# Standard deviations of the logarithm of a time. Of a prediction:
_MEASURED, _ESTIMATED, _UNKNOWN = 0.05, 0.3, 0.8
_KINDS = 0.08  # of kinds around the correction of their stage
_ROWS = 0.1  # of a row around its kind
# Part of the work that more GPUs of a gang don't share: published times on 1, 4 and 8 GPUs are 374, 117 and 82 s.
_GANG_SERIAL = 0.1


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A time, and how far it may be off: the standard deviation of its logarithm."""

    seconds: float
    spread: float


class Costs(Protocol):
    """The arithmetic of rows, as `airshower.actors.model_costs.ModelCosts` knows it."""

    @property
    def text_on_gpu(self) -> bool: ...

    def work(self, kind: RowKind) -> RowWork: ...

    def replica_gib(self, kind: RowKind, gang: int = 1) -> float: ...

    def text_gib(self, kind: RowKind) -> float: ...

    def weights_gib(self, kind: RowKind) -> float: ...


class ServiceTimes:
    """Knows one model's rows; `gpu` None is a CPU core everywhere."""

    def __init__(self, costs: Costs) -> None:
        self.costs = costs
        self._work = cache(costs.work)
        self._of_stage: dict[tuple[str, str], _Sum] = {}
        self._of_kind: dict[tuple[str, str, RowKind], _Sum] = {}

    def of(self, kind: RowKind, stage: str, gpu: Gpu | None = None, gang: int = 1) -> Estimate:
        """Of one row in a stage of `airshower.pipelines.events.STAGES`."""
        predicted = self._predicted(kind, stage, gpu, gang)
        prior = _prior_spread(stage, gpu)
        stage_sum = self._of_stage.get(_place(stage, gpu), _Sum())
        kind_sum = self._of_kind.get((*_place(stage, gpu), kind), _Sum())
        shift = stage_sum.total / (stage_sum.count + (_ROWS / prior) ** 2)
        weight = kind_sum.count + (_ROWS / _KINDS) ** 2
        of_kind = (kind_sum.total - kind_sum.count * shift) / weight
        spread = math.hypot(
            prior / math.sqrt(1 + stage_sum.count * (prior / _ROWS) ** 2),
            _ROWS / math.sqrt(weight) if stage_sum.count else 0.0,
        )
        return Estimate(seconds=predicted * math.exp(shift + of_kind), spread=spread)

    def learn(self, kind: RowKind, gpu: Gpu | None, seconds: Mapping[str, float]) -> None:
        """What a row took, by stage; loading of a network, `load_s`, doesn't count."""
        measured = {stage: seconds[stage] for stage in STAGES if stage in seconds}
        if "generate" in measured:
            measured["generate"] -= seconds.get("load_s", 0.0)
        for stage, taken_s in measured.items():
            predicted = self._predicted(kind, stage, gpu, 1)
            if taken_s > 0 and predicted > 0:
                off = math.log(taken_s / predicted)
                place = _place(stage, gpu)
                self._of_stage.setdefault(place, _Sum()).add(off)
                self._of_kind.setdefault((*place, kind), _Sum()).add(off)

    def _predicted(self, kind: RowKind, stage: str, gpu: Gpu | None, gang: int) -> float:
        videos = max(1, len(kind.controls)) * kind.megapixels
        if stage == "prepare":
            return _PREPARE_S * videos
        if stage == "annotate":
            return _ANNOTATE_S * kind.megapixels if kind.annotated else 0.0
        if stage == "write":
            return _WRITE_S * (kind.megapixels + len(kind.controls) * kind.megapixels)
        work = self._work(kind)
        if stage == "text":
            return _seconds(work.text, gpu)
        one_pass = _seconds(work.one_pass, gpu)
        if gpu is not None:
            one_pass = max(one_pass, work.blocks * _BLOCK_START_S)
        shared = _GANG_SERIAL + (1 - _GANG_SERIAL) / gang
        coded = _seconds(work.encode + work.decode, gpu)
        return work.passes * one_pass * shared + coded + _PACK_S * (kind.megapixels + videos)


@dataclass
class _Sum:
    count: int = 0
    total: float = 0.0

    def add(self, value: float) -> None:
        self.count += 1
        self.total += value


def _seconds(work: Flops, gpu: Gpu | None) -> float:
    if gpu is None:
        return work.total / (_CORE_TFLOPS * 1e12)
    share = (gpu.bf16_tflops or _UNKNOWN_TFLOPS) / (GPUS["H200"].bf16_tflops or _UNKNOWN_TFLOPS)
    terms = (work.attention / _H200_ATTENTION, work.linear / _H200_LINEAR, work.convolution / _H200_CONVOLUTION)
    return sum(terms) / (share * 1e12)


def _place(stage: str, gpu: Gpu | None) -> tuple[str, str]:
    """What is corrected together: preparing and writing are the same wherever a row is generated."""
    return stage, "" if gpu is None or stage in ("prepare", "write") else gpu.type


def _prior_spread(stage: str, gpu: Gpu | None) -> float:
    if stage in ("prepare", "write"):
        return _ESTIMATED
    if gpu is None or gpu.bf16_tflops is None or stage == "annotate":
        return _UNKNOWN
    return _MEASURED if gpu == GPUS["H200"] else _ESTIMATED
