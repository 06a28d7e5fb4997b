"""Small networks of the published form with random weights, some as plain files, some as a download leaves them."""

from dataclasses import replace
from pathlib import Path

import torch

from tests.benchmarks.random_reason1 import save_random_reason1
from tests.models.checkpoints.small import WITH_IMAGE, published, random_network

AUTOENCODER = Path(__file__).parent / "parity/cases/vae_2b/weights.safetensors"


def save_small_published(folder: Path) -> None:
    """A folder of weights for transfer2.5-2b without the network of depth and the style encoder."""
    for number, control in enumerate(("edge", "vis", "seg")):
        branch = replace(WITH_IMAGE.control, branches=(control,))
        net = published(random_network(replace(WITH_IMAGE, control=branch), seed=number))
        torch.save(net, folder / f"transfer2.5-2b-{control}.pt")
    downloaded = folder / "transfer2.5-2b-vis" / "general" / "blur"
    downloaded.mkdir(parents=True)
    (folder / "transfer2.5-2b-vis.pt").rename(downloaded / "ba2f_ema_bf16.pt")
    (folder / "predict2.5-2b-vae.safetensors").write_bytes(AUTOENCODER.read_bytes())
    save_small_reason1(folder / "reason1-7b")


def save_small_reason1(folder: Path, words: tuple[str, ...] = ("system", "user", "rain")) -> None:
    """A text encoder with the 80 values per token that the small networks read."""
    save_random_reason1(
        folder,
        words=words,
        width=40,
        layers=2,
        heads=2,
        key_value_heads=1,
        mrope_section=(2, 4, 4),
        dtype=torch.float32,
    )
