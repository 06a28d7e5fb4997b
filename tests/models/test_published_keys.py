"""The full-size networks have the weights of the published files: exactly their names and shapes, both ways."""

import json
from pathlib import Path

import pytest
import torch

from airshower.configs import networks_2b as networks
from airshower.models.checkpoints.files import StoredTensor
from airshower.models.checkpoints.identify import identify
from airshower.models.checkpoints.names import published_names
from airshower.models.dit.keys import published_key
from airshower.models.dit.transformer import Transformer

KEYS = Path(__file__).parent / "keys"
NETWORKS = {
    "predict2_2b_video2world": networks.predict2(),
    "predict2_2b_multiview": networks.predict2_multiview(),
    "predict2p5_2b_base": networks.predict25(),
    "predict2p5_2b_auto_multiview": networks.predict25_multiview(),
    "predict2p5_2b_robot_multiview_crossview": networks.predict25_robot_multiview(),
    "transfer2p5_2b_general": networks.transfer25_with_image("edge"),
    "transfer2p5_2b_general_without_image_context": networks.transfer25("edge"),
    "transfer2p5_2b_multi_control_assembled": networks.transfer25_multi_control(),
    "transfer2p5_2b_auto_multiview": networks.transfer25_multiview(),
    "transfer2p5_2b_robot_multiview_control_crossview": networks.transfer25_robot_multiview(),
}


def _published(name):
    listed = json.loads((KEYS / f"{name}.json").read_text())
    stored = {key: StoredTensor(tuple(shape), torch.bfloat16, _unread) for key, shape in listed.items()}
    return {key: tensor.shape for key, tensor in published_names(stored, name).items()}


def _unread():
    raise AssertionError("no weight is read here")


def test_every_list_has_its_network():
    assert {path.stem for path in KEYS.glob("*.json")} == set(NETWORKS)


@pytest.mark.parametrize("name", NETWORKS)
def test_network_has_the_published_weights(name):
    config = NETWORKS[name]
    with torch.device("meta"):
        net = Transformer(config)
    assert {published_key(key, config): tuple(value.shape) for key, value in net.state_dict().items()} == _published(
        name
    )


@pytest.mark.parametrize("name", NETWORKS)
def test_the_network_is_told_from_its_weights(name):
    config = NETWORKS[name]
    assert identify(_published(name), name, config.control.branches if config.control else ()) == config
