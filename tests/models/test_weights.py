"""Weights fit exactly or every difference is named."""

import re

import pytest
import torch

from airshower.configs.network import ControlConfig, DitConfig
from airshower.configs.presets import tiny_transfer
from airshower.models.dit.keys import published_key
from airshower.models.dit.transformer import Transformer
from airshower.models.model_parts import open_parts
from airshower.models.weights import SHIPPED, WeightsError, assign, load_transformer, save_transformer

CPU = torch.device("cpu")


def _config(*branches):
    control = ControlConfig(branches=branches, injected_after=(0,), padded_channels=16)
    return DitConfig(
        blocks=2, width=24, heads=1, mlp_width=48, adaln_rank=4, text_in_channels=8, text_channels=16, control=control
    )


@pytest.fixture
def saved(tmp_path):
    torch.manual_seed(0)
    net = Transformer(_config("edge", "vis"))
    save_transformer(net, tmp_path, torch.float32)
    return net, tmp_path


def test_what_is_saved_loads_again(saved):
    net, folder = saved
    again = load_transformer(folder, CPU, torch.float32)
    assert again.config == net.config
    for (name, ours), theirs in zip(net.state_dict().items(), again.state_dict().values(), strict=True):
        assert torch.equal(ours, theirs), name


def test_every_difference_is_named(saved):
    net, _ = saved
    tensors = {"net." + published_key(key, net.config): value for key, value in net.state_dict().items()}
    del tensors["net.blocks.1.mlp.layer2.weight"]
    tensors["net.blocks.9.mlp.layer2.weight"] = torch.zeros(1)
    tensors["net.final_layer.linear.weight"] = torch.zeros(3, 3)
    with pytest.raises(WeightsError) as error:
        assign(net, tensors, "file")
    message = str(error.value)
    assert "3 problems" in message
    assert "net.blocks.1.mlp.layer2.weight is missing" in message
    assert "net.blocks.9.mlp.layer2.weight is unexpected" in message
    assert re.search(r"net\.final_layer\.linear\.weight is \(3, 3\), expected \(64, 24\)", message)


@pytest.mark.parametrize(
    ("branches", "key", "published"),
    [
        (("depth",), "branches.depth.blocks.0.after_proj.bias", "control_blocks.0.after_proj.bias"),
        (("depth",), "branches.depth.embedder.proj.1.weight", "control_embedder.proj.1.weight"),
        (("edge", "vis"), "branches.vis.blocks.0.after_proj.bias", "control_blocks_1.0.after_proj.bias"),
        (("edge", "vis"), "branches.vis.embedder.proj.1.weight", "control_embedder.1.proj.1.weight"),
    ],
)
def test_branches_have_published_names(branches, key, published):
    config = _config(*branches)
    assert key in Transformer(config).state_dict()
    assert published_key(key, config) == published


def test_a_truncated_file_is_one_line(saved):
    _, folder = saved
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(WeightsError, match=r"model\.safetensors: can't be read as safetensors"):
        load_transformer(folder, CPU, torch.float32)


def test_a_folder_without_parts_is_refused(tmp_path):
    (tmp_path / "transformer").mkdir()
    with pytest.raises(WeightsError, match="no autoencoder, text_encoder folder here"):
        open_parts(tiny_transfer(), str(tmp_path)).require()


def test_shipped_networks_stay_small_and_whole():
    parts = open_parts(tiny_transfer(), None)
    parts.require()
    sizes = {path: path.stat().st_size for path in SHIPPED.rglob("*.safetensors")}
    assert len(sizes) == 5
    assert all(size <= 4_000_000 for size in sizes.values()), sizes
    assert parts.files(parts.network_of(("edge",)))


def test_text_is_projected_as_the_network_would():
    parts = open_parts(tiny_transfer(), None)
    name = parts.network_of(("edge",))
    encoder = parts.text_encoder(CPU, torch.float32)
    projected = encoder.encode("a red car", parts.text_projection(name, CPU, torch.float32))
    wanted = parts.network(name, CPU, torch.float32).project_text(encoder.encode("a red car", None))
    torch.testing.assert_close(projected, wanted)
