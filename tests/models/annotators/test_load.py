"""Folders that hold no network, another one or a part are refused; transformers would go on with random weights."""

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import DepthAnythingForDepthEstimation, Sam2VideoModel

from airshower.models.annotators.load import load_network
from tests.models.annotators.tiny_networks import save_depth_network

CPU = torch.device("cpu")


def test_an_empty_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"config\.json does not exist: .* weights of Sam2VideoModel"):
        load_network(Sam2VideoModel, tmp_path, CPU)


def test_another_network_is_named(tmp_path):
    save_depth_network(tmp_path)
    with pytest.raises(ValueError, match="type 'depth_anything', Sam2VideoModel needs 'sam2_video'"):
        load_network(Sam2VideoModel, tmp_path, CPU)


def test_missing_weights_are_named(tmp_path):
    save_depth_network(tmp_path)
    file = tmp_path / "model.safetensors"
    weights = load_file(file)
    save_file(
        {name: weight for name, weight in weights.items() if not name.startswith("head.")}, file, {"format": "pt"}
    )
    with pytest.raises(ValueError, match=r"head\.conv1\.bias and 5 more missing from the weights") as raised:
        load_network(DepthAnythingForDepthEstimation, tmp_path, CPU)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("content", ["{", "[]"])
def test_a_broken_description_is_named(tmp_path, content):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(ValueError, match=r"config\.json: not the JSON object"):
        load_network(Sam2VideoModel, tmp_path, CPU)


def test_a_whole_network_is_ready_for_use(tmp_path):
    save_depth_network(tmp_path)
    network = load_network(DepthAnythingForDepthEstimation, tmp_path, CPU)
    assert not network.training
    assert next(network.parameters()).dtype == torch.float32
