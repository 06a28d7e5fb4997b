"""Every published container gives the same network; everything that isn't one is refused with what is wrong."""

import hashlib
import re

import pytest
import torch
import torch.distributed.checkpoint as dcp
from safetensors.torch import save_file

from airshower.configs.networks_2b import CONTROLS
from airshower.models.checkpoints.files import CheckpointError
from airshower.models.checkpoints.load import assemble_multi_control, build, read_checkpoint, verify_checksum
from tests.models.checkpoints.small import CONFIG, WITH_IMAGE, published, random_network

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def net():
    return random_network(CONFIG)


@pytest.fixture(scope="module")
def weights(net):
    return published(net)


def _same(loaded, net):
    assert loaded.config == net.config
    wanted = net.state_dict()
    assert all(torch.equal(value, wanted[key]) for key, value in loaded.state_dict().items())


def _save(container, weights, folder):
    if container == "safetensors":
        save_file({key: value.contiguous() for key, value in weights.items()}, folder / "model.safetensors")
        return folder / "model.safetensors"
    if container == "dcp":
        dcp.save(dict(weights), storage_writer=dcp.FileSystemWriter(folder / "model"), no_dist=True)
        return folder / "model"
    nested = {"flat": weights, "nested": {"model": weights}, "deep": {"state_dict": {"model": weights}, "step": 3}}
    torch.save(nested[container], folder / "model.pt")
    return folder / "model.pt"


@pytest.mark.parametrize("container", ["flat", "nested", "deep", "safetensors", "dcp"])
def test_every_container_gives_the_network(container, weights, net, tmp_path):
    path = _save(container, weights, tmp_path)
    _same(build(read_checkpoint(path, control="edge"), CPU, torch.float32), net)


def test_a_training_runs_average_is_taken_when_asked_for(weights, net, tmp_path):
    averaged = random_network(CONFIG, seed=1)
    path = _save("flat", weights | published(averaged, "net_ema."), tmp_path)
    _same(build(read_checkpoint(path, control="edge"), CPU, torch.float32), net)
    _same(build(read_checkpoint(path, control="edge", ema=True), CPU, torch.float32), averaged)
    with pytest.raises(CheckpointError, match="no moving average in it"):
        read_checkpoint(_save("flat", weights, tmp_path), ema=True)


def test_words_of_wrappers_are_dropped(weights, net, tmp_path):
    wrapped = {re.sub(r"(blocks\.\d)\.", r"\1._checkpoint_wrapped_module.", key): t for key, t in weights.items()}
    _same(build(read_checkpoint(_save("flat", wrapped, tmp_path), control="edge"), CPU, torch.float32), net)


def test_every_difference_is_named(weights, tmp_path):
    broken = dict(weights)
    del broken["net.blocks.1.mlp.layer1.weight"]
    broken["net.blocks.3.mlp.layer9.weight"] = torch.zeros(2)
    broken["net.t_embedding_norm.weight"] = torch.zeros(63)
    with pytest.raises(CheckpointError) as error:
        build(read_checkpoint(_save("flat", broken, tmp_path), control="edge"), CPU, torch.float32)
    assert "3 problems" in str(error.value)
    for line in ("layer1.weight is missing", "layer9.weight is unexpected", "is (63,), expected (64,)"):
        assert line in str(error.value)


def _cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("container", ["flat", "safetensors"])
def test_a_truncated_file_is_refused(container, weights, tmp_path):
    path = _save(container, weights, tmp_path)
    _cut(path)
    with pytest.raises(CheckpointError, match=r"not a whole .* fetch it again"):
        read_checkpoint(path)


def test_a_missing_shard_is_named(weights, tmp_path):
    path = _save("dcp", weights, tmp_path)
    (shard,) = path.glob("*.distcp")
    shard.unlink()
    with pytest.raises(CheckpointError, match=f"1 of 1 shards are missing: {shard.name}"):
        read_checkpoint(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"other.weight": torch.zeros(3)}, "not a network of the 2B family: x_embedder.proj.1.weight is missing"),
        ({"steps": 3}, "no tensors in it"),
    ],
)
def test_what_is_no_network_is_refused(content, message, tmp_path):
    torch.save(content, tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match=message):
        read_checkpoint(tmp_path / "a.pt")


def test_weights_of_another_type_are_refused(weights, tmp_path):
    broken = weights | {"net.final_layer.linear.weight": torch.zeros(64, 64, dtype=torch.int8)}
    with pytest.raises(CheckpointError, match=r"1 weights are of a type .*final_layer.linear.weight \(torch.int8\)"):
        read_checkpoint(_save("flat", broken, tmp_path))


class Attack:
    def __reduce__(self):
        return pytest.fail, ("code in a checkpoint was run",)


def test_code_in_a_file_is_not_run(tmp_path):
    torch.save({"net": Attack()}, tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match="not a whole PyTorch file"):
        read_checkpoint(tmp_path / "a.pt")


@pytest.mark.parametrize("style", ["whole", "adapters alone"])
def test_lora_is_merged(style, weights, net, tmp_path):
    layer, rank, alpha = "blocks.1.self_attn.q_proj", 4, 8
    down, up = torch.randn(rank, 64), torch.randn(64, rank)
    wanted = net.state_dict()[f"{layer}.weight"] + alpha / rank * up @ down
    if style == "whole":
        wrapped = {key.replace(f"{layer}.weight", f"{layer}.base_layer.weight"): t for key, t in weights.items()}
        adapters = {f"net.{layer}.lora_A.default.weight": down, f"net.{layer}.lora_B.default.weight": up}
        checkpoint = read_checkpoint(_save("flat", wrapped | adapters, tmp_path), control="edge", lora_alpha=alpha)
    else:
        adapters = {f"base_model.model.net.{layer}.lora_{part}.weight": t for part, t in (("A", down), ("B", up))}
        torch.save(adapters, tmp_path / "lora.pt")
        path = _save("flat", weights, tmp_path)
        checkpoint = read_checkpoint(path, control="edge", lora=tmp_path / "lora.pt", lora_alpha=alpha)
    merged = build(checkpoint, CPU, torch.float32).state_dict()
    torch.testing.assert_close(merged[f"{layer}.weight"], wanted, atol=1e-5, rtol=1e-5)
    assert torch.equal(merged["blocks.0.mlp.layer1.weight"], net.state_dict()["blocks.0.mlp.layer1.weight"])


def test_half_an_adapter_is_named(weights, tmp_path):
    broken = weights | {"net.blocks.1.mlp.layer1.lora_A.default.weight": torch.zeros(4, 64)}
    with pytest.raises(CheckpointError, match=r"blocks\.1\.mlp\.layer1 has only half an adapter"):
        read_checkpoint(_save("flat", broken, tmp_path))


def test_four_files_become_one_network_without_image_branch(tmp_path):
    files = {}
    for number, control in enumerate(CONTROLS):
        (tmp_path / control).mkdir()
        files[control] = _save("flat", published(random_network(WITH_IMAGE, seed=number)), tmp_path / control)
    net = build(assemble_multi_control(files), CPU, torch.float32)
    assert net.config.image is None
    assert net.config.control.branches == CONTROLS
    last = random_network(WITH_IMAGE, seed=3).state_dict()
    first = random_network(WITH_IMAGE, seed=0).state_dict()
    assert torch.equal(net.state_dict()["blocks.0.mlp.layer1.weight"], last["blocks.0.mlp.layer1.weight"])
    own = "blocks.1.after_proj.weight"
    assert torch.equal(net.state_dict()[f"branches.edge.{own}"], first[f"branches.edge.{own}"])
    with pytest.raises(CheckpointError, match="no file for seg"):
        assemble_multi_control({control: files[control] for control in CONTROLS[:3]})


def test_a_checksum_is_verified(tmp_path):
    (tmp_path / "a").write_bytes(b"weights")
    verify_checksum(tmp_path / "a", hashlib.sha256(b"weights").hexdigest())
    with pytest.raises(CheckpointError, match="SHA-256 is"):
        verify_checksum(tmp_path / "a", "0" * 64)
