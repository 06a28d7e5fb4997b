"""How much GPU memory a row takes, in GiB: pure arithmetic over a model's sizes and a clip's shape.

A row passes through three states on its replica: encoding, denoising and decoding; its need is the largest. What is
counted is what tensors take at their peak, with weights in bfloat16. Three kinds of numbers are in here:

- bytes of weights, from the networks' own shapes;
- tensors that are alive at the peak, counted on the code as it is by `tests/counted_memory.py`; a test holds the
  formulas against it, so a change of the code that costs memory shows;
- what kernels take for themselves, measured on a GPU by `tests/benchmarks/memory.py`, which prints need and truth.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from math import ceil

import torch
from torch import nn

from airshower.configs.gang_layout import ALONE, GangLayout
from airshower.configs.network import DitConfig
from airshower.configs.offload import Offload
from airshower.models.chunks import SPATIAL_FACTOR, WHOLE_CLIP_PIXELS, latent_frames
from airshower.models.dit.block import BESIDE_FORWARD
from airshower.models.dit.layers import PIECE_TOKENS
from airshower.models.dit.transformer import Transformer
from airshower.models.streamed_layers import PLACES

GIB = 2**30
BFLOAT16_BYTES, FLOAT32_BYTES = 2, 4

# Counted. A unit is a tensor of tokens x width: the input of a block, its modulated form, q, k, k before its rotation,
# v; and of every control its branch's state.
HELD_UNITS = 6
PIECE_UNITS = 10  # of a piece: the rotation's temporaries, float32
EXCHANGE_UNITS = 2  # beside q, k, v and what they gave: that on its way back to other ranks, and from them
SAMPLER_LATENTS = 6  # float32: states, predictions, velocities
# Counted. A map is a frame of the autoencoder's first layer. It walks a clip four frames at a time with a cache for
# every layer, or takes a small clip whole, then so many maps per frame; pixels of the video come on top.
ENCODE_MAPS, DECODE_MAPS = 38.7, 52.7
WHOLE_ENCODE_MAPS, WHOLE_DECODE_MAPS = 8.4, 7.3
ENCODE_PIXEL_BYTES, DECODE_PIXEL_BYTES, FRAMES_PIXEL_BYTES = 18, 6, 48  # the last one: from latents to uint8 at the end

# cuDNN's workspace for the widest convolution: the largest of four clips on an H200 (tests/benchmarks/memory.py).
CONVOLUTION_MAPS = 7.0
# What the CUDA libraries of a process take before it has any tensor, measured like that.
CONTEXT_GIB = 0.6
# Of a text encoder at work, measured on an H200: 0.42 with the projection of one network, 0.2 for each of three more.
TEXT_WORK_GIB = 1.0
# PyTorch's allocator hands out blocks that don't fit into each other without gaps; a row must have so much more.
GAPS = 0.05

STYLE_ENCODER_GIB = 0.8  # SigLIP2 so400m, the vision half: 0.43 G values


@dataclass(frozen=True, kw_only=True)
class Part:
    """A part's weights on the GPU, GiB: when they stay there, and the most when they are offloaded."""

    gib: float
    offloaded_gib: float
    layers_gib: float = 0.0  # of that, layers that may visit
    places_gib: float = 0.0  # what they visit

    def resident_gib(self, offloaded: bool) -> float:
        """What it takes."""
        return self.offloaded_gib if offloaded else self.gib

    def spread_gib(self, ranks: int) -> float:
        """What it takes on each of some ranks that share its layers; the rest is on all of them."""
        return self.gib - self.layers_gib + self.layers_gib / ranks + self.places_gib


@dataclass(frozen=True, kw_only=True)
class ClipShape:
    """What is made at a time: one chunk of every camera, in pixels."""

    frames: int  # 4k+1
    height: int
    width: int
    views: int = 1

    def tokens(self, patch: int) -> int:
        """Of all cameras."""
        side = SPATIAL_FACTOR * patch
        return self.views * latent_frames(self.frames) * (self.height // side) * (self.width // side)

    def __str__(self) -> str:
        views = f"{self.views} cameras, " if self.views > 1 else ""
        return f"{views}{self.width}x{self.height}, {self.frames} frames"


@dataclass(frozen=True, kw_only=True)
class ModelMemory:
    """A model as far as its memory goes."""

    config: DitConfig
    network: Part
    autoencoder: Part
    autoencoder_channels: int  # of its first layer
    autoencoder_patch: int = 1  # pixels of a frame that its first layer takes together, along each side
    text: Part | None = None  # None: not on the GPU


@dataclass(frozen=True, kw_only=True)
class Need:
    """The most that tensors take while a row is made, GiB, weights included."""

    encode_gib: float
    denoise_gib: float
    decode_gib: float

    @property
    def gib(self) -> float:
        """Of the row as a whole."""
        return max(self.encode_gib, self.denoise_gib, self.decode_gib)

    @property
    def room_gib(self) -> float:
        """What has to be there for it."""
        return self.gib * (1 + GAPS)


def row_need(
    model: ModelMemory,
    shape: ClipShape,
    controls: int,
    offload: Collection[Offload] = (),
    extra_gib: float = 0.0,
    gang: GangLayout = ALONE,
) -> Need:
    """Of a row on its replica, without the text encoder; `extra_gib` is there all the time.

    Of a gang, on its first rank, which has the autoencoder.
    """
    if gang.spreads_weights:
        network = model.network.spread_gib(gang.ranks) + extra_gib
    else:
        network = model.network.resident_gib("dit" in offload) + extra_gib
    coded = network + model.autoencoder.gib
    apart = network + model.autoencoder.resident_gib("autoencoder" in offload)
    return Need(
        encode_gib=coded + encode_bytes(model, shape) / GIB,
        denoise_gib=apart + denoise_bytes(model.config, shape, controls, gang.token_ranks) / GIB,
        decode_gib=coded + decode_bytes(model, shape) / GIB,
    )


def text_gib(model: ModelMemory, offload: Collection[Offload]) -> float:
    """Of the text encoder at work."""
    return 0.0 if model.text is None else model.text.resident_gib("text" in offload) + TEXT_WORK_GIB


def gpu_gib(model: ModelMemory, need: Need, offload: Collection[Offload]) -> float:
    """Of a GPU that makes rows and has the text encoder beside, each in a process of its own."""
    processes = 1 if model.text is None else 2
    return need.room_gib + text_gib(model, offload) + processes * CONTEXT_GIB


def denoise_bytes(config: DitConfig, shape: ClipShape, controls: int, token_ranks: int = 1) -> float:
    """Of one evaluation of the network within the sampler, at its peak, which is in self-attention.

    On the rank with most tokens, where ranks share them.
    """
    all_tokens = shape.tokens(config.patch)
    tokens = ceil(all_tokens / token_ranks)
    unit = tokens * config.width * BFLOAT16_BYTES
    piece = min(tokens, PIECE_TOKENS) * config.width * BFLOAT16_BYTES
    rotation = tokens * config.head_width * 2 * FLOAT32_BYTES
    latents = all_tokens * config.patch**2 * config.latent_channels * FLOAT32_BYTES
    return (
        (HELD_UNITS + controls) * unit
        # keys that are put together, the last piece of them in the making, or what a mesh sends and receives
        + max(unit, PIECE_UNITS * piece, EXCHANGE_UNITS * unit if token_ranks > 1 else 0)
        + rotation
        + (SAMPLER_LATENTS + controls) * latents
    )


def encode_bytes(model: ModelMemory, shape: ClipShape) -> float:
    """Of the autoencoder, from a video to latents, one camera at a time."""
    video_bytes = ENCODE_PIXEL_BYTES + (DECODE_PIXEL_BYTES if model.autoencoder_patch > 1 else 0)
    maps = _maps(shape, ENCODE_MAPS, WHOLE_ENCODE_MAPS)
    return maps * _map_bytes(model, shape) + video_bytes * _pixels(shape)


def decode_bytes(model: ModelMemory, shape: ClipShape) -> float:
    """Of the autoencoder, from latents to frames, one camera at a time."""
    maps = _maps(shape, DECODE_MAPS, WHOLE_DECODE_MAPS)
    walked = maps * _map_bytes(model, shape) + DECODE_PIXEL_BYTES * _pixels(shape)
    return max(walked, FRAMES_PIXEL_BYTES * _pixels(shape))


def _maps(shape: ClipShape, walked: float, whole: float) -> float:
    return (whole * shape.frames if _pixels(shape) <= WHOLE_CLIP_PIXELS else walked) + CONVOLUTION_MAPS


def _map_bytes(model: ModelMemory, shape: ClipShape) -> float:
    places = shape.height * shape.width / model.autoencoder_patch**2
    return places * model.autoencoder_channels * BFLOAT16_BYTES


def _pixels(shape: ClipShape) -> int:
    return shape.frames * shape.height * shape.width


def network_part(config: DitConfig) -> Part:
    """Of a transformer, whose offloaded blocks visit in two places."""
    with torch.device("meta"):
        net = Transformer(config)
    blocks = [
        sum(weight.numel() for name, weight in block.named_parameters() if name.split(".")[0] not in BESIDE_FORWARD)
        for block in net.all_blocks()
    ]
    return streamed_part(sum(weight.numel() for weight in net.parameters()), blocks)


def module_part(module: nn.Module) -> Part:
    """Of a module that is offloaded as a whole."""
    return Part(gib=sum(weight.numel() for weight in module.parameters()) * BFLOAT16_BYTES / GIB, offloaded_gib=0.0)


def streamed_part(values: int, layer_values: Sequence[int], on_host_values: int = 0) -> Part:
    """Of a part with so many values, of which layers visit and some others never do once it is offloaded."""
    gib_per_value = BFLOAT16_BYTES / GIB
    layers, places = sum(layer_values), PLACES * max(layer_values)
    return Part(
        gib=values * gib_per_value,
        offloaded_gib=(values - layers - on_host_values + places) * gib_per_value,
        layers_gib=layers * gib_per_value,
        places_gib=places * gib_per_value,
    )


def reason1_part() -> Part:
    """Of the language model of Qwen2.5-VL-7B: 28 layers of width 3584 and its table of 152064 tokens."""
    width, hidden, keys, tokens, layers = 3584, 18_944, 512, 152_064, 28
    attention = 2 * width * width + width + 2 * (width * keys + keys)
    layer = attention + 3 * width * hidden + 2 * width
    return streamed_part(layers * layer + tokens * width + width, [layer] * layers, on_host_values=tokens * width)


def t5_part() -> Part:
    """Of T5-11B's encoder: 24 layers of width 1024 and its table of 32128 tokens."""
    width, hidden, heads_width, tokens, layers = 1024, 65_536, 16_384, 32_128, 24
    layer = 4 * width * heads_width + 2 * width * hidden + 2 * width
    return streamed_part(layers * layer + tokens * width + width, [layer] * layers)
