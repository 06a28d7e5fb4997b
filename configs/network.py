"""Hyper-parameters of the diffusion transformer: one class of network, a variant is a config.

Values of the published variants are in the docstrings of the functions that return them; a network is built from its
config and nothing else.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

RopePrecision = Literal["float32", "bfloat16_exponents", "bfloat16"]


@dataclass(frozen=True, kw_only=True)
class RopeConfig:
    """Rotary positions over (latent frame, patch row, patch column)."""

    theta: float = 10000.0
    t_ratio: float = 1.0  # extrapolation ratios stretch the wavelengths of an axis
    h_ratio: float = 3.0
    w_ratio: float = 3.0
    base_fps: float | None = None  # frame t of a clip of f fps is at t / f * base_fps; None: at t, whatever f is
    # What the published code computes at run time: Predict2.5 and Transfer2.5 round the exponents to bfloat16, Predict2
    # computes the whole table in it.
    precision: RopePrecision = "float32"


@dataclass(frozen=True, kw_only=True)
class ImageConfig:
    """A style image that every block attends to beside the text."""

    channels: int  # what the image encoder gives


@dataclass(frozen=True, kw_only=True)
class ViewsConfig:
    """Several cameras in one clip, their frames one camera after the other; text is per camera.

    Cameras are told apart by an embedding of their ids: extra input channels, or an addition to all modulations.
    """

    cameras: int  # ids there are
    channels: int | None = None  # extra input channels; None: added to the modulations
    # Which cameras each one sees: then frames attend within their camera, and across at the same time. None: all
    # cameras' frames attend to each other.
    neighbours: Mapping[int, tuple[int, ...]] | None = None


@dataclass(frozen=True, kw_only=True)
class ControlConfig:
    """Control branches: small copies of the base whose outputs are added to it as hints."""

    branches: tuple[str, ...]  # one per control, in the published order
    injected_after: tuple[int, ...]  # base blocks that receive a hint; one control block each
    padded_channels: int = 128  # control latents are zero-padded to this many channels
    hint_layers: int = 0  # linear layers between the embedding of the control and its blocks

    def __post_init__(self) -> None:
        if not self.branches or len(set(self.branches)) != len(self.branches):
            raise ValueError(f"control branches {self.branches}: name at least one, each once")
        if list(self.injected_after) != sorted(set(self.injected_after)) or not self.injected_after:
            raise ValueError(f"hints injected after blocks {self.injected_after}: expected increasing block numbers")


@dataclass(frozen=True, kw_only=True)
class DitConfig:
    """One diffusion transformer of the 2B family."""

    blocks: int
    width: int
    heads: int
    mlp_width: int
    adaln_rank: int
    text_in_channels: int | None  # what the text encoder gives; None: what the blocks attend to, without projection
    text_channels: int  # what the blocks attend to
    latent_channels: int = 16
    patch: int = 2  # pixels of a latent frame per token, along each side
    timestep_scale: float = 0.001
    norm_eps: float = 1e-6
    rope: RopeConfig = field(default_factory=RopeConfig)
    control: ControlConfig | None = None
    image: ImageConfig | None = None
    views: ViewsConfig | None = None

    def __post_init__(self) -> None:
        if self.width % self.heads or (self.width // self.heads) % 2:
            raise ValueError(f"width {self.width} over {self.heads} heads: heads must have one even width")
        if self.control is not None and self.control.injected_after[-1] >= self.blocks:
            raise ValueError(f"hint after block {self.control.injected_after[-1]}: the base has {self.blocks} blocks")

    @property
    def head_width(self) -> int:
        return self.width // self.heads

    @property
    def extra_channels(self) -> int:
        """Input channels beside the latents: condition mask, padding mask, embedding of the camera."""
        return 2 + ((self.views.channels or 0) if self.views is not None else 0)

    @property
    def modulates_by_camera(self) -> bool:
        return self.views is not None and self.views.channels is None


def tiny_transfer_dit() -> DitConfig:
    """Toy-size Transfer2.5 multi-control network, about 2 M parameters.

    Wide rather than deep: a token carries 64 latent values, and all of their noise has to pass through its width.
    """
    return DitConfig(
        blocks=5,
        width=128,
        heads=4,
        mlp_width=256,
        adaln_rank=6,
        text_in_channels=64,
        text_channels=64,
        control=ControlConfig(branches=("edge", "vis", "depth", "seg"), injected_after=(0,), padded_channels=16),
    )


def tiny_multiview_dit() -> DitConfig:
    """Toy-size Transfer2.5 auto/multiview network, about 1.7 M parameters: seven cameras steered by their HD maps."""
    return DitConfig(
        blocks=6,
        width=128,
        heads=4,
        mlp_width=256,
        adaln_rank=6,
        text_in_channels=64,
        text_channels=64,
        rope=RopeConfig(t_ratio=8 / 24),
        control=ControlConfig(branches=("hdmap",), injected_after=(0, 2), padded_channels=16, hint_layers=2),
        views=ViewsConfig(cameras=7, channels=7),
    )
