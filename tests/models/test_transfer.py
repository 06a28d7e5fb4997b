"""What a chunk is made from, in latent space."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from airshower.models.autoencoder import VideoAutoencoder
from airshower.models.transfer import ChunkInputs, TransferModel
from tests.models.checkpoints.small import CONFIG, random_network

CPU = torch.device("cpu")
AUTOENCODER = Path(__file__).parents[1] / "parity/cases/vae_2b/weights.safetensors"
BLACK = np.zeros((5, 32, 32, 3), np.uint8)
BRIGHT = np.full((5, 32, 32, 3), 200, np.uint8)


@pytest.fixture(scope="module")
def autoencoder():
    return VideoAutoencoder.load_published(AUTOENCODER, CPU, torch.float32)


def _controls(autoencoder, branches, frames):
    config = replace(CONFIG, control=replace(CONFIG.control, branches=branches))
    text = np.zeros((4, CONFIG.text_channels), np.float32)
    inputs = ChunkInputs(
        controls=dict.fromkeys(branches, BRIGHT) | {branches[0]: frames},
        weights=dict.fromkeys(branches, 1.0),
        masks={},
        given=BLACK[:0],
        text_MC=text,
        negative_text_MC=text,
    )
    return TransferModel(random_network(config), autoencoder, CPU).encode(inputs).controls


def test_a_black_control_is_zero_for_one_branch_and_left_out_of_several(autoencoder):
    assert not _controls(autoencoder, ("edge",), BLACK)["edge"].latents_BCTYX.any()
    assert _controls(autoencoder, ("edge",), BRIGHT)["edge"].latents_BCTYX.any()
    assert list(_controls(autoencoder, ("edge", "vis"), BLACK)) == ["vis"]
