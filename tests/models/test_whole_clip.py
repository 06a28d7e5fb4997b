"""The whole-clip form of the autoencoder computes what diffusers computes piece by piece."""

import pytest
import torch
from diffusers import AutoencoderKLWan

from airshower.models.whole_clip import decode_whole, encode_whole


@pytest.fixture(scope="module", params=["pixels", "patches"])
def model(request):
    torch.manual_seed(0)
    form = {
        "pixels": {"temperal_downsample": [False, True, True]},
        "patches": {
            "temperal_downsample": [True, True],
            "dim_mult": [1, 2, 4],
            "patch_size": 2,
            "in_channels": 12,
            "out_channels": 12,
        },
    }[request.param]
    return AutoencoderKLWan(base_dim=4, decoder_base_dim=6, num_res_blocks=1, **form).eval()


@pytest.mark.parametrize("frames", [1, 5, 13])
@torch.inference_mode()
def test_equals_the_walk_over_pieces(model, frames):
    video = torch.rand(2, 3, frames, 16, 24) * 2 - 1
    latents = model.encode(video).latent_dist.mode()
    torch.testing.assert_close(encode_whole(model, video).mode(), latents, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(
        decode_whole(model, latents).clamp(-1, 1), model.decode(latents).sample, atol=1e-5, rtol=1e-5
    )
