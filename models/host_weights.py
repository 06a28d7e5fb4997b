"""Weights that live in host memory and visit a device: where they are kept, and how they get there.

A module's weights are packed into one piece of host memory, so that a visit is one copy. `Mover` is the device's side
of it: on CUDA copies run on a stream of their own from pinned memory, beside the computation. The rules, for whoever
orders copies: `start` copies behind everything that is queued so far, and what is queued after `wait` sees the copy.

Weights are for inference: nothing is copied back.
"""

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

ALIGNMENT_BYTES = 512  # what PyTorch gives its own CUDA tensors: kernels are chosen by it

HOST = torch.device("cpu")

Wait = Callable[[], None]


class Mover(Protocol):
    """Copies from host memory to one device."""

    device: torch.device

    def host(self, size_bytes: int) -> Tensor:
        """Host memory, uint8, that copies can start from."""
        ...

    def place(self, size_bytes: int) -> Tensor:
        """Device memory, uint8, that copies can go to; may be dropped at any time."""
        ...

    def start(self, place: Tensor, source: Tensor) -> Wait:
        """Copies into a place once all that is queued now is done with it; `Wait` holds back what is queued later."""
        ...


class CudaMover:
    """Copies on a side stream."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._stream = torch.cuda.Stream(device)

    def host(self, size_bytes: int) -> Tensor:
        return torch.empty(size_bytes, dtype=torch.uint8, pin_memory=True)

    def place(self, size_bytes: int) -> Tensor:
        place = torch.empty(size_bytes, dtype=torch.uint8, device=self.device)
        place.record_stream(self._stream)  # dropped with a copy under way, it must not be given to others too early
        return place

    def start(self, place: Tensor, source: Tensor) -> Wait:
        self._stream.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(self._stream):
            place.copy_(source, non_blocking=True)
        arrived = self._stream.record_event()
        return lambda: torch.cuda.current_stream(self.device).wait_event(arrived)


def gpu_mover(device: torch.device) -> Mover:
    """For the GPU that a model runs on; raises ValueError where it runs on a CPU."""
    if device.type != "cuda":
        raise ValueError(f"offload: a model on a {device.type} has its weights in host memory anyway: remove it")
    return CudaMover(device)


class CpuMover:
    """Copies at once: for proving on any machine that visiting weights compute the same."""

    device = HOST

    def host(self, size_bytes: int) -> Tensor:
        return torch.empty(size_bytes, dtype=torch.uint8)

    def place(self, size_bytes: int) -> Tensor:
        return torch.empty(size_bytes, dtype=torch.uint8)

    def start(self, place: Tensor, source: Tensor) -> Wait:
        place.copy_(source)
        return lambda: None


@dataclass(frozen=True)
class _Weight:
    """One parameter: whose it is, and where its bytes are."""

    owner: nn.Module
    name: str
    begin: int
    shape: torch.Size
    dtype: torch.dtype

    def within(self, memory: Tensor) -> nn.Parameter:
        size_bytes = math.prod(self.shape) * self.dtype.itemsize
        view = memory[self.begin : self.begin + size_bytes].view(self.dtype).view(self.shape)
        return nn.Parameter(view, requires_grad=False)


class HostWeights:
    """The parameters of a module, but for those of its children in `staying`, packed into host memory.

    Packing leaves the module without them: move what stays to its device, then `rest`.
    """

    def __init__(self, module: nn.Module, mover: Mover, staying: Collection[str] = ()) -> None:
        self._weights: list[_Weight] = []
        self.size_bytes = 0
        taken: list[nn.Parameter] = []
        for prefix, owner in module.named_modules():
            if prefix.split(".")[0] in staying:
                continue
            for name, weight in owner.named_parameters(recurse=False):
                self._weights.append(_Weight(owner, name, self.size_bytes, weight.shape, weight.dtype))
                self.size_bytes += math.ceil(weight.nbytes / ALIGNMENT_BYTES) * ALIGNMENT_BYTES
                taken.append(weight)
        self.host = mover.host(self.size_bytes)
        self._at_rest = self.views(self.host)
        for weight, parameter, copy in zip(self._weights, taken, self._at_rest, strict=True):
            copy.copy_(parameter)
            weight.owner._parameters[weight.name] = None

    def views(self, memory: Tensor) -> list[nn.Parameter]:
        """The parameters as they lie in a copy of the packed bytes."""
        return [weight.within(memory) for weight in self._weights]

    def use(self, parameters: list[nn.Parameter]) -> None:
        """The module computes with these, made by `views`, from now on."""
        for weight, parameter in zip(self._weights, parameters, strict=True):
            weight.owner._parameters[weight.name] = parameter

    def rest(self) -> None:
        """The module's parameters are those in host memory again."""
        self.use(self._at_rest)
