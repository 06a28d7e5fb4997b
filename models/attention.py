"""Scaled dot-product attention: the one place that chooses a kernel."""

import torch
import torch.nn.functional as F
from torch import Tensor


def attend(q_BNHK: Tensor, k_BMHK: Tensor, v_BMHK: Tensor) -> Tensor:
    """Softmax attention without mask, scaled by 1/sqrt(K).

    Shapes: B batch, N queries, M keys, H heads, K head width. Returns (B, N, H*K) in the type of v.
    """
    q, k, v = (x.to(v_BMHK.dtype).transpose(1, 2) for x in (q_BNHK, k_BMHK, v_BMHK))
    trains = torch.is_grad_enabled() and q.requires_grad
    attended = _clip_by_clip(q, k, v) if trains and q.device.type == "cpu" else F.scaled_dot_product_attention(q, k, v)
    return attended.transpose(1, 2).flatten(2)


def _clip_by_clip(q_BHNK: Tensor, k_BHMK: Tensor, v_BHMK: Tensor) -> Tensor:
    """The plain form, a clip at a time so that its scores stay in cache.

    On a CPU this trains faster than the fused kernel at the tiny model's lengths (tests/benchmarks/attention.py);
    scores are kept for the way back, which at full size would not fit.
    """
    scaled = q_BHNK * q_BHNK.shape[-1] ** -0.5
    clips = zip(scaled, k_BHMK, v_BHMK, strict=True)
    return torch.stack([(q @ k.mT).softmax(-1) @ v for q, k, v in clips])
