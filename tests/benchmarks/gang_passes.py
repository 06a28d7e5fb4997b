"""One clip on 1, 2 and 4 GPUs: seconds per evaluation of the full-size network, memory, and what changes in the result.

python tests/benchmarks/gang_passes.py [--gpus 4] [--frames 93] [--height 704] [--width 1280] [--steps 2]
python tests/benchmarks/gang_passes.py --tiny    # a small network on four CPU processes: does it run at all

Starts a process per GPU, with as many as there are. The network is transfer2.5-2b with a style image and random
weights. A step has two evaluations, with and without prompt; where two groups make them side by side, its time is still
divided by two. The difference is that of the latents after all steps to those of one GPU.
"""

import argparse
import tempfile
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, multiprocessing

from airshower.configs.gang_layout import ALONE, GangLayout
from airshower.configs.network import DitConfig
from airshower.configs.networks_2b import transfer25_with_image
from airshower.models.chunks import latent_frames
from airshower.models.denoise import SamplerSettings, denoise
from airshower.models.dit.transformer import Context, ControlInput, Transformer
from airshower.models.mesh import ONE_DEVICE, Mesh
from airshower.models.mesh_groups import join_gang, leave_gang
from airshower.models.precision import compute_type
from airshower.models.sampling import ChunkConditions
from airshower.models.sharded_weights import sharded_network

CONTROL = "edge"
GUIDANCE, EVALUATIONS_PER_STEP = 3.0, 2
SCALE = 0.02  # of normal weights: activations stay finite through all blocks
TEXT_TOKENS, IMAGE_TOKENS = 512, 256
PIXELS_PER_LATENT = 8  # along each side
TINY_RANKS = 4
GIB = 2**30
LAYOUTS = (
    ALONE,
    GangLayout(token_ranks=2),
    GangLayout(guidance_groups=2),
    GangLayout(token_ranks=2, spreads_weights=True),
    GangLayout(token_ranks=4),
    GangLayout(token_ranks=2, guidance_groups=2),
    GangLayout(token_ranks=4, spreads_weights=True),
)


@dataclass(frozen=True, kw_only=True)
class Work:
    """What every rank does."""

    config: DitConfig
    grid: tuple[int, int, int]  # latent frames, rows, columns
    steps: int
    tiny: bool


@dataclass(frozen=True, kw_only=True)
class Measured:
    """On the first rank."""

    latents: Tensor
    seconds_per_pass: float
    tensors_gib: float  # at their peak
    gpu_gib: float  # all that the GPU holds, with what CUDA and NCCL take


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gpus", type=int, help="at most so many; default: all")
    parser.add_argument("--frames", type=int, default=93)
    parser.add_argument("--height", type=int, default=704)
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--tiny", action="store_true")
    options = parser.parse_args()
    there = TINY_RANKS if options.tiny else torch.cuda.device_count()
    if not there:
        parser.error("no GPU here: --tiny runs a small network on the CPU")
    ranks = min(there, options.gpus or there)
    grid = (latent_frames(options.frames), options.height // PIXELS_PER_LATENT, options.width // PIXELS_PER_LATENT)
    work = Work(config=transfer25_with_image(CONTROL), grid=grid, steps=options.steps, tiny=False)
    if options.tiny:
        work = Work(config=_small(work.config), grid=(3, 6, 10), steps=options.steps, tiny=True)
    wanted = [layout for layout in LAYOUTS if layout.ranks <= ranks]
    alone = _run(wanted[0], work)
    print(f"{'':34}{'s per pass':>11}{'speed-up':>9}{'tensors':>9}{'GPU GiB':>9}   difference: largest, mean")
    _print(wanted[0], alone, alone)
    for layout in wanted[1:]:
        _print(layout, _run(layout, work), alone)


def _print(layout: GangLayout, measured: Measured, alone: Measured) -> None:
    words = f"{layout.guidance_groups} x {layout.token_ranks} ranks"
    words += ", weights spread" if layout.spreads_weights else ""
    off, size = (measured.latents - alone.latents).abs(), alone.latents.abs()
    print(
        f"{words:34}{measured.seconds_per_pass:>11.3f}{alone.seconds_per_pass / measured.seconds_per_pass:>9.2f}"
        f"{measured.tensors_gib:>9.2f}{measured.gpu_gib:>9.2f}   {off.max() / size.max():.1e}, "
        f"{off.mean() / size.mean():.1e}",
        flush=True,
    )


def _run(layout: GangLayout, work: Work) -> Measured:
    """In processes of their own, so that every layout starts with empty GPUs."""
    with tempfile.TemporaryDirectory() as folder:
        multiprocessing.spawn(_rank, args=(layout, work, Path(folder)), nprocs=layout.ranks)
        measured: Measured = torch.load(Path(folder) / "measured.pt", weights_only=False)
    return measured


def _rank(rank: int, layout: GangLayout, work: Work, folder: Path) -> None:
    torch.set_num_threads(1)
    device = torch.device("cpu") if work.tiny else torch.device("cuda", rank)
    if layout.ranks == 1:
        measured = _measured(_network(work.config, device), work, device, ONE_DEVICE)
    else:
        mesh = join_gang(layout, rank, (folder / "rendezvous").as_uri(), device)
        if layout.spreads_weights:
            read = _random_weights(work.config, device)
            net = sharded_network(work.config, read, mesh.gatherer(), compute_type(device))
        else:
            net = _network(work.config, device)
        measured = _measured(net, work, device, mesh)
        leave_gang()
    if rank == 0:
        torch.save(measured, folder / "measured.pt")


@torch.inference_mode()
def _measured(net: Transformer, work: Work, device: torch.device, mesh: Mesh) -> Measured:
    conditions = _conditions(work, device)
    settings = SamplerSettings(sampler="flow", seed=1, steps=1, shift=5.0, guidance=GUIDANCE)
    denoise(net, conditions, settings, mesh=mesh)  # warms up, and shows the order of the blocks
    _wait(device, mesh)
    begun_s = time.perf_counter()
    latents = denoise(net, conditions, replace(settings, steps=work.steps), mesh=mesh)
    _wait(device, mesh)
    seconds = time.perf_counter() - begun_s
    on_gpu = device.type == "cuda"
    free, total = torch.cuda.mem_get_info(device) if on_gpu else (0, 0)
    return Measured(
        latents=latents.cpu(),
        seconds_per_pass=seconds / work.steps / EVALUATIONS_PER_STEP,
        tensors_gib=torch.cuda.max_memory_allocated(device) / GIB if on_gpu else 0.0,
        gpu_gib=(total - free) / GIB,
    )


def _wait(device: torch.device, mesh: Mesh) -> None:
    """Until all ranks are done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    mesh.agree(False)


def _network(config: DitConfig, device: torch.device) -> Transformer:
    with torch.device("meta"):
        net = Transformer(config)
    read = _random_weights(config, device)
    weights = {name: read(name).to(compute_type(device)) for name in net.state_dict()}
    net.load_state_dict(weights, strict=True, assign=True)
    return net.eval().requires_grad_(False)


def _random_weights(config: DitConfig, device: torch.device) -> Callable[[str], Tensor]:
    """The weight of a name, the same on every rank."""
    with torch.device("meta"):
        shapes = {name: weight.shape for name, weight in Transformer(config).state_dict().items()}

    def read(name: str) -> Tensor:
        random = torch.Generator(device).manual_seed(zlib.crc32(name.encode()))
        weight = torch.empty(shapes[name], device=device).normal_(0, SCALE, generator=random)
        return weight + (weight.ndim == 1 and name.endswith("norm.weight"))

    return read


def _conditions(work: Work, device: torch.device) -> ChunkConditions:
    """The same on every rank."""
    config, random = work.config, torch.Generator().manual_seed(0)

    def draw(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        return torch.randn(shape, generator=random).to(device, dtype)

    def context() -> Context:
        text = draw(1, TEXT_TOKENS, config.text_channels, dtype=compute_type(device))
        return Context(text_BMC=text, image_BID=draw(1, IMAGE_TOKENS, config.width, dtype=compute_type(device)))

    latents = (1, config.latent_channels, *work.grid)
    return ChunkConditions(
        context=context(),
        negative_context=context(),
        given_BCTYX=torch.zeros(latents, device=device),
        given_mask_B1TYX=torch.zeros(1, 1, *work.grid, device=device),
        controls={CONTROL: ControlInput(draw(*latents))},
    )


def _small(config: DitConfig) -> DitConfig:
    """Of the same structure."""
    control = replace(config.control, injected_after=(0, 2))
    return replace(config, blocks=4, width=64, heads=4, mlp_width=256, adaln_rank=8, text_channels=48, control=control)


if __name__ == "__main__":
    main()
