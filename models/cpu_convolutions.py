"""3D convolutions on CPUs by oneDNN, also of small clips.

torch asks oneDNN only where batch, channels, frames and rows multiply to more than 20,480 (`use_mkldnn` in
aten/src/ATen/native/Convolution.cpp); its own kernel, which takes the others, is several times slower in float32.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode


def fast_convolutions(device: torch.device, dtype: torch.dtype) -> AbstractContextManager[object]:
    """Within it, 3D convolutions on this device and in this type are as fast as torch can do them."""
    slow = device.type == "cpu" and dtype == torch.float32 and torch.backends.mkldnn.is_available()
    return _OneDnn() if slow else nullcontext()


class _OneDnn(TorchFunctionMode):
    def __torch_function__(
        self,
        function: Callable[..., object],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> object:
        chosen = _conv3d if function is torch.conv3d else function
        return chosen(*args, **(kwargs or {}))


def _conv3d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
) -> Tensor:
    """As nn.Conv3d calls torch.conv3d."""
    return torch.mkldnn_convolution(x, weight, bias, padding, stride, dilation, groups)
