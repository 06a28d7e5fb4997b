"""Scaled dot-product attention: the one place that chooses a kernel."""

import torch.nn.functional as F
from torch import Tensor


def attend(q_BNHK: Tensor, k_BMHK: Tensor, v_BMHK: Tensor) -> Tensor:
    """Softmax attention without mask, scaled by 1/sqrt(K).

    Shapes: B batch, N queries, M keys, H heads, K head width. Returns (B, N, H*K) in the type of v.
    """
    q, k, v = (x.to(v_BMHK.dtype).transpose(1, 2) for x in (q_BNHK, k_BMHK, v_BMHK))
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
