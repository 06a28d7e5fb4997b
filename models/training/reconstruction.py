"""The autoencoder's objective: pixels, image gradients and a slight pull of latents towards a unit Gaussian."""

import torch.nn.functional as F
from diffusers import AutoencoderKLWan
from torch import Tensor


def reconstruction_loss(
    model: AutoencoderKLWan, video_B3FHW: Tensor, *, gradient_weight: float, kl_weight: float
) -> Tensor:
    """Loss of a batch of videos in [-1, 1]."""
    posterior = model.encode(video_B3FHW).latent_dist
    decoded = model.decode(posterior.sample()).sample.float()
    loss = F.l1_loss(decoded, video_B3FHW) + 2 * F.mse_loss(decoded, video_B3FHW)
    for axis in (-1, -2):
        loss = loss + gradient_weight * F.l1_loss(decoded.diff(dim=axis), video_B3FHW.diff(dim=axis))
    return loss + kl_weight * posterior.kl().mean()
