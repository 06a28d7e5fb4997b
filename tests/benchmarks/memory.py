"""Predicted against measured GPU memory, and what offloading costs: full-size networks with random weights on one GPU.

python tests/benchmarks/memory.py [--only exact memory passes pieces text]

exact: an offloaded network, autoencoder and text encoder give the bits that they give without, in small.
memory: peaks of encoding, denoising and decoding for several clips, with and without offloading, beside
`airshower.models.memory`; and the constants of that file as they are measured here.
passes: seconds per evaluation of the network at 1280x704, 93 frames, with and without --offload dit.
pieces: the same and its peak, at several sizes of the pieces in which layers work on wide temporaries.
text: Reason1 at full size, with and without --offload text.
"""

import argparse
import gc
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKLWan
from transformers import Qwen2_5_VLTextModel

from airshower.configs.network import DitConfig
from airshower.configs.networks_2b import transfer25_multi_control, transfer25_multiview, transfer25_with_image
from airshower.configs.presets import preset
from airshower.models import memory
from airshower.models.autoencoder import VideoAutoencoder
from airshower.models.chunks import SPATIAL_FACTOR, latent_frames
from airshower.models.dit import layers
from airshower.models.dit.transformer import Context, ControlInput, Transformer
from airshower.models.dit.views import Cameras
from airshower.models.host_weights import CudaMover
from airshower.models.memory import GIB, ClipShape, ModelMemory, row_need
from airshower.models.model_memory import memory_of
from airshower.models.pixels import to_frames
from airshower.models.reason1 import Reason1, project
from airshower.models.sampling import ChunkConditions, sample
from airshower.models.transfer import IMAGE_TOKENS
from airshower.models.unipc import flow_schedule

sys.path.insert(0, str(Path(__file__).parent))  # a script, run from anywhere
from random_reason1 import reason1_language_config

GPU = torch.device("cuda")
TEXT_TOKENS = 512
PARTS = ("exact", "memory", "passes", "pieces", "text")
PIECES = (8192, 16384, 32768, 1 << 30)  # tokens; the last one: all at once
FULL = ClipShape(frames=93, height=704, width=1280)
SMALL = ClipShape(frames=9, height=128, width=192)
OFFLOADED = ("autoencoder", "dit")
CASES = (  # preset, network, clip, guidance: 0 saves the second evaluation of a step
    ("transfer2.5-2b", transfer25_with_image("edge"), FULL, 3.0),
    ("transfer2.5-2b", transfer25_with_image("edge"), ClipShape(frames=93, height=432, width=768), 3.0),
    ("transfer2.5-2b", transfer25_multi_control(), ClipShape(frames=29, height=704, width=1280), 3.0),
    ("transfer2.5-2b-multiview", transfer25_multiview(), ClipShape(frames=29, height=720, width=1280, views=7), 0.0),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    only = parser.parse_args().only
    torch.manual_seed(0)
    with torch.inference_mode():
        for part in only:
            begun_s = time.perf_counter()
            shows = {"exact": show_exact, "memory": show_memory, "passes": show_passes, "pieces": show_pieces}
            (shows | {"text": show_text})[part]()
            print(f"  {part}: {time.perf_counter() - begun_s:.0f} s\n", flush=True)


def show_exact() -> None:
    """Raises AssertionError where a bit differs."""
    full = transfer25_with_image("edge")
    control = replace(full.control, injected_after=(0, 3, 6))
    config = replace(full, blocks=8, width=512, heads=4, mlp_width=2048, control=control)
    net, conditions = built(Transformer, config), conditions_for(config, SMALL)
    wanted = denoised(net, conditions, steps=3)
    net.offload(CudaMover(GPU))
    for _ in range(3):
        assert torch.equal(denoised(net, conditions, steps=3), wanted), "transformer: offloading changes the result"
    autoencoder = VideoAutoencoder(built(AutoencoderKLWan, base_dim=32))
    video = torch.rand(1, 3, SMALL.frames, SMALL.height, SMALL.width, device=GPU) * 2 - 1
    latents = autoencoder.encode(video)
    decoded = autoencoder.decode(latents)
    autoencoder.offload(CudaMover(GPU))
    assert torch.equal(autoencoder.encode(video), latents), "autoencoder: offloading changes the latents"
    autoencoder.prefetch()
    assert torch.equal(autoencoder.decode(latents), decoded), "autoencoder: offloading changes the video"
    print("exact: offloaded transformer and autoencoder give the same bits")


def show_memory() -> None:
    """A line per clip and choice of offloading, then the constants of models/memory.py as measured."""
    context_gib = _context_gib()
    maps = []
    print(f"{'clip':44} {'offload':16} {'encode':>15} {'denoise':>15} {'decode':>15}   GiB: predicted/measured")
    for name, config, shape, guidance in CASES:
        net, autoencoder = built(Transformer, config), VideoAutoencoder(built(AutoencoderKLWan))
        sizes = memory_of(preset(name), config, autoencoder.model)
        for offload in ((), OFFLOADED):
            if offload:
                net.offload(CudaMover(GPU))
                autoencoder.offload(CudaMover(GPU))
            peaks = _peaks_gib(net, autoencoder, shape, guidance)
            need = row_need(sizes, shape, len(config.control.branches), offload)
            needs = (need.encode_gib, need.denoise_gib, need.decode_gib)
            cells = "".join(f"{f'{wanted:.2f}/{got:.2f}':>16}" for wanted, got in zip(needs, peaks, strict=True))
            print(f"{f'{shape}, {len(config.control.branches)} control(s)':44} {','.join(offload) or '-':16}{cells}")
            if not offload:
                maps.append(_convolution_maps(sizes, shape, need, peaks))
        del net, autoencoder
    encode, decode = (", ".join(f"{one[index]:.1f}" for one in maps) for index in (0, 1))
    print(f"CONVOLUTION_MAPS {memory.CONVOLUTION_MAPS}: measured {encode} (encode), {decode} (decode)")
    print(f"CONTEXT_GIB {memory.CONTEXT_GIB}: measured {context_gib:.2f} (includes other processes on this GPU)")


def show_passes() -> None:
    """With random weights of one control."""
    config = transfer25_with_image("edge")
    net, conditions = built(Transformer, config), conditions_for(config, FULL)
    for words in ("without offloading", "with --offload dit"):
        if words != "without offloading":
            net.offload(CudaMover(GPU))
        denoised(net, conditions)  # warms up, and shows the order of the blocks
        seconds = [_seconds(lambda: denoised(net, conditions)) for _ in range(2)]
        print(f"{FULL}, {words}: {min(seconds):.3f} s per pass ({', '.join(f'{one:.3f}' for one in seconds)})")


def show_pieces() -> None:
    """Sizes take turns, so that a machine that slows down slows all of them."""
    config = transfer25_with_image("edge")
    net, conditions = built(Transformer, config), conditions_for(config, FULL)
    denoised(net, conditions)
    seconds: dict[int, list[float]] = {tokens: [] for tokens in PIECES}
    for tokens in PIECES * 3:
        layers.PIECE_TOKENS = tokens
        seconds[tokens].append(_seconds(lambda: denoised(net, conditions)))
    for tokens, taken in seconds.items():
        layers.PIECE_TOKENS = tokens
        peak = peak_gib(lambda: denoised(net, conditions))
        print(f"{FULL}, pieces of {tokens} tokens: {min(taken):.3f} to {max(taken):.3f} s per pass, {peak:.2f} GiB")


def show_text() -> None:
    encoder = Reason1(None, built(Qwen2_5_VLTextModel, reason1_language_config()))  # prompts come as tokens here
    projection = torch.randn(1024, 28 * 3584, dtype=torch.bfloat16, device=GPU), torch.zeros(1024, device=GPU)
    tokens = torch.randint(0, 152_064, (TEXT_TOKENS,))
    wanted = project(encoder.states(tokens), *projection)
    part = memory.reason1_part()
    for words in ("without offloading", "with --offload text"):
        if words != "without offloading":
            encoder.offload(CudaMover(GPU))
            assert torch.equal(project(encoder.states(tokens), *projection), wanted), "text: offloading changes it"
        peak = peak_gib(lambda: project(encoder.states(tokens), *projection))
        seconds = _seconds(lambda: project(encoder.states(tokens), *projection))
        weights = part.resident_gib(words != "without offloading")
        print(
            f"Reason1 {words}: {seconds:.2f} s per prompt, {weights:.2f} GiB of weights and {peak - weights:.2f} of "
            f"work (TEXT_WORK_GIB {memory.TEXT_WORK_GIB}, which allows for four projections of 0.2)"
        )


def built(module: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """A module with the random weights that it starts with, bfloat16, on the GPU, for inference."""
    gc.collect()  # an offloaded network before it
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.device(GPU), torch.inference_mode(False):
            return module(*arguments, **options).eval().requires_grad_(False)
    finally:
        torch.set_default_dtype(torch.float32)


def conditions_for(config: DitConfig, shape: ClipShape) -> ChunkConditions:
    """Random ones of every kind that the network takes."""
    views, side = shape.views, SPATIAL_FACTOR
    grid = (views * latent_frames(shape.frames), shape.height // side, shape.width // side)

    def random(*sizes: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        return torch.randn(sizes, dtype=dtype, device=GPU)

    def context() -> Context:
        half = torch.bfloat16
        return Context(
            text_BMC=random(1, TEXT_TOKENS * views, config.text_channels, dtype=half),
            image_BID=None if config.image is None else random(1, IMAGE_TOKENS, config.width, dtype=half),
            cameras=None if config.views is None else Cameras(tuple(range(views))),
        )

    return ChunkConditions(
        context=context(),
        negative_context=context(),
        given_BCTYX=torch.zeros(1, config.latent_channels, *grid, device=GPU),
        given_mask_B1TYX=torch.zeros(1, 1, *grid, device=GPU),
        controls={name: ControlInput(random(1, config.latent_channels, *grid)) for name in config.control.branches},
    )


def denoised(net: Transformer, conditions: ChunkConditions, *, steps: int = 1, guidance: float = 0.0) -> torch.Tensor:
    """Latents, from the same noise each time; without guidance a step is one evaluation."""
    start = torch.randn(conditions.given_BCTYX.shape, generator=torch.Generator(GPU).manual_seed(1), device=GPU)
    return sample(net, start, flow_schedule(steps, 5.0), conditions, guidance)


def peak_gib(work: Callable[[], object]) -> float:
    """The most that tensors take while it runs, what is there before included."""
    gc.collect()
    torch.cuda.synchronize()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    work()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() / GIB


def _peaks_gib(
    net: Transformer, autoencoder: VideoAutoencoder, shape: ClipShape, guidance: float
) -> tuple[float, float, float]:
    """Of encoding one camera's video, denoising all and decoding one."""
    size = (1, 16, latent_frames(shape.frames), shape.height // SPATIAL_FACTOR, shape.width // SPATIAL_FACTOR)

    def encode() -> None:
        autoencoder.encode(torch.rand(1, 3, shape.frames, shape.height, shape.width, device=GPU))

    def denoise() -> None:
        denoised(net, conditions_for(net.config, shape), guidance=guidance)

    def decode() -> None:
        to_frames(autoencoder.decode(torch.randn(size, device=GPU)))

    return peak_gib(encode), peak_gib(denoise), peak_gib(decode)


def _convolution_maps(
    sizes: ModelMemory, shape: ClipShape, need: memory.Need, peaks: tuple[float, float, float]
) -> tuple[float, float]:
    """CONVOLUTION_MAPS with which encoding and decoding would be predicted as they were measured."""
    map_gib = shape.height * shape.width * sizes.autoencoder_channels * memory.BFLOAT16_BYTES / GIB
    misses = (peaks[0] - need.encode_gib, peaks[2] - need.decode_gib)
    encode, decode = (memory.CONVOLUTION_MAPS + miss / map_gib for miss in misses)
    return encode, decode


def _context_gib() -> float:
    """What the GPU holds beside PyTorch's memory once the libraries have been used."""
    x = torch.randn(1, 64, 64, 64, device=GPU, dtype=torch.bfloat16)
    torch.nn.functional.conv2d(x, torch.randn(64, 64, 3, 3, device=GPU, dtype=torch.bfloat16)) @ x[..., :62, :64]
    torch.cuda.synchronize()
    free, total = torch.cuda.mem_get_info()
    return (total - free - torch.cuda.memory_reserved()) / GIB


def _seconds(work: Callable[[], object]) -> float:
    torch.cuda.synchronize()
    begun_s = time.perf_counter()
    work()
    torch.cuda.synchronize()
    return time.perf_counter() - begun_s


if __name__ == "__main__":
    main()
