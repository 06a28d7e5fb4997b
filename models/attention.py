"""Scaled dot-product attention: the one place that chooses a kernel."""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

# On an H200 cuDNN's kernel takes 94 ms where torch's own choice takes 161 (84,480 tokens, 16 heads of 128, bfloat16).
_FASTEST_FIRST = [
    SDPBackend.CUDNN_ATTENTION,
    SDPBackend.FLASH_ATTENTION,
    SDPBackend.EFFICIENT_ATTENTION,
    SDPBackend.MATH,
]


def attend(q_BNHK: Tensor, k_BMHK: Tensor, v_BMHK: Tensor) -> Tensor:
    """Softmax attention without mask, scaled by 1/sqrt(K).

    Shapes: B batch, N queries, M keys, H heads, K head width. Returns (B, N, H*K) in the type of v.
    """
    q, k, v = (x.to(v_BMHK.dtype).transpose(1, 2) for x in (q_BNHK, k_BMHK, v_BMHK))
    trains = torch.is_grad_enabled() and q.requires_grad
    if trains and q.device.type == "cpu":
        attended = _clip_by_clip(q, k, v)
    elif q.is_cuda and not torch.is_grad_enabled():
        with sdpa_kernel(_FASTEST_FIRST, set_priority=True):
            attended = F.scaled_dot_product_attention(q, k, v)
    else:
        attended = F.scaled_dot_product_attention(q, k, v)
    return attended.transpose(1, 2).flatten(2)


def _clip_by_clip(q_BHNK: Tensor, k_BHMK: Tensor, v_BHMK: Tensor) -> Tensor:
    """The plain form, a clip at a time so that its scores stay in cache.

    On a CPU this trains faster than the fused kernel at the tiny model's lengths (tests/benchmarks/attention.py);
    scores are kept for the way back, which at full size would not fit.
    """
    scaled = q_BHNK * q_BHNK.shape[-1] ** -0.5
    clips = zip(scaled, k_BHMK, v_BHMK, strict=True)
    return torch.stack([(q @ k.mT).softmax(-1) @ v for q, k, v in clips])
