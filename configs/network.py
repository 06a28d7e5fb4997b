"""Hyper-parameters of the diffusion transformer: one class of network, a variant is a config.

Values of the published variants are in the docstrings of the functions that return them; a network is built from its
config and nothing else.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class RopeConfig:
    """Rotary positions over (latent frame, patch row, patch column)."""

    theta: float = 10000.0
    t_ratio: float = 1.0  # extrapolation ratios stretch the wavelengths of an axis
    h_ratio: float = 3.0
    w_ratio: float = 3.0


@dataclass(frozen=True, kw_only=True)
class ControlConfig:
    """Control branches: small copies of the base whose outputs are added to it as hints."""

    branches: tuple[str, ...]  # one per control, in the published order
    injected_after: tuple[int, ...]  # base blocks that receive a hint; one control block each
    padded_channels: int = 128  # control latents are zero-padded to this many channels

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
    text_in_channels: int  # what the text encoder gives
    text_channels: int  # what the blocks attend to, after the projection
    latent_channels: int = 16
    patch: int = 2  # pixels of a latent frame per token, along each side
    timestep_scale: float = 0.001
    norm_eps: float = 1e-6
    rope: RopeConfig = field(default_factory=RopeConfig)
    control: ControlConfig | None = None

    def __post_init__(self) -> None:
        if self.width % self.heads or (self.width // self.heads) % 2:
            raise ValueError(f"width {self.width} over {self.heads} heads: heads must have one even width")
        if self.control is not None and self.control.injected_after[-1] >= self.blocks:
            raise ValueError(f"hint after block {self.control.injected_after[-1]}: the base has {self.blocks} blocks")

    @property
    def head_width(self) -> int:
        return self.width // self.heads


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
