"""Forward and backward time of attention on a CPU: as training does it, clip by clip, and by PyTorch's fused kernel.

python tests/benchmarks/attention.py [THREADS]
"""

import sys
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from airshower.models.attention import attend

REPEATS = 5
HEADS, HEAD_WIDTH = 4, 32  # of the tiny transfer network
BATCHES = {"3 latent frames": (15, 432), "9 latent frames": (5, 1296)}  # clips, tokens


def fused(q_BNHK: Tensor, k_BMHK: Tensor, v_BMHK: Tensor) -> Tensor:
    q, k, v = (x.transpose(1, 2) for x in (q_BNHK, k_BMHK, v_BMHK))
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


def best_s(attention: Callable[[Tensor, Tensor, Tensor], Tensor], clips: int, tokens: int) -> float:
    times_s = []
    for _ in range(REPEATS):
        q, k, v = (
            torch.randn(clips, tokens, HEADS, HEAD_WIDTH, dtype=torch.bfloat16, requires_grad=True) for _ in range(3)
        )
        begun_s = time.perf_counter()
        attention(q, k, v).sum().backward()
        times_s.append(time.perf_counter() - begun_s)
    return min(times_s)


if __name__ == "__main__":
    torch.set_num_threads(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
    for name, batch in BATCHES.items():
        print(f"{name}: clip by clip {best_s(attend, *batch) * 1e3:.0f} ms, fused {best_s(fused, *batch) * 1e3:.0f} ms")
