"""The formulas count what PyTorch counts on the networks themselves, and what was derived before there was any code."""

from dataclasses import replace

import pytest
import torch
from diffusers import AutoencoderKLWan
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from transformers import Qwen2_5_VLTextModel, T5Config, T5EncoderModel

from airshower.configs.flops import (
    IMAGE_TOKENS,
    TEXT_TOKENS,
    AutoencoderSize,
    ChunkSize,
    decode_flops,
    encode_flops,
    pass_flops,
    reason1_flops,
    t5_flops,
)
from airshower.configs.network import tiny_multiview_dit, tiny_transfer_dit
from airshower.configs.networks_2b import (
    predict25,
    transfer25,
    transfer25_multi_control,
    transfer25_multiview,
    transfer25_robot_multiview,
    transfer25_with_image,
)
from airshower.models.dit.transformer import Context, ControlInput, Transformer
from airshower.models.dit.views import Cameras
from airshower.models.whole_clip import decode_whole, encode_whole
from tests.benchmarks.random_reason1 import reason1_language_config

TERA = 1e12
FULL = ChunkSize(frames=93, height=704, width=1280)
SMALL = ChunkSize(frames=17, height=256, width=384)


def counted(run):
    """Of a computation on tensors without contents; meta tensors won't do, autocast refuses them."""
    # the fused attention of CPUs is no operation that PyTorch counts
    with FakeTensorMode(), FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        run()
    return counter.get_total_flops()


def counted_pass(config, chunk, controls):
    grid = (chunk.views * chunk.latent_frames(), chunk.height // 8, chunk.width // 8)

    def run():
        net = Transformer(config)
        image = None if config.image is None else torch.empty(1, IMAGE_TOKENS, config.width)
        cameras = None if config.views is None else Cameras(tuple(range(chunk.views)))
        text = torch.empty(1, TEXT_TOKENS * chunk.views, config.text_channels)
        names = () if config.control is None else config.control.branches[:controls]
        net(
            torch.empty(1, 16, *grid),
            torch.empty(1, 1),
            Context(text_BMC=text, image_BID=image, cameras=cameras),
            torch.empty(1, 1, *grid),
            {name: ControlInput(torch.empty(1, 16, *grid)) for name in names},
        )

    return counted(run)


def shallow(config):
    """Blocks are alike: two of the base and one of each branch show them all."""
    control = None if config.control is None else replace(config.control, injected_after=(1,))
    return replace(config, blocks=2, control=control)


@pytest.mark.parametrize(
    ("config", "chunk", "controls"),
    [
        (shallow(predict25()), SMALL, 0),
        (shallow(transfer25_with_image("edge")), SMALL, 1),
        (shallow(transfer25_multi_control()), SMALL, 4),
        (shallow(transfer25_multi_control()), SMALL, 2),
        (shallow(transfer25_multiview()), replace(SMALL, views=7), 1),
        (shallow(transfer25_robot_multiview()), replace(SMALL, views=3), 1),
        (tiny_transfer_dit(), SMALL, 2),
        (tiny_multiview_dit(), replace(SMALL, views=3), 1),
    ],
)
def test_a_pass_is_counted_as_on_the_network(config, chunk, controls):
    # what is left out is per latent frame: little beside the tokens, even here
    assert pass_flops(config, chunk, controls=controls).total == pytest.approx(
        counted_pass(config, chunk, controls), rel=0.01
    )


def test_a_whole_network_is_counted_as_it_is():
    config = transfer25("edge")
    assert pass_flops(config, SMALL, controls=1).total == pytest.approx(counted_pass(config, SMALL, 1), rel=0.01)


@pytest.mark.parametrize(
    ("config", "chunk", "controls", "tera"),
    [
        # derived from the architecture before this code was written
        (transfer25_with_image("edge"), FULL, 1, 2232),
        (transfer25_multiview(), ChunkSize(frames=29, height=720, width=1280, views=7), 1, 11_500),
    ],
)
def test_full_size_passes_are_as_derived(config, chunk, controls, tera):
    assert pass_flops(config, chunk, controls=controls).total / TERA == pytest.approx(tera, rel=0.01)


@pytest.mark.parametrize(
    ("chunk", "encode_tera", "decode_tera"),
    [
        (FULL, 428.1, 717.1),
        (ChunkSize(frames=93, height=480, width=832), 187.9, 316.0),
        (ChunkSize(frames=29, height=720, width=1280, views=7), 7 * 137.8, 7 * 230.4),
    ],
)
def test_the_published_autoencoder_takes_what_was_counted_on_it(chunk, encode_tera, decode_tera):
    assert encode_flops(AutoencoderSize(), chunk).total / TERA == pytest.approx(encode_tera, rel=0.002)
    assert decode_flops(AutoencoderSize(), chunk).total / TERA == pytest.approx(decode_tera, rel=0.002)


def test_a_patched_autoencoder_is_counted_as_it_is():
    size = AutoencoderSize(
        width=16, multipliers=(1, 2, 4), residual_blocks=1, halves_time=(True, True), channels=12, patch=2
    )
    chunk = ChunkSize(frames=17, height=64, width=96)
    settings = {"base_dim": 16, "decoder_base_dim": 16, "dim_mult": [1, 2, 4], "num_res_blocks": 1, "patch_size": 2}
    settings |= {"temperal_downsample": [True, True], "in_channels": 12, "out_channels": 12}
    encoded = counted(lambda: encode_whole(AutoencoderKLWan(**settings), torch.empty(1, 3, 17, 64, 96)))
    decoded = counted(lambda: decode_whole(AutoencoderKLWan(**settings), torch.empty(1, 16, 5, 8, 12)))
    assert encode_flops(size, chunk).total == pytest.approx(encoded, rel=1e-6)
    assert decode_flops(size, chunk).total == pytest.approx(decoded, rel=1e-6)


def test_text_encoders_are_counted_as_they_are():
    def reason1():
        config = reason1_language_config()
        config.num_hidden_layers, config.layer_types = 1, config.layer_types[:1]
        tokens = torch.zeros(1, TEXT_TOKENS, dtype=torch.long)
        Qwen2_5_VLTextModel(config)(input_ids=tokens, use_cache=False)

    def t5():
        config = T5Config(d_model=1024, d_kv=128, num_heads=128, d_ff=65_536, num_layers=1, vocab_size=64)
        T5EncoderModel(config)(input_ids=torch.zeros(1, TEXT_TOKENS, dtype=torch.long))

    projection = 2 * TEXT_TOKENS * 3584 * 1024
    assert reason1_flops(layers=1).total - projection == pytest.approx(counted(reason1), rel=0.01)
    assert t5_flops(layers=1).total == pytest.approx(counted(t5), rel=0.01)
