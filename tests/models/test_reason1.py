"""Reason1's embedding of a prompt, on a toy-size model of the same classes."""

import pytest
import torch
from transformers import Qwen2_5_VLModel

from airshower.models.reason1 import TOKENS, Reason1Encoder
from tests.small_reason1 import LAYERS, WIDTH, save_small_reason1

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reason1")
    save_small_reason1(folder)
    return folder


@pytest.fixture(scope="module")
def encoder(folder):
    return Reason1Encoder.load(folder, CPU, torch.float32)


def test_a_prompt_becomes_a_padded_chat(encoder):
    ids = encoder.tokens("rain image")[0]
    assert ids.shape == (TOKENS,)
    words = encoder._tokenizer.convert_ids_to_tokens(ids)
    assert words[:4] == ["<start>", "system", "You", "are"]
    assert words[words.index("user") :][:4] == ["user", "rain", "image", "<end>"]
    assert set(words[words.index("user") + 4 :]) == {"<pad>"}


def test_states_are_those_of_every_layer_normalised(encoder, folder):
    """Against the layers' outputs as hooks see them, in double precision; the last one comes after the final norm."""
    model = Qwen2_5_VLModel.from_pretrained(folder, dtype=torch.float64).language_model
    seen = []
    for module in (model.layers[0], model.norm):
        module.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    with torch.inference_mode():
        model(input_ids=encoder.tokens("rain snow"))
    wanted = [(layer - layer.mean(-1, keepdim=True)) / layer.std(-1, keepdim=True) for layer in seen]
    states = encoder.states("rain snow")
    assert states.shape == (TOKENS, LAYERS * WIDTH)
    torch.testing.assert_close(states.double(), torch.cat(wanted, -1)[0], rtol=1e-3, atol=1e-3)


def test_words_beyond_the_last_token_do_not_count(encoder):
    long = "rain " * 600
    assert torch.equal(encoder.states(long + "snow"), encoder.states(long))
    assert not torch.equal(encoder.states("rain snow"), encoder.states("rain"))
