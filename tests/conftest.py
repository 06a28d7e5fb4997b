"""What several test files share: a whole model folder with random weights.

Ray is told not to connect by itself: a thread that outlives its cluster must fail, not start another one under the
tests that follow. What a trained model can do is not tested with this one: that is for `airshower evaluate`.
"""

from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKLWan
from transformers import T5EncoderModel

from airshower.cluster.session import set_ray_environment
from airshower.configs.network import tiny_transfer_dit
from airshower.models.dit.transformer import Transformer
from airshower.models.text import WordEncoder, tiny_t5_config, word_tokenizer
from airshower.models.weights import save_transformer
from tests.models.annotators.tiny_networks import save_annotators

set_ray_environment(verbose=False)  # before any test file imports Ray


@pytest.fixture(scope="session")
def random_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of weights in which every output depends on every input; it knows the words rain, snow and fog."""
    folder = tmp_path_factory.mktemp("random_model")
    torch.manual_seed(0)
    save_transformer(Transformer(tiny_transfer_dit()), folder / "transformer")
    autoencoder = AutoencoderKLWan(base_dim=8, z_dim=16, dim_mult=[1, 2, 2, 2], num_res_blocks=1)
    autoencoder.save_pretrained(folder / "autoencoder")
    tokenizer = word_tokenizer(["rain", "snow", "fog"])
    WordEncoder(tokenizer, T5EncoderModel(tiny_t5_config(len(tokenizer)))).save(folder / "text_encoder")
    return folder


@pytest.fixture(scope="session")
def annotators(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of tiny random annotators; they know the words car, tree and red."""
    folder = tmp_path_factory.mktemp("annotators")
    save_annotators(folder)
    return folder
