"""T5 embeddings are those of the bare text, and zero where there is none."""

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import T5Config, T5ForConditionalGeneration, T5TokenizerFast

from airshower.models.t5 import T5
from airshower.models.weights import WeightsError

CPU = torch.device("cpu")
WORDS = ["<pad>", "</s>", "<unk>", "▁red", "▁car", "▁fog"]
END, RED, CAR, FOG = 1, 3, 4, 5


@pytest.fixture(scope="module")
def whole():
    torch.manual_seed(0)
    sizes = {"vocab_size": len(WORDS), "d_model": 16, "d_kv": 8, "d_ff": 24, "num_layers": 2, "num_heads": 2}
    return T5ForConditionalGeneration(T5Config(**sizes, feed_forward_proj="relu")).eval()  # t5-11b's activation


@pytest.fixture
def folder(whole, tmp_path):
    whole.save_pretrained(tmp_path)
    T5TokenizerFast(vocab=[(word, -float(index)) for index, word in enumerate(WORDS)], extra_ids=0).save_pretrained(
        tmp_path
    )
    return tmp_path


@pytest.fixture
def t5(folder):
    return T5.load(folder, CPU, torch.float32)


def test_tokens_end_with_the_end_token_and_are_padded(t5):
    tokens, mask = t5.tokens("red car fog")
    assert tokens.tolist() == [RED, CAR, FOG, END] + [0] * 508
    assert mask.tolist() == [1] * 4 + [0] * 508


@torch.no_grad()
def test_embeddings_are_those_of_the_bare_text_and_zero_beyond(t5, whole):
    expected = whole.encoder(input_ids=torch.tensor([[RED, CAR, FOG, END]])).last_hidden_state[0]
    embedding = t5.encode("red car fog")
    assert embedding.shape == (512, 16)
    torch.testing.assert_close(embedding[:4], expected, rtol=1e-5, atol=1e-5)
    assert not embedding[4:].any()


def test_the_empty_prompt_is_its_end_token(t5):
    embedding = t5.encode("")
    assert embedding[0].any()
    assert not embedding[1:].any()


def test_what_is_beyond_512_tokens_does_not_matter(t5):
    tokens, mask = t5.tokens("red car " * 300)
    assert tokens.tolist() == [RED, CAR] * 255 + [RED, END]  # the end token is kept
    assert mask.all()
    assert torch.equal(t5.encode("red " * 511 + "fog " * 100), t5.encode("red " * 600))
    assert not torch.equal(t5.encode("red " * 510 + "fog"), t5.encode("red " * 511))


def test_the_decoder_is_not_needed_but_the_encoder_is(folder, t5):
    weights = load_file(folder / "model.safetensors")
    encoder = {name: weight for name, weight in weights.items() if not name.startswith("decoder.")}
    assert len(encoder) < len(weights)
    save_file(encoder, folder / "model.safetensors", metadata={"format": "pt"})
    assert torch.equal(T5.load(folder, CPU, torch.float32).encode("fog car"), t5.encode("fog car"))
    del encoder["encoder.final_layer_norm.weight"]
    save_file(encoder, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(WeightsError, match=r"T5EncoderModel lacks 1 weights \(encoder\.final_layer_norm\.weight\)"):
        T5.load(folder, CPU, torch.float32)


def test_a_folder_without_vocabulary_is_refused(folder):
    (folder / "tokenizer.json").unlink()  # transformers would make up a vocabulary
    with pytest.raises(WeightsError, match=r"has no tokenizer \(tokenizer\.json or spiece\.model\): fetch"):
        T5.load(folder, CPU, torch.float32)
