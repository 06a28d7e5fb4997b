"""Style images go through SigLIP2's vision tower as its own processor cuts them up."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional
from transformers import Siglip2Config, Siglip2ImageProcessorPil, Siglip2Model

from airshower.models.siglip import StyleEncoder
from airshower.models.weights import WeightsError

CPU = torch.device("cpu")
WIDTH, PATCH = 16, 16


@pytest.fixture(scope="module")
def whole():
    torch.manual_seed(0)
    sizes = {"hidden_size": WIDTH, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
    vision = {**sizes, "patch_size": PATCH, "num_patches": 256}
    text = {**sizes, "vocab_size": 8, "pad_token_id": 1, "bos_token_id": 2, "eos_token_id": 3}
    net = Siglip2Model(Siglip2Config(text_config=text, vision_config=vision)).eval()
    with torch.no_grad():
        net.vision_model.embeddings.position_embedding.weight.normal_()
    return net


@pytest.fixture
def folder(whole, tmp_path):
    whole.save_pretrained(tmp_path)
    Siglip2ImageProcessorPil(max_num_patches=64).save_pretrained(tmp_path)  # the network's count must win
    return tmp_path


@pytest.fixture
def encoder(folder):
    return StyleEncoder.load(folder, CPU, torch.float32)


def image_of(height, width):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


@torch.no_grad()
def by_hand(whole, image, rows, columns):
    """The vision tower over patches of the image resized to rows x columns of them, (rows*columns, D)."""
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None]
    size = (rows * PATCH, columns * PATCH)
    resized = functional.interpolate(pixels, size, mode="bilinear", antialias=True)[0].permute(1, 2, 0)
    values = resized.float() / 127.5 - 1
    patches = values.reshape(rows, PATCH, columns, PATCH, 3).transpose(1, 2).reshape(1, rows * columns, -1)
    mask, shape = torch.ones(1, rows * columns), torch.tensor([[rows, columns]])
    return whole.vision_model(pixel_values=patches, pixel_attention_mask=mask, spatial_shapes=shape).last_hidden_state[
        0
    ]


@pytest.mark.parametrize(
    ("height", "width", "rows", "columns"),
    [(64, 64, 16, 16), (704, 1280, 12, 21), (3, 3, 16, 16), (90, 30, 27, 9)],  # the largest grids within 256
)
def test_the_real_patches_are_those_of_the_resized_image(encoder, whole, height, width, rows, columns):
    image = image_of(height, width)
    assert rows * columns <= 256
    states = encoder.encode(image)
    assert states.shape == (256, WIDTH)
    assert not states.requires_grad
    expected = by_hand(whole, image, rows, columns)
    # torch and PIL round some pixels of a resized image differently, by one grey level; states are around 1
    torch.testing.assert_close(states[: rows * columns], expected, rtol=0, atol=0.03)


def test_an_image_that_fits_is_not_resized(encoder, whole):
    image = image_of(12 * PATCH, 21 * PATCH)
    expected = by_hand(whole, image, 12, 21)
    torch.testing.assert_close(encoder.encode(image)[: 12 * 21], expected, rtol=1e-4, atol=1e-4)


def test_padded_places_are_left_as_the_model_gives_them(encoder):
    states = encoder.encode(image_of(704, 1280))
    assert states[12 * 21 :].any(dim=-1).all()
    torch.testing.assert_close(states[12 * 21 :], states[-1:].expand(4, -1))  # the same empty patch, the same place


def test_the_text_tower_is_not_needed_but_the_vision_tower_is(folder, encoder):
    weights = load_file(folder / "model.safetensors")
    vision = {name: weight for name, weight in weights.items() if name.startswith("vision_model.")}
    assert len(vision) < len(weights)
    save_file(vision, folder / "model.safetensors", metadata={"format": "pt"})
    image = image_of(32, 48)
    assert torch.equal(StyleEncoder.load(folder, CPU, torch.float32).encode(image), encoder.encode(image))
    del vision["vision_model.post_layernorm.bias"]
    save_file(vision, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(WeightsError, match=r"Siglip2VisionModel lacks 1 weights \(post_layernorm\.bias\)"):
        StyleEncoder.load(folder, CPU, torch.float32)


def test_the_precision_is_the_models(folder):
    assert StyleEncoder.load(folder, CPU, torch.bfloat16).encode(image_of(32, 48)).dtype == torch.bfloat16


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((8, 8, 3), np.float32),
        np.zeros((8, 8, 4), np.uint8),
        np.zeros((3, 8, 8), np.uint8),
        np.zeros((8, 8), np.uint8),
        np.zeros((0, 8, 3), np.uint8),
    ],
)
def test_anything_but_an_rgb_image_is_refused(encoder, image):
    with pytest.raises(ValueError, match=r"style image: is .* expected RGB as uint8 \(height, width, 3\)"):
        encoder.encode(image)
