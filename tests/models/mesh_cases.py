"""Clips of every kind that a gang can be asked for, on small networks of the real classes; equal on every rank."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from airshower.configs.network import ControlConfig, DitConfig, ImageConfig, RopeConfig, ViewsConfig
from airshower.configs.networks_2b import ROBOT_NEIGHBOURS
from airshower.configs.spec import CONTROLS
from airshower.models.autoencoder import VideoAutoencoder
from airshower.models.checkpoints.load import build_sharded, read_checkpoint
from airshower.models.denoise import SamplerSettings, denoise
from airshower.models.dit.transformer import Context, ControlInput, Transformer
from airshower.models.dit.views import Cameras
from airshower.models.host_weights import CpuMover, Wait
from airshower.models.mesh import ONE_DEVICE, Mesh, StoppedByAnotherRankError
from airshower.models.mesh_groups import ProcessMesh
from airshower.models.sampling import ChunkConditions, GuidedRegion
from airshower.models.sharded_weights import Gatherer
from airshower.models.transfer import ChunkInputs, TransferModel
from tests.models.checkpoints.small import CONFIG, random_network
from tests.small_published import AUTOENCODER

FLOW = SamplerSettings(sampler="flow", seed=3, steps=3, shift=5.0, guidance=3.0)
ONE_CONTROL = replace(CONFIG, heads=4, blocks=3)
GRID = (3, 4, 8)  # latents of a clip: 8 tokens a frame


@dataclass(frozen=True, kw_only=True)
class Case:
    """One clip: its network, and what is random in its conditions."""

    config: DitConfig = ONE_CONTROL
    settings: SamplerSettings = FLOW
    grid: tuple[int, int, int] = GRID  # latent frames, rows, columns
    mapped: bool = False  # controls have weights per place
    cameras: Cameras | None = None
    fps: float | None = None
    given_frames: int = 0
    given_timestep: float | None = None
    guided_region: bool = False


def _views(**views) -> DitConfig:
    control = ControlConfig(branches=("hdmap",), injected_after=(0, 2), hint_layers=1)
    return replace(ONE_CONTROL, control=control, views=ViewsConfig(**views))


def _of_controls(*branches: str) -> DitConfig:
    return replace(ONE_CONTROL, control=ControlConfig(branches=branches, injected_after=(0, 2)))


THREE = Cameras((2, 0, 1))
PREDICT2_RIG = replace(
    ONE_CONTROL, control=None, rope=RopeConfig(base_fps=24.0), views=ViewsConfig(cameras=7, channels=7)
)
CASES: Mapping[str, Case] = {
    "one control": Case(),
    "sixteen heads": Case(config=replace(ONE_CONTROL, width=128, heads=16)),
    "no guidance": Case(settings=replace(FLOW, guidance=0.0)),
    "four controls with weight maps": Case(config=_of_controls(*CONTROLS), mapped=True),
    "two controls": Case(config=_of_controls("vis", "edge")),
    "style image": Case(config=replace(ONE_CONTROL, image=ImageConfig(channels=40))),
    "cameras together": Case(config=_views(cameras=4, channels=4), grid=(6, 4, 8), cameras=THREE),
    "cameras and their neighbours": Case(
        config=_views(cameras=3, neighbours=ROBOT_NEIGHBOURS), grid=(6, 4, 8), cameras=THREE
    ),
    "a camera without neighbours": Case(
        config=_views(cameras=3, neighbours={0: (1,), 1: (0,), 2: ()}), grid=(6, 4, 8), cameras=THREE
    ),
    "guided region": Case(guided_region=True, given_frames=1),
    "given frames with a time of their own": Case(given_frames=1, given_timestep=0.1),
    "one image": Case(grid=(1, 4, 8)),
    "tokens that no two ranks share evenly": Case(grid=(2, 6, 10), mapped=True),
    "as many tokens as ranks": Case(grid=(2, 4, 4), guided_region=True),
    "predict2": Case(
        config=PREDICT2_RIG,
        settings=replace(FLOW, sampler="predict2"),
        grid=(4, 4, 8),
        cameras=Cameras((3, 5)),
        fps=10.0,
        given_frames=1,
    ),
    "distilled": Case(settings=replace(FLOW, sampler="distilled"), given_frames=1),
}


def network(case: Case) -> Transformer:
    """The same weights each time."""
    return random_network(case.config)


def conditions_of(case: Case) -> tuple[ChunkConditions, GuidedRegion | None]:
    """The same each time."""
    random = torch.Generator().manual_seed(1)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=random)

    def context() -> Context:
        views = 1 if case.cameras is None else len(case.cameras)
        image = None if case.config.image is None else draw(1, 5, case.config.width)
        text = draw(1, 6 * views, case.config.text_channels)
        return Context(text_BMC=text, image_BID=image, cameras=case.cameras, fps=case.fps)

    frames, rows, columns = case.grid
    given_mask = torch.zeros(1, 1, *case.grid)
    given_mask[:, :, : case.given_frames] = 1
    branches = () if case.config.control is None else case.config.control.branches
    weights = {name: draw(1, 1, frames, rows // 2, columns // 2).sigmoid() if case.mapped else 0.7 for name in branches}
    region = GuidedRegion(
        latents_BCTYX=draw(1, 16, *case.grid), mask_BCTYX=(draw(1, 1, *case.grid) > 0).float(), last_step=1
    )
    conditions = ChunkConditions(
        context=context(),
        negative_context=context(),
        given_BCTYX=draw(1, 16, *case.grid) * given_mask,
        given_mask_B1TYX=given_mask,
        controls={name: ControlInput(draw(1, 16, *case.grid), weight) for name, weight in weights.items()},
        given_timestep=case.given_timestep,
    )
    return conditions, region if case.guided_region else None


def latents(net: Transformer, case: Case, mesh: Mesh = ONE_DEVICE, on_step: Callable | None = None) -> Tensor:
    """Of the whole sampler."""
    conditions, region = conditions_of(case)
    return denoise(net, conditions, case.settings, region=region, on_step=on_step, mesh=mesh)


# What ranks are asked to do.


def made(mesh: ProcessMesh, name: str) -> np.ndarray:
    return latents(network(CASES[name]), CASES[name], mesh).numpy()


def made_at(mesh: ProcessMesh, name: str, grid: tuple[int, int, int]) -> np.ndarray:
    return latents(network(CASES[name]), replace(CASES[name], grid=grid), mesh).numpy()


def made_with_offloaded_weights(mesh: ProcessMesh, name: str) -> np.ndarray:
    net = network(CASES[name])
    net.offload(CpuMover())
    return latents(net, CASES[name], mesh).numpy()


def made_with_sharded_weights(mesh: ProcessMesh, name: str, file: Path) -> tuple[np.ndarray, int, int]:
    """Also how many bytes of packed weights this rank has, and how many there are."""
    gatherer = CountingGatherer(mesh.gatherer())
    checkpoint = replace(read_checkpoint(file), config=CASES[name].config)  # controls have names there
    net = build_sharded(checkpoint, gatherer, torch.float32)
    result = latents(net, CASES[name], mesh).numpy()
    assert np.array_equal(latents(net, CASES[name], mesh).numpy(), result)
    own_bytes = sum(gatherer.parts.values())
    visiting = [weight for block in net.all_blocks() for weight in block.parameters() if weight.is_meta]
    return result, own_bytes, sum(weight.nbytes for weight in visiting)


def video(mesh: Mesh) -> np.ndarray:
    """From frames to a video, (1, 3, F, H, W), by a model with two controls of which one counts in the left half."""
    random = np.random.default_rng(0)

    def frames(count: int) -> np.ndarray:
        return random.integers(0, 255, (count, 32, 48, 3), np.uint8)

    left = np.zeros((5, 32, 48, 3), np.uint8)
    left[:, :, :24] = 255
    inputs = ChunkInputs(
        controls={"edge": frames(5), "vis": frames(5)},
        weights={"edge": 0.6, "vis": 1.0},
        masks={"edge": left},
        given=frames(1),
        text_MC=random.random((6, CONFIG.text_channels), np.float32),
        negative_text_MC=random.random((6, CONFIG.text_channels), np.float32),
    )
    autoencoder = VideoAutoencoder.load_published(AUTOENCODER, torch.device("cpu"), torch.float32)
    model = TransferModel(network(CASES["two controls"]), autoencoder, torch.device("cpu"), mesh)
    return model.decode(model.denoise(model.encode(inputs), FLOW)).numpy()


class CountingGatherer:
    """Remembers the parts that were gathered; what no part has filled is not a number."""

    def __init__(self, gatherer: Gatherer) -> None:
        self.device, self.rank, self.ranks = gatherer.device, gatherer.rank, gatherer.ranks
        self.parts: dict[int, int] = {}
        self._gatherer = gatherer

    def place(self, size_bytes: int) -> Tensor:
        return self._gatherer.place(size_bytes).fill_(255)

    def start(self, place: Tensor, source: Tensor) -> Wait:
        self.parts[source.data_ptr()] = source.nbytes
        return self._gatherer.start(place, source)


class CancelledError(Exception):
    """By whoever asked for the clip."""


def stopped_by_one(mesh: ProcessMesh, name: str, stopping: int) -> tuple[str, list[int], np.ndarray]:
    """What is raised where one rank's callback raises, the steps that were told until then, and the next clip."""
    told: list[int] = []

    def on_step(step: int) -> None:
        told.append(step)
        if mesh.rank == stopping and step == 2:
            raise CancelledError

    net, case = network(CASES[name]), CASES[name]
    try:
        latents(net, case, mesh, on_step)
    except (CancelledError, StoppedByAnotherRankError) as error:
        return type(error).__name__, told, latents(net, case, mesh).numpy()
    raise AssertionError("nothing was raised")
