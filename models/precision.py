"""What networks compute in."""

import torch


def compute_type(device: torch.device) -> torch.dtype:
    """bfloat16 on a GPU, float32 on a CPU."""
    return torch.float32 if device.type == "cpu" else torch.bfloat16
