"""The Wan autoencoder over a whole clip at once.

diffusers walks a clip in pieces and carries a cache, which bounds memory however long the clip. Small clips are done
faster in few large operations, and training also needs the output before its clamp. Both compute the same function: a
causal convolution over the clip equals its pieces with their cache. Time is resampled past the first frame only, which
is a latent frame of its own.
"""

import torch
from diffusers import AutoencoderKLWan
from diffusers.models.autoencoders.autoencoder_kl_wan import WanResample, patchify, unpatchify
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from einops import rearrange
from torch import Tensor, nn


def encode_whole(model: AutoencoderKLWan, video_B3FHW: Tensor) -> DiagonalGaussianDistribution:
    """The posterior of a batch of clips of 4k+1 frames; equals `model.encode`."""
    encoder = model.encoder
    x = encoder.conv_in(patchify(video_B3FHW, model.config.patch_size or 1))
    for layer in encoder.down_blocks:
        x = _resample(layer, x) if isinstance(layer, WanResample) else layer(x)
    x = encoder.conv_out(encoder.nonlinearity(encoder.norm_out(encoder.mid_block(x))))
    return DiagonalGaussianDistribution(model.quant_conv(x))


def decode_whole(model: AutoencoderKLWan, latents_BCTYX: Tensor) -> Tensor:
    """Clips of 4k+1 frames; equals `model.decode` before its clamp."""
    decoder = model.decoder
    x = decoder.mid_block(decoder.conv_in(model.post_quant_conv(latents_BCTYX)))
    for block in decoder.up_blocks:
        for resnet in block.resnets:
            x = resnet(x)
        for upsampler in block.upsamplers or ():
            x = _resample(upsampler, x)
    x = decoder.conv_out(decoder.nonlinearity(decoder.norm_out(x)))
    return unpatchify(x, model.config.patch_size or 1)


def _resample(layer: WanResample, x: Tensor) -> Tensor:
    if layer.mode == "upsample3d" and x.shape[2] > 1:
        # The first frame stays one frame and is not seen by the later ones here.
        later = rearrange(layer.time_conv(x[:, :, 1:]), "b (two c) t y x -> b c (t two) y x", two=2)
        x = torch.cat((x[:, :, :1], later), dim=2)
    x = _each_frame(layer.resample, x)
    if layer.mode == "downsample3d" and x.shape[2] > 1:
        return torch.cat((x[:, :, :1], layer.time_conv(x)), dim=2)
    return x


def _each_frame(layer: nn.Module, x: Tensor) -> Tensor:
    batch = x.shape[0]
    return rearrange(layer(rearrange(x, "b c t y x -> (b t) c y x")), "(b t) c y x -> b c t y x", b=batch)
