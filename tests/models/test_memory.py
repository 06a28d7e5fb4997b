"""What is said of memory holds: weights as the networks have them, peaks as counted on the code as it is."""

import re
from dataclasses import replace

import pytest
import torch
from diffusers import AutoencoderKLWan
from transformers import Qwen2_5_VLTextModel, T5Config, T5EncoderModel

from airshower.configs.networks_2b import (
    transfer25,
    transfer25_multi_control,
    transfer25_robot_multiview,
    transfer25_with_image,
)
from airshower.configs.presets import transfer25_2b
from airshower.models import memory
from airshower.models.autoencoder import VideoAutoencoder
from airshower.models.dit.transformer import Context, ControlInput, Transformer
from airshower.models.dit.views import Cameras
from airshower.models.memory import BFLOAT16_BYTES, GIB, ClipShape, network_part, reason1_part, t5_part
from airshower.models.mesh import ONE_DEVICE
from airshower.models.model_memory import memory_without_weights
from airshower.models.sampling import ChunkConditions, sample
from airshower.models.unipc import flow_schedule
from tests.benchmarks.random_reason1 import reason1_language_config
from tests.counted_memory import peak_bytes
from tests.models.checkpoints.small import CONFIG, random_network
from tests.models.test_offload import CountingMover

HALF = torch.bfloat16
FULL = ClipShape(frames=93, height=704, width=1280)


def shallow(config):
    """The peak is within a block: one of each kind shows it."""
    return replace(config, blocks=1, control=replace(config.control, injected_after=(0,)))


def half_precision(module, *arguments):
    torch.set_default_dtype(HALF)
    try:
        return module(*arguments).eval().requires_grad_(False)
    finally:
        torch.set_default_dtype(torch.float32)


def sampler_run(config, shape, mesh=ONE_DEVICE):
    views = shape.views
    grid = (views * ((shape.frames - 1) // 4 + 1), shape.height // 8, shape.width // 8)

    def context():
        image = None if config.image is None else torch.empty(1, 256, config.width, dtype=HALF)
        cameras = None if config.views is None else Cameras(tuple(range(views)))
        return Context(text_BMC=torch.empty(1, 512 * views, 1024, dtype=HALF), image_BID=image, cameras=cameras)

    def prepare():
        net = half_precision(Transformer, config)

        def run():
            conditions = ChunkConditions(
                context=context(),
                negative_context=context(),
                given_BCTYX=torch.empty(1, 16, *grid),
                given_mask_B1TYX=torch.empty(1, 1, *grid),
                controls={name: ControlInput(torch.empty(1, 16, *grid)) for name in config.control.branches},
            )
            sample(net, torch.empty(1, 16, *grid), flow_schedule(2, 5.0), conditions, guidance=3.0, mesh=mesh)

        return run

    return prepare


@pytest.mark.parametrize(
    ("config", "shape"),
    [
        (transfer25_with_image("edge"), FULL),
        (transfer25_multi_control(), ClipShape(frames=29, height=704, width=1280)),
        (transfer25("edge"), ClipShape(frames=29, height=352, width=640)),
        (transfer25_robot_multiview(), ClipShape(frames=29, height=432, width=768, views=3)),
    ],
)
def test_denoising_takes_what_is_said(config, shape):
    config = shallow(config)
    said = memory.denoise_bytes(config, shape, len(config.control.branches))
    assert 0.97 <= said / peak_bytes(sampler_run(config, shape)) <= 1.06


@pytest.mark.parametrize(
    ("shape", "most"),
    [
        (ClipShape(frames=13, height=352, width=640), 1.02),  # walked
        (ClipShape(frames=1, height=704, width=1280), 1.45),  # whole: also right for the tiny models, which take more
    ],
)
def test_the_autoencoder_takes_what_is_said(shape, most):
    model = memory_without_weights(transfer25_2b(), ("edge",))
    size = (1, 16, (shape.frames - 1) // 4 + 1, shape.height // 8, shape.width // 8)

    def encode():
        autoencoder = VideoAutoencoder(half_precision(AutoencoderKLWan))
        return lambda: autoencoder.encode(torch.empty(1, 3, shape.frames, shape.height, shape.width))

    def decode():
        autoencoder = VideoAutoencoder(half_precision(AutoencoderKLWan))
        return lambda: autoencoder.decode(torch.empty(size))

    kernels = memory.CONVOLUTION_MAPS * shape.height * shape.width * model.autoencoder_channels * BFLOAT16_BYTES
    assert 0.99 <= (memory.encode_bytes(model, shape) - kernels) / peak_bytes(encode) <= most
    assert 0.99 <= (memory.decode_bytes(model, shape) - kernels) / peak_bytes(decode) <= most


def test_offloaded_blocks_leave_what_is_said():
    config = replace(CONFIG, width=256, mlp_width=1024)
    part, net, mover = network_part(config), random_network(config), CountingMover()
    values = sum(weight.numel() for weight in net.parameters())
    assert part.gib == values * BFLOAT16_BYTES / GIB
    net.offload(mover)
    visits = re.compile(r"(blocks|branches\.edge\.blocks)\.\d+\.(?!before_proj|after_proj)")
    stays = sum(weight.numel() for name, weight in net.named_parameters() if not visits.match(name))
    places = sum(place.numel() for place in mover.places) / torch.float32.itemsize
    assert part.offloaded_gib == pytest.approx((stays + places) * BFLOAT16_BYTES / GIB, rel=0.01)


def test_text_encoders_have_the_size_that_is_said():
    t5 = T5Config(vocab_size=32_128, d_model=1024, d_kv=128, d_ff=65_536, num_layers=24, num_heads=128)
    reason1 = reason1_language_config()
    for part, model, config in ((reason1_part(), Qwen2_5_VLTextModel, reason1), (t5_part(), T5EncoderModel, t5)):
        with torch.device("meta"):
            values = sum(weight.numel() for weight in model(config).parameters())
        assert part.gib == pytest.approx(values * BFLOAT16_BYTES / GIB, rel=1e-5)
    assert reason1_part().offloaded_gib < 1
