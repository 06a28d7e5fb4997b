"""diffusers' own Cosmos networks, with random weights, against ours loaded from the folder they save."""

import copy
from dataclasses import replace

import pytest
import torch
from diffusers import CosmosControlNetModel, CosmosTransformer3DModel
from diffusers.models.controlnets import controlnet_cosmos
from diffusers.models.transformers import transformer_cosmos
from torch.nn.functional import interpolate

from airshower.models.checkpoints.files import CheckpointError
from airshower.models.checkpoints.load import build, read_checkpoint
from airshower.models.dit.transformer import Context, ControlInput

COMMON = {
    "num_attention_heads": 2,
    "attention_head_dim": 32,
    "text_embed_dim": 48,
    "adaln_lora_dim": 8,
    "use_crossattn_projection": True,
    "crossattn_proj_in_channels": 80,
    "encoder_hidden_states_channels": 48,
    "img_context_dim_in": 40,
    "img_context_dim_out": 64,
    "rope_scale": (1.0, 3.0, 3.0),
    "extra_pos_embed_type": None,
}
TIMESTEP_SCALE = 0.001


@pytest.fixture(scope="module")
def witness():
    torch.manual_seed(0)
    base = CosmosTransformer3DModel(in_channels=17, num_layers=4, controlnet_block_every_n=2, **COMMON)
    control = CosmosControlNetModel(n_controlnet_blocks=2, in_channels=130, model_channels=64, **COMMON)
    for net in (base, control):
        net.eval().requires_grad_(False)
        for name, value in net.state_dict().items():
            value.copy_(torch.randn(value.shape) * 0.2 + (value.ndim == 1 and "bias" not in name))
        for module in net.modules():  # 1e-5 there, 1e-6 in the published code
            if isinstance(module, torch.nn.RMSNorm) or type(module).__name__ == "RMSNorm":
                module.eps = 1e-6
    shared = {
        "patch_embed_base.proj.weight": base.patch_embed.proj.weight,
        **{
            key: value
            for key, value in base.state_dict().items()
            if key.startswith(("time_embed", "img_", "crossattn"))
        },
    }
    control.load_state_dict(shared, strict=False)
    return base, control


@pytest.fixture(scope="module")
def folder(witness, tmp_path_factory):
    folder = tmp_path_factory.mktemp("diffusers")
    for net, part in zip(witness, ("transformer", "controlnet"), strict=True):
        net.save_pretrained(folder / part)
    return folder


class NearestResize:
    """What the witness takes from torchvision, which is not needed otherwise."""

    class InterpolationMode:
        NEAREST = "nearest"

    class functional:  # noqa: N801 - torchvision's name
        @staticmethod
        def resize(x, size, interpolation):
            return interpolate(x, size=size, mode=interpolation)


@pytest.fixture
def without_torchvision(monkeypatch):
    for module in (controlnet_cosmos, transformer_cosmos):
        monkeypatch.setattr(module, "transforms", NearestResize, raising=False)


@pytest.mark.usefixtures("without_torchvision")
def test_one_control_agrees(witness, folder):
    base, control = witness
    random = torch.Generator().manual_seed(1)
    x, edge = (torch.randn(1, 16, 3, 8, 12, generator=random) for _ in range(2))
    text, image = torch.randn(1, 7, 80, generator=random), torch.randn(1, 9, 40, generator=random)
    mask = torch.zeros(1, 1, 3, 8, 12)
    mask[:, :, :1] = 1
    padding, timestep, weight = torch.zeros(1, 1, 64, 96), torch.tensor([731.0]), 0.6
    with torch.no_grad():
        hints = control(edge, x, timestep * TIMESTEP_SCALE, (text, image), mask, weight, padding, return_dict=False)[0]
        expected = base(
            x, timestep * TIMESTEP_SCALE, (text, image), hints, condition_mask=mask, padding_mask=padding,
            return_dict=False,
        )[0]  # fmt: skip

    checkpoint = read_checkpoint(folder, control="edge")
    rope = replace(checkpoint.config.rope, precision="float32")  # diffusers' tables
    checkpoint = replace(checkpoint, config=replace(checkpoint.config, rope=rope))
    net = build(checkpoint, torch.device("cpu"), torch.float32)
    context = Context(text_BMC=net.project_text(text), image_BID=net.project_image(image))
    got = net(x, timestep[:, None], context, mask, {"edge": ControlInput(edge, weight)})
    torch.testing.assert_close(got, expected, atol=1e-4, rtol=1e-4)


def test_folders_that_do_not_belong_together_are_refused(witness, tmp_path):
    base, control = witness
    base.save_pretrained(tmp_path / "transformer")
    other = copy.deepcopy(control)
    other.patch_embed_base.proj.weight.data += 1
    other.save_pretrained(tmp_path / "controlnet")
    with pytest.raises(CheckpointError, match=r"patch_embed_base\.proj\.weight differs"):
        read_checkpoint(tmp_path)
