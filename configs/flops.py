"""How much arithmetic a clip takes: formulas over the sizes of networks, standard library only.

A multiply-add counts as two operations. What is left out is what time doesn't show: norms, rotations, the vectors of
time and modulation, which are per latent frame and not per token. The tests hold all of it against what PyTorch counts
on the networks themselves.

Symbols: N tokens, D width, M text tokens, C text channels.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from airshower.configs.network import DitConfig, ViewsConfig

TEXT_TOKENS = 512  # of a prompt, for the published networks
IMAGE_TOKENS = 256  # of a style image
_SPATIAL, _TEMPORAL = 8, 4  # pixels and frames that the autoencoders make one latent of


@dataclass(frozen=True, kw_only=True)
class Flops:
    """Operations, by the kind of kernel that does them: their rates differ."""

    attention: float = 0.0
    linear: float = 0.0
    convolution: float = 0.0

    def __add__(self, other: "Flops") -> "Flops":
        return Flops(
            attention=self.attention + other.attention,
            linear=self.linear + other.linear,
            convolution=self.convolution + other.convolution,
        )

    def __mul__(self, times: float) -> "Flops":
        return Flops(attention=self.attention * times, linear=self.linear * times, convolution=self.convolution * times)

    @property
    def total(self) -> float:
        return self.attention + self.linear + self.convolution


@dataclass(frozen=True, kw_only=True)
class ChunkSize:
    """What is made at a time: frames of each camera, in pixels."""

    frames: int  # 4k+1
    height: int
    width: int
    views: int = 1

    @property
    def pixels(self) -> int:
        """Of all cameras."""
        return self.views * self.frames * self.height * self.width

    def latent_frames(self) -> int:
        """Of each camera."""
        return 1 + (self.frames - 1) // _TEMPORAL

    def frame_tokens(self, patch: int) -> int:
        """Of one latent frame."""
        side = _SPATIAL * patch
        return (self.height // side) * (self.width // side)

    def __str__(self) -> str:
        views = f"{self.views} cameras, " if self.views > 1 else ""
        return f"{views}{self.width}x{self.height}, {self.frames} frames"


def pass_flops(config: DitConfig, chunk: ChunkSize, *, controls: int, text_tokens: int = TEXT_TOKENS) -> Flops:
    """One evaluation of the network; `controls` of its branches run. Text tokens are those of one camera."""
    tokens = chunk.views * chunk.latent_frames() * chunk.frame_tokens(config.patch)
    values = config.patch**2
    block = _block(config, chunk, text_tokens)
    square = Flops(linear=2 * tokens * config.width**2)
    embedded = (config.latent_channels + config.extra_channels) * values
    ends = Flops(linear=2 * tokens * config.width * (embedded + config.latent_channels * values))
    whole = block * config.blocks + ends
    if config.control is None or not controls:
        return whole
    hints = len(config.control.injected_after)
    entered = Flops(
        linear=2 * tokens * config.width * (config.control.padded_channels + config.extra_channels) * values
    )
    branch = (block + square) * hints + square * (1 + config.control.hint_layers) + entered
    return whole + branch * controls


def _block(config: DitConfig, chunk: ChunkSize, text_tokens: int) -> Flops:
    frames, frame_tokens = chunk.latent_frames(), chunk.frame_tokens(config.patch)
    tokens, width = chunk.views * frames * frame_tokens, config.width
    square = 2 * tokens * width**2
    texts = chunk.views * text_tokens
    apart = config.views is not None and config.views.neighbours is not None
    seen_by_token = frames * frame_tokens if apart else tokens
    block = Flops(
        attention=4 * tokens * seen_by_token * width + 4 * tokens * text_tokens * width,
        linear=6 * square + 4 * texts * config.text_channels * width + 4 * tokens * width * config.mlp_width,
    )
    if config.image is not None:
        image = Flops(attention=4 * tokens * IMAGE_TOKENS * width, linear=square + 4 * IMAGE_TOKENS * width**2)
        block += image
    if config.views is not None and apart:
        seen = _seen_cameras(config.views, chunk.views)
        lookers = sum(1 for count in seen if count)
        camera_tokens = frames * frame_tokens
        block += Flops(
            attention=sum(4 * camera_tokens * count * frame_tokens * width for count in seen),
            linear=(4 * lookers + 4 * sum(seen)) * camera_tokens * width**2,
        )
    return block


def _seen_cameras(views: ViewsConfig, cameras: int) -> list[int]:
    """How many of the first `cameras` cameras each of them sees."""
    neighbours = views.neighbours or {}
    return [sum(1 for other in neighbours[camera] if other < cameras) for camera in range(cameras)]


@dataclass(frozen=True, kw_only=True)
class AutoencoderSize:
    """The sizes of a causal video autoencoder of the Wan family; the defaults are those of the 2B family."""

    width: int = 96  # of the first layer
    multipliers: tuple[int, ...] = (1, 2, 4, 4)  # of the width, by level
    residual_blocks: int = 2  # of a level
    halves_time: tuple[bool, ...] = (False, True, True)  # between levels
    channels: int = 3  # of what enters and leaves, patched
    latent_channels: int = 16
    patch: int = 1

    @property
    def levels(self) -> int:
        return len(self.multipliers)


def encode_flops(size: AutoencoderSize, chunk: ChunkSize) -> Flops:
    """From video to latents, every camera."""
    widths = [size.width * factor for factor in (1, *size.multipliers)]
    places = list(_places(size, chunk))
    work = _conv(places[0], size.channels, widths[0], 27)
    for level in range(size.levels):
        work += _residuals(places[level], widths[level], widths[level + 1], size.residual_blocks)
        if level < size.levels - 1:
            frames, area = places[level][0], places[level + 1][1]
            work += _conv((frames, area), widths[level + 1], widths[level + 1], 9)
            if size.halves_time[level]:
                work += _conv((places[level + 1][0] - 1, area), widths[level + 1], widths[level + 1], 3)
    both = 2 * size.latent_channels  # mean and deviation
    work += _middle(places[-1], widths[-1]) + _conv(places[-1], widths[-1], both, 27)
    return (work + _conv(places[-1], both, both, 1)) * chunk.views


def decode_flops(size: AutoencoderSize, chunk: ChunkSize) -> Flops:
    """From latents to video, every camera."""
    reversed_widths = [size.width * factor for factor in reversed(size.multipliers)]
    widths = [reversed_widths[0], *reversed_widths]
    places = list(reversed(list(_places(size, chunk))))
    doubles_time = tuple(reversed(size.halves_time))
    work = _conv(places[0], size.latent_channels, size.latent_channels, 1)
    work += _conv(places[0], size.latent_channels, widths[0], 27) + _middle(places[0], widths[0])
    for level in range(size.levels):
        entering = widths[level] // 2 if level else widths[level]
        work += _residuals(places[level], entering, widths[level + 1], size.residual_blocks + 1)
        if level < size.levels - 1:
            frames, area = places[level]
            if doubles_time[level]:
                work += _conv((frames - 1, area), widths[level + 1], 2 * widths[level + 1], 3)
            work += _conv((places[level + 1][0], places[level + 1][1]), widths[level + 1], widths[level + 1] // 2, 9)
    return (work + _conv(places[-1], widths[-1], size.channels, 27)) * chunk.views


_Places = tuple[int, int]  # frames, and values of a frame along height and width


def _places(size: AutoencoderSize, chunk: ChunkSize) -> Iterator[_Places]:
    """Where the layers of every level compute, from the video's end."""
    frames, area = chunk.frames, (chunk.height // size.patch) * (chunk.width // size.patch)
    yield frames, area
    for halves in size.halves_time:
        frames, area = (1 + (frames - 1) // 2 if halves else frames), area // 4
        yield frames, area


def _conv(places: _Places, inward: int, outward: int, taps: int) -> Flops:
    return Flops(convolution=2.0 * places[0] * places[1] * inward * outward * taps)


def _residuals(places: _Places, inward: int, outward: int, blocks: int) -> Flops:
    first = _conv(places, inward, outward, 27) + _conv(places, outward, outward, 27)
    if inward != outward:
        first += _conv(places, inward, outward, 1)
    return first + _conv(places, outward, outward, 27) * (2 * (blocks - 1))


def _middle(places: _Places, width: int) -> Flops:
    """Two residual blocks, and attention within every frame between them."""
    frames, area = places
    attention = Flops(attention=4.0 * frames * area**2 * width)
    return _residuals(places, width, width, 2) + attention + _conv(places, width, 4 * width, 1)


def reason1_flops(layers: int = 28) -> Flops:
    """A prompt through the language model of Qwen2.5-VL-7B, and its projection for one network."""
    width, hidden, keys = 3584, 18_944, 512
    weights = 2 * width * width + 2 * width * keys + 3 * width * hidden
    projected = layers * width * 1024
    return Flops(attention=4 * layers * TEXT_TOKENS**2 * width, linear=2 * TEXT_TOKENS * (layers * weights + projected))


def t5_flops(layers: int = 24) -> Flops:
    """A prompt through the encoder of T5-11B."""
    width, hidden, heads_width = 1024, 65_536, 16_384
    weights = 4 * width * heads_width + 2 * width * hidden
    return Flops(attention=4 * layers * TEXT_TOKENS**2 * heads_width, linear=2 * TEXT_TOKENS * layers * weights)
