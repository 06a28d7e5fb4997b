"""Counts the memory that a computation's tensors take at their peak, at any size and without a GPU.

The computation runs on fake tensors: shapes and types without contents. What is counted is what PyTorch would allocate
for results, temporaries included; what kernels allocate for themselves is not known here. Kernels that are fused on a
GPU count as one.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.multiprocessing.reductions import StorageWeakRef
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


def peak_bytes(prepare: Callable[[], Callable[[], Any]]) -> int:
    """Of the computation that `prepare` returns; what it makes before that, such as weights, doesn't count."""
    with FakeTensorMode(), torch.inference_mode():
        work = prepare()
        counter = _Counter()
        with _FusedOnGpus(), counter:
            work()
    return counter.peak


class _Counter(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self._sizes: dict[StorageWeakRef, int] = {}
        self.peak = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        given = {_key(tensor) for tensor in tree_leaves((args, kwargs)) if isinstance(tensor, torch.Tensor)}
        result = func(*args, **kwargs)
        self._sizes = {key: size for key, size in self._sizes.items() if not key.expired()}
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor) and (key := _key(tensor)) not in given:
                self._sizes[key] = tensor.untyped_storage().nbytes()
        self.peak = max(self.peak, sum(self._sizes.values()))
        return result


class _FusedOnGpus(TorchFunctionMode):
    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func in (F.scaled_dot_product_attention, F.rms_norm):
            return torch.empty_like(args[0])
        return func(*args, **(kwargs or {}))


def _key(tensor: torch.Tensor) -> StorageWeakRef:
    return StorageWeakRef(tensor.untyped_storage())
