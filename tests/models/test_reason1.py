"""Reason1 embeddings are those of the whole model, computed the long way round."""

import json
import math

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

from airshower.models.reason1 import Reason1, normalised, project
from airshower.models.weights import WeightsError

CPU = torch.device("cpu")
LAYERS, WIDTH = 3, 16
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
SYSTEM = "You are a helpful assistant who will provide prompts to an image generator."
WORDS = [*SPECIAL, "[UNK]", "system", "user", "assistant", *SYSTEM.replace(".", " .").split(), "red", "car", "fog"]
IDS = {word: index for index, word in enumerate(dict.fromkeys(WORDS))}
PAD = IDS["<|endoftext|>"]
# as published: text as a string or in parts, and the answer's beginning on request
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{% if message.content is string %}"
    "{{ message.content }}{% else %}{% for part in message.content %}{{ part.text }}{% endfor %}{% endif %}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def ids_of(prompt):
    """The template written out by hand."""
    text = f"<|im_start|> system {SYSTEM.replace('.', ' .')} <|im_end|> <|im_start|> user {prompt} <|im_end|>"
    return [IDS[word] for word in text.split()]


@pytest.fixture(scope="module")
def whole():
    torch.manual_seed(0)
    text = {"vocab_size": len(IDS), "hidden_size": WIDTH, "intermediate_size": 24, "num_hidden_layers": LAYERS}
    text |= {"num_attention_heads": 2, "num_key_value_heads": 1, "bos_token_id": PAD, "eos_token_id": PAD}
    text |= {"rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [2, 1, 1]}}
    vision = {"depth": 1, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2, "out_hidden_size": WIDTH}
    config = Qwen2_5_VLConfig(text_config=text, vision_config=vision)
    net = Qwen2_5_VLForConditionalGeneration(config).eval()
    with torch.no_grad():
        for layer in net.model.language_model.layers:
            layer.self_attn.q_proj.weight.mul_(20)  # else attention is uniform and positions hardly matter
        net.model.language_model.norm.weight.uniform_(0.5, 2)  # else a forgotten final norm is hard to see
    return net


@pytest.fixture(scope="module")
def tokenizer():
    words = Tokenizer(models.WordLevel(IDS, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation()])
    words.add_special_tokens([AddedToken(token, special=True) for token in SPECIAL])
    # left: what padding and cutting must not depend on
    options = {"pad_token": SPECIAL[0], "unk_token": "[UNK]", "padding_side": "left", "truncation_side": "left"}
    return PreTrainedTokenizerFast(tokenizer_object=words, chat_template=TEMPLATE, **options)


@pytest.fixture
def folder(whole, tokenizer, tmp_path):
    whole.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    return tmp_path


@pytest.fixture
def reason1(folder):
    return Reason1.load(folder, CPU, torch.float32)


@torch.no_grad()
def by_hand(whole, ids):
    """Per layer (M, D), float64, from the whole model's own forward pass."""
    output = whole(input_ids=torch.tensor([ids]), output_hidden_states=True)
    assert len(output.hidden_states) == LAYERS + 1
    last = whole.model.language_model(input_ids=torch.tensor([ids])).last_hidden_state
    states = [*output.hidden_states[1:-1], last]
    layers = []
    for state in states:
        state = state[0].double()
        centred = state - state.sum(-1, keepdim=True) / WIDTH
        deviation = (centred.square().sum(-1, keepdim=True) / (WIDTH - 1)).sqrt()
        layers.append(centred / (deviation + 1e-8))
    return layers


def test_tokens_are_the_chat_template_padded_at_the_end(reason1):
    tokens = reason1.tokens("red car fog")
    expected = ids_of("red car fog")
    assert tokens.dtype == torch.int64
    assert tokens.tolist() == expected + [PAD] * (512 - len(expected))


def test_embeddings_are_the_whole_models_normalised_layers_side_by_side(reason1, whole):
    expected = torch.cat(by_hand(whole, reason1.tokens("red car fog").tolist()), dim=-1)
    embedding = reason1.encode("red car fog")
    assert embedding.shape == (512, LAYERS * WIDTH)
    assert not embedding.requires_grad
    torch.testing.assert_close(embedding, expected.float(), rtol=1e-4, atol=1e-4)


def test_padding_is_seen_by_no_word_but_is_context_itself(reason1, whole):
    ids = ids_of("red car")
    unpadded = torch.cat(by_hand(whole, ids), dim=-1).float()
    embedding = reason1.encode("red car")
    torch.testing.assert_close(embedding[: len(ids)], unpadded, rtol=1e-4, atol=1e-4)
    assert embedding[len(ids) :].any(dim=-1).all()


def test_what_is_beyond_512_tokens_does_not_matter(reason1):
    room = 512 - ids_of("red").index(IDS["red"])  # for words, behind the system prompt
    start = "red car fog " * 200
    assert reason1.tokens(start).tolist() == ids_of(start)[:512]
    assert torch.equal(reason1.encode("red " * room), reason1.encode("red " * room + "car " * 300))
    assert not torch.equal(reason1.encode("red " * room), reason1.encode("red " * (room - 1) + "car " * 300))


def test_projecting_layer_by_layer_is_the_networks_layer(reason1):
    torch.manual_seed(1)
    linear = torch.nn.Linear(LAYERS * WIDTH, 8)  # its gradients are not wanted
    at_once = reason1.encode("red car", (linear.weight, linear.bias))
    values = reason1.encode("red car").double() @ linear.weight.double().T + linear.bias.double()
    expected = values * 0.5 * (1 + torch.erf(values / math.sqrt(2)))
    assert at_once.dtype == torch.float32
    assert not at_once.requires_grad
    torch.testing.assert_close(at_once, expected.float(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("inputs", [LAYERS * WIDTH - 8, LAYERS * WIDTH + 8, LAYERS * WIDTH - WIDTH])
def test_another_encoders_projection_is_refused(inputs):
    states = [torch.zeros(4, WIDTH)] * LAYERS
    with pytest.raises(ValueError, match=f"projection.* {inputs} inputs"):
        project(states, torch.zeros(8, inputs), torch.zeros(8))


def test_a_constant_token_is_normalised_to_zero():
    assert torch.equal(normalised(torch.full((2, WIDTH), 3.0, dtype=torch.bfloat16)), torch.zeros(2, WIDTH))


def test_the_embedding_has_the_models_precision(folder):
    half = Reason1.load(folder, CPU, torch.bfloat16)
    assert half.encode("red car").dtype == torch.bfloat16
    assert {weight.dtype for weight in half.model.parameters()} == {torch.bfloat16}


@pytest.mark.parametrize("layout", ["published", "nested"])
def test_the_language_model_alone_is_enough(folder, reason1, layout):
    weights = load_file(folder / "model.safetensors")
    assert any(name.startswith("visual.") for name in weights)  # transformers writes the published names
    text = {name: weight for name, weight in weights.items() if name.startswith("model.")}
    if layout == "nested":
        text = {name.replace("model.", "model.language_model.", 1): weight for name, weight in text.items()}
    save_file(text, folder / "model.safetensors", metadata={"format": "pt"})
    alone = Reason1.load(folder, CPU, torch.float32)
    assert not any("visual" in name for name, _ in alone.model.named_modules())
    assert torch.equal(alone.encode("red car fog"), reason1.encode("red car fog"))


def test_a_config_with_the_text_values_on_top_is_read(folder, reason1):
    path = folder / "config.json"
    config = json.loads(path.read_text())
    text = config.pop("text_config")
    rope = text.pop("rope_parameters")
    text |= {"rope_theta": rope["rope_theta"], "rope_scaling": {"type": "mrope", "mrope_section": [2, 1, 1]}}
    path.write_text(json.dumps({**text, **config}))
    again = Reason1.load(folder, CPU, torch.float32)
    assert torch.equal(again.encode("red car fog"), reason1.encode("red car fog"))


def test_missing_weights_are_named(folder):
    weights = load_file(folder / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(WeightsError, match=r"lacks 1 weights \(layers\.1\.mlp\.up_proj\.weight\): fetch"):
        Reason1.load(folder, CPU, torch.float32)


def test_another_folder_is_refused(folder, tmp_path):
    with pytest.raises(WeightsError, match=r"nowhere/config\.json: not a transformers config"):
        Reason1.load(tmp_path / "nowhere", CPU, torch.float32)
    (folder / "config.json").write_text('{"model_type": "t5"}')
    with pytest.raises(WeightsError, match="describes a t5, expected qwen2_5_vl"):
        Reason1.load(folder, CPU, torch.float32)


@pytest.mark.parametrize("part", ["chat_template", "pad_token"])
def test_an_incomplete_tokenizer_is_refused(folder, part):
    lacking = PreTrainedTokenizerFast.from_pretrained(folder)
    setattr(lacking, part, None)
    (folder / "chat_template.jinja").unlink()
    lacking.save_pretrained(folder)
    with pytest.raises(WeightsError, match=f"the tokenizer has no {part}"):
        Reason1.load(folder, CPU, torch.float32)


def test_a_folder_without_vocabulary_is_refused(folder):
    (folder / "tokenizer.json").unlink()  # transformers would make up a vocabulary
    with pytest.raises(WeightsError, match=r"has no tokenizer \(tokenizer\.json or vocab\.json\): fetch"):
        Reason1.load(folder, CPU, torch.float32)
    (folder / "tokenizer.json").write_text("{")
    with pytest.raises(WeightsError, match="the tokenizer can't be read"):
        Reason1.load(folder, CPU, torch.float32)
