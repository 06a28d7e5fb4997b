"""Offloaded parts compute what they computed, bit for bit, with few weights on the device at a time."""

from dataclasses import replace

import pytest
import torch

from airshower.configs.network import ControlConfig
from airshower.models.autoencoder import VideoAutoencoder
from airshower.models.dit.transformer import Context, ControlInput
from airshower.models.host_weights import CpuMover, gpu_mover
from airshower.models.reason1 import Reason1
from airshower.models.text import WordEncoder
from tests.benchmarks.random_reason1 import save_random_reason1
from tests.models.checkpoints.small import CONFIG, WITH_IMAGE, random_network

CPU = torch.device("cpu")


class CountingMover(CpuMover):
    """Remembers what it made and moved."""

    def __init__(self):
        self.places, self.copies = [], []

    def place(self, size_bytes):
        self.places.append(super().place(size_bytes).fill_(255))  # what no copy has filled is not a number
        return self.places[-1]

    def start(self, place, source):
        self.copies.append(source.data_ptr())
        return super().start(place, source)


def evaluate(net, controls):
    random = torch.Generator().manual_seed(1)

    def draw(*shape):
        return torch.randn(shape, generator=random)

    image = None if net.config.image is None else draw(1, 4, 64)
    context = Context(text_BMC=draw(1, 6, 48), image_BID=image)
    latents, mask, timesteps = draw(1, 16, 3, 4, 6), torch.zeros(1, 1, 3, 4, 6), torch.full((1, 1), 500.0)
    inputs = {control: ControlInput(draw(1, 16, 3, 4, 6), 0.7) for control in controls}
    with torch.inference_mode():
        return net(latents, timesteps, context, mask, inputs)


@pytest.mark.parametrize(
    ("config", "controls"),
    [
        (WITH_IMAGE, ("edge",)),
        (replace(CONFIG, control=ControlConfig(branches=("edge", "vis"), injected_after=(0, 2))), ("vis", "edge")),
        (replace(CONFIG, control=ControlConfig(branches=("edge",), injected_after=(1,))), ()),
    ],
)
def test_a_network_is_the_same_function_with_two_blocks_on_the_device(config, controls):
    plain, net, mover = random_network(config), random_network(config), CountingMover()
    net.offload(mover)
    for _ in range(2):
        assert torch.equal(evaluate(net, controls), evaluate(plain, controls))
    blocks = [*plain.blocks, *(block for branch in plain.branches.values() for block in branch.blocks)]
    largest_bytes = max(sum(weight.nbytes for weight in block.parameters()) for block in blocks)
    assert sum(place.numel() for place in mover.places) < 2.2 * largest_bytes  # each weight starts at a round address
    for name, weight in plain.state_dict().items():
        assert torch.equal(net.state_dict()[name], weight), name


def test_each_block_is_copied_once_per_pass_whatever_the_order():
    config = replace(CONFIG, control=ControlConfig(branches=("edge", "vis"), injected_after=(0, 2)))
    plain, net, mover = random_network(config), random_network(config), CountingMover()
    net.offload(mover)
    for _ in range(2):  # the order is learned in one pass, what follows its end in the next
        evaluate(net, ("edge",))
    mover.copies.clear()
    evaluate(net, ("edge",))
    assert len(mover.copies) == len(set(mover.copies)) == 4 + 2
    assert torch.equal(evaluate(net, ("edge", "vis")), evaluate(plain, ("edge", "vis")))  # another order


def test_a_pass_that_was_cut_short_spoils_nothing():
    plain, net = random_network(CONFIG), random_network(CONFIG)
    net.offload(CountingMover())
    handle = net.blocks[2].mlp.register_forward_pre_hook(lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        evaluate(net, ("edge",))
    handle.remove()
    assert torch.equal(net.blocks[2].mlp.layer1.weight, plain.blocks[2].mlp.layer1.weight)
    assert torch.equal(evaluate(net, ("edge",)), evaluate(plain, ("edge",)))


def test_the_autoencoder_is_away_while_it_is_not_used(random_model):
    plain, parked = (VideoAutoencoder.load(random_model / "autoencoder", CPU, torch.float32) for _ in range(2))
    mover = CountingMover()
    parked.offload(mover)
    video = torch.rand(1, 3, 5, 16, 24) * 2 - 1
    latents = parked.encode(video)
    assert torch.equal(latents, plain.encode(video))
    parked.prefetch()
    parked.prefetch()
    assert len(mover.places) == 2
    assert torch.equal(parked.decode(latents), plain.decode(latents))
    assert len(mover.places) == 2
    assert torch.equal(parked.decode(latents), plain.decode(latents))


def test_reason1_reads_a_prompt_layer_by_layer(tmp_path):
    words = ("system", "user", "rain")
    sizes = {"width": 40, "layers": 3, "heads": 2, "key_value_heads": 1, "mrope_section": (2, 4, 4)}
    save_random_reason1(tmp_path, words=words, dtype=torch.float32, **sizes)
    plain, offloaded = (Reason1.load(tmp_path, CPU, torch.float32) for _ in range(2))
    mover = CountingMover()
    offloaded.offload(mover)
    projection = torch.randn(16, 120), torch.randn(16)
    for prompt in ("rain user", "image"):
        assert torch.equal(offloaded.encode(prompt, projection), plain.encode(prompt, projection))
    assert torch.equal(offloaded.encode("rain"), plain.encode("rain"))
    assert len(mover.places) == 2


def test_the_tiny_text_encoder_too(random_model):
    plain, offloaded = (WordEncoder.load(random_model / "text_encoder", CPU) for _ in range(2))
    offloaded.offload(CountingMover())
    assert torch.equal(offloaded.encode("rain and snow", None), plain.encode("rain and snow", None))


def test_a_model_on_a_cpu_has_nothing_to_offload():
    with pytest.raises(ValueError, match="offload: a model on a cpu has its weights in host memory anyway: remove it"):
        gpu_mover(CPU)
