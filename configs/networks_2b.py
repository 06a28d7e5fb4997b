"""Hyper-parameters of the published 2B networks (Cosmos-Predict2, -Predict2.5, -Transfer2.5).

Sources: the configurations of the published code. Rotary tables have the precision that code computes them in.
"""

from dataclasses import replace

from airshower.configs.network import ControlConfig, DitConfig, ImageConfig, RopeConfig, ViewsConfig
from airshower.configs.spec import CONTROLS

UNNAMED_CONTROL = "control"  # files of one control don't say which
CAMERAS = 7  # ids of the driving rigs
ROBOT_NEIGHBOURS = {0: (1, 2), 1: (0, 2), 2: (0, 1)}
_SPACED = (0, 7, 14, 21)  # base blocks that take in a hint


def predict25() -> DitConfig:
    """Predict2.5 base, the network that every other one of the 2.5 family extends."""
    return DitConfig(
        blocks=28,
        width=2048,
        heads=16,
        mlp_width=8192,
        adaln_rank=256,
        text_in_channels=100_352,
        text_channels=1024,
        rope=RopeConfig(precision="bfloat16_exponents"),
    )


def predict2() -> DitConfig:
    """Predict2 Video2World: T5 text without projection, timesteps in 0..1."""
    return replace(predict25(), text_in_channels=None, timestep_scale=1.0, rope=RopeConfig(precision="bfloat16"))


def predict2_multiview() -> DitConfig:
    """Predict2 multiview, the one network whose positions in time depend on the frame rate."""
    rope = RopeConfig(t_ratio=8 / 24, base_fps=24.0, precision="bfloat16")
    return replace(predict2(), rope=rope, views=ViewsConfig(cameras=CAMERAS, channels=CAMERAS))


def predict25_multiview() -> DitConfig:
    """Predict2.5 auto/multiview."""
    rope = RopeConfig(t_ratio=8 / 24, precision="bfloat16_exponents")
    return replace(predict25(), rope=rope, views=ViewsConfig(cameras=CAMERAS, channels=CAMERAS))


def predict25_robot_multiview() -> DitConfig:
    """Predict2.5 robot/multiview: three cameras, each attending to the two others at the same time."""
    return replace(predict25(), views=ViewsConfig(cameras=3, neighbours=ROBOT_NEIGHBOURS))


def transfer25(control: str) -> DitConfig:
    """Transfer2.5 general for one control, without the branch for a style image."""
    return replace(predict25(), control=ControlConfig(branches=(control,), injected_after=_SPACED))


def transfer25_with_image(control: str) -> DitConfig:
    """Transfer2.5 general for one control, as released."""
    return replace(transfer25(control), image=ImageConfig(channels=1152))


def transfer25_multi_control() -> DitConfig:
    """The four-control network that is put together from the four released files."""
    return replace(predict25(), control=ControlConfig(branches=CONTROLS, injected_after=_SPACED))


def transfer25_multiview(control: str = "hdmap") -> DitConfig:
    """Transfer2.5 auto/multiview."""
    branch = ControlConfig(branches=(control,), injected_after=_SPACED, padded_channels=184, hint_layers=7)
    return replace(predict25_multiview(), control=branch)


def transfer25_robot_multiview(control: str = "depth") -> DitConfig:
    """Transfer2.5 robot/multiview with one control."""
    branch = ControlConfig(branches=(control,), injected_after=_SPACED, padded_channels=16)
    return replace(predict25_robot_multiview(), control=branch)


def published_networks() -> dict[str, DitConfig]:
    """Every published network by a name for people; control networks are listed without a name for their branch."""
    return {
        "Predict2 2B": predict2(),
        "Predict2 2B multiview": predict2_multiview(),
        "Predict2.5 2B": predict25(),
        "Predict2.5 2B auto/multiview": predict25_multiview(),
        "Predict2.5 2B robot/multiview": predict25_robot_multiview(),
        "Transfer2.5 2B general, one control, with style image": transfer25_with_image(UNNAMED_CONTROL),
        "Transfer2.5 2B general, one control, without style image": transfer25(UNNAMED_CONTROL),
        "Transfer2.5 2B auto/multiview": transfer25_multiview(UNNAMED_CONTROL),
        "Transfer2.5 2B robot/multiview": transfer25_robot_multiview(UNNAMED_CONTROL),
    }
