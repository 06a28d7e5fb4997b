"""Between frames as people keep them (uint8, channels last) and as networks take them (float, channels first)."""

import numpy as np
import torch
from torch import Tensor


def to_tensor(frames_FHW3: np.ndarray, device: torch.device) -> Tensor:
    """uint8 (F, H, W, 3) -> float32 (1, 3, F, H, W) in [-1, 1], as v/127.5 - 1."""
    return torch.from_numpy(frames_FHW3).to(device).permute(3, 0, 1, 2)[None].float() / 127.5 - 1


def to_frames(video_B3FHW: Tensor, *, rounded: bool = True) -> np.ndarray:
    """Float (1, 3, F, H, W) in [-1, 1] -> uint8 (F, H, W, 3), to the nearest or, as published, the lower value."""
    scaled = (video_B3FHW[0].float() + 1) * 127.5
    whole = (scaled.round() if rounded else scaled).clamp(0, 255)
    return whole.to(torch.uint8).permute(1, 2, 3, 0).contiguous().cpu().numpy()
