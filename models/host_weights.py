"""Weights that live in host memory and visit a device: where they are kept, and how they get there.

A module's weights are packed into one piece of memory, so that a visit is one copy. `Mover` is the device's side of it:
on CUDA copies run on a stream of their own from pinned memory, beside the computation. The rules, for whoever orders
copies: `start` copies behind everything that is queued so far, and what is queued after `wait` sees the copy. A
`Carrier` that isn't a mover keeps them elsewhere: see `sharded_weights.py`.

Weights are for inference: nothing is copied back.
"""

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

ALIGNMENT_BYTES = 512  # what PyTorch gives its own CUDA tensors: kernels are chosen by it

HOST = torch.device("cpu")

Wait = Callable[[], None]


class Carrier(Protocol):
    """Brings packed weights to places on one device."""

    device: torch.device

    def place(self, size_bytes: int) -> Tensor:
        """Device memory, uint8, that copies can go to; may be dropped at any time."""
        ...

    def start(self, place: Tensor, source: Tensor) -> Wait:
        """Copies into a place once all that is queued now is done with it; `Wait` holds back what is queued later."""
        ...


class Mover(Carrier, Protocol):
    """Brings them from host memory."""

    def host(self, size_bytes: int) -> Tensor:
        """Host memory, uint8, that copies can start from."""
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
class PackedWeight:
    """One parameter: whose it is, and where its bytes are."""

    owner: nn.Module
    name: str
    begin: int
    shape: torch.Size
    dtype: torch.dtype

    @property
    def end(self) -> int:
        return self.begin + math.prod(self.shape) * self.dtype.itemsize

    def within(self, memory: Tensor) -> nn.Parameter:
        """The parameter as it lies in the packed bytes."""
        return nn.Parameter(memory[self.begin : self.end].view(self.dtype).view(self.shape), requires_grad=False)


@dataclass(frozen=True)
class PackedWeights:
    """The parameters of a module, packed: a carrier brings them from `source` to a place of `size_bytes`."""

    weights: Sequence[PackedWeight]
    size_bytes: int
    source: Tensor
    at_rest: Sequence[nn.Parameter]  # what the module has while its weights are in no place

    def views(self, memory: Tensor) -> list[nn.Parameter]:
        """The parameters as they lie in a place."""
        return [weight.within(memory) for weight in self.weights]

    def use(self, parameters: Sequence[nn.Parameter]) -> None:
        """The module computes with these, made by `views`, from now on."""
        for weight, parameter in zip(self.weights, parameters, strict=True):
            weight.owner._parameters[weight.name] = parameter

    def rest(self) -> None:
        """The module computes no more for now."""
        self.use(self.at_rest)


def host_weights(module: nn.Module, mover: Mover, staying: Collection[str] = ()) -> PackedWeights:
    """A module's parameters, but for those of its children in `staying`, in host memory.

    Leaves the module without them: move what stays to its device, then `rest`.
    """
    weights, parameters, size_bytes = take_weights(module, staying)
    host = mover.host(size_bytes)
    at_rest = [weight.within(host) for weight in weights]
    for copy, parameter in zip(at_rest, parameters, strict=True):
        copy.copy_(parameter)
    return PackedWeights(weights, size_bytes, host, at_rest)


def take_weights(
    module: nn.Module, staying: Collection[str] = ()
) -> tuple[list[PackedWeight], list[nn.Parameter], int]:
    """Takes parameters out of a module, but for those of its children in `staying`; also how many bytes they fill."""
    weights: list[PackedWeight] = []
    parameters: list[nn.Parameter] = []
    size_bytes = 0
    for prefix, owner in module.named_modules():
        if prefix.split(".")[0] in staying:
            continue
        for name, parameter in owner.named_parameters(recurse=False):
            weights.append(PackedWeight(owner, name, size_bytes, parameter.shape, parameter.dtype))
            parameters.append(parameter)
            size_bytes += math.ceil(parameter.nbytes / ALIGNMENT_BYTES) * ALIGNMENT_BYTES
    for weight in weights:
        weight.owner._parameters[weight.name] = None
    return weights, parameters, size_bytes
