"""The word encoder reads what it knows, marks what it doesn't and is silent where there is no text."""

import pytest
import torch
from transformers import T5EncoderModel

from airshower.models.text import MAX_TOKENS, WordEncoder, tiny_t5_config, word_tokenizer


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(0)
    tokenizer = word_tokenizer(["a", "red", "car", "foggy"])
    return WordEncoder(tokenizer, T5EncoderModel(tiny_t5_config(len(tokenizer)))).eval()


def test_words_are_split_lowered_and_unknown_ones_marked(encoder):
    tokens = encoder.tokenizer.convert_ids_to_tokens(encoder.tokens(["A Foggy-red, zebra."])[0])
    assert [token for token in tokens if token != "[PAD]"] == ["a", "foggy", "-", "red", ",", "[UNK]", "."]


@torch.inference_mode()
def test_embeddings_are_zero_where_there_is_no_text(encoder):
    hidden = encoder(encoder.tokens(["", "a red car"]))
    assert hidden.shape[1] == MAX_TOKENS
    assert not hidden[0].any()
    assert hidden[1, :3].any(dim=-1).all()
    assert not hidden[1, 3:].any()


@torch.inference_mode()
def test_a_prompt_means_the_same_alone_and_in_a_batch(encoder):
    alone = encoder(encoder.tokens(["a red car"]))
    together = encoder(encoder.tokens(["a foggy car", "a red car"]))[1:]
    torch.testing.assert_close(alone, together)


@torch.inference_mode()
def test_saved_and_loaded_is_the_same_encoder(encoder, tmp_path):
    encoder.save(tmp_path)
    again = WordEncoder.load(tmp_path, torch.device("cpu"))
    prompts = ["a red car, foggy", "zebra"]
    torch.testing.assert_close(again(again.tokens(prompts)), encoder(encoder.tokens(prompts)))
