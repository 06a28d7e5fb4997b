"""The autoencoder's objective: pixels, image gradients and a slight pull of latents towards a unit Gaussian."""

import torch.nn.functional as F
from diffusers import AutoencoderKLWan
from torch import Tensor

from airshower.models.whole_clip import decode_whole, encode_whole


def reconstruction_loss(
    model: AutoencoderKLWan, video_B3FHW: Tensor, *, gradient_weight: float, kl_weight: float
) -> Tensor:
    """Loss of a batch of videos in [-1, 1]."""
    posterior = encode_whole(model, video_B3FHW)
    decoded = decode_whole(model, posterior.sample()).float()
    loss = F.l1_loss(decoded, video_B3FHW) + 2 * F.mse_loss(decoded, video_B3FHW)
    for axis in (-1, -2):
        loss = loss + gradient_weight * F.l1_loss(decoded.diff(dim=axis), video_B3FHW.diff(dim=axis))
    nats_per_latent = posterior.kl().sum() / posterior.mean.numel()
    return loss + kl_weight * nats_per_latent
