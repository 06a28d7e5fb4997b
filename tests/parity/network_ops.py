"""Reference ops on networks and their samplers: Transfer2.5 without image context and views."""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor

from airshower.configs.network import ControlConfig, DitConfig, RopeConfig
from airshower.models.control_maps import control_weight_maps, masks_matter
from airshower.models.dit.transformer import ControlInput, Transformer
from airshower.models.sampling import ChunkConditions, guided_velocity, sample
from airshower.models.unipc import UniPc, flow_schedule, karras_schedule
from airshower.models.unipc import noise as seeded_noise
from airshower.models.weights import assign
from tests.parity.case import Call

IGNORED_KEYS = ("net.accum_", "net.pos_embedder")


def not_built(call: Call) -> str | None:
    """What the case's network or call needs and the project lacks, if anything."""
    net = call.net or {}
    needs = {
        "image context is not built": net.get("image_context") is not None,
        "multiview networks are not built": net.get("multiview") is not None,
        "assembly from several files is not built": bool(net) and "main" not in call.weights,
        "guided generation is not built": "guided_mask" in call.call["inputs"],
    }
    return next((reason for reason, needed in needs.items() if needed), None)


def network(call: Call) -> dict[str, Tensor]:
    net, inputs = _load(call), _floats(call)
    maps = {
        name: inputs[f"control_weight_map.{name}"] for name in _controls(call) if f"control_weight_map.{name}" in inputs
    }
    controls = {
        name: ControlInput(latents, maps.get(name, call.params.get("control_weights", {}).get(name)))
        for name, latents in _controls(call).items()
    }
    x = inputs["x"]
    padding = F.interpolate(inputs["padding_mask"], size=x.shape[-2:], mode="nearest")[:, :, None]
    out = net(
        x,
        inputs["timesteps"],
        net.project_text(inputs["text"]),
        inputs["condition_mask"],
        controls,
        padding.expand(-1, -1, x.shape[2], -1, -1),
    )
    return {"net_out": out}


def sampling_run(call: Call) -> dict[str, Tensor]:
    net = _load(call)
    schedule = flow_schedule(call.params["num_steps"], call.params["shift"])
    noise = seeded_noise(call.params["seed"], tuple(call.inputs["initial_noise"].shape))
    conditions, maps = _conditions(net, call)
    latents = sample(net, noise, schedule, conditions, call.params["guidance"])
    return {
        "latents": latents,
        "sigmas": torch.tensor(schedule.sigmas),
        "timesteps": torch.tensor(schedule.timesteps),
        **{f"weight_map.{name}": weight_map for name, weight_map in maps.items()},
    }


def one_guided_velocity(call: Call) -> dict[str, Tensor]:
    net, inputs = _load(call), _floats(call)
    conditions, _ = _conditions(net, call)
    timestep = inputs["timesteps"].flatten()[0].item()

    def at(guidance: float) -> Tensor:
        return guided_velocity(net, inputs["x"], timestep, inputs["initial_noise"], conditions, guidance)

    return {
        "guided_velocity": at(call.params["guidance"]),
        "cond_velocity": at(0),
        "uncond_velocity": 2 * at(0) - at(1),
    }


def schedule(call: Call) -> dict[str, Tensor]:
    made = _schedule(call.params)
    return {"sigmas": torch.tensor(made.sigmas), "timesteps": torch.tensor(made.timesteps)}


def solver_trace(call: Call) -> dict[str, Tensor]:
    solver = UniPc(_schedule(call.params))
    x, states = call.inputs["x"], []
    for velocity in call.inputs["velocity"]:
        x = solver.step(x, velocity[None])
        states.append(x[0])
    return {**schedule(call), "x_steps": torch.stack(states)}


def noise(call: Call) -> dict[str, Tensor]:
    return {"noise_draw": seeded_noise(call.params["seed"], tuple(call.params["shape"]))}


def _schedule(params: Mapping):
    if params["schedule"] == "karras":
        return karras_schedule(params["num_steps"])
    return flow_schedule(params["num_steps"], params["shift"])


def _load(call: Call) -> Transformer:
    config = _config(call.net, tuple(_controls(call)))
    net = Transformer(config).eval()
    tensors = {
        key: tensor.float()
        for key, tensor in load_file(call.weights["main"]).items()
        if not key.startswith(IGNORED_KEYS) and not key.endswith("_extra_state")
    }
    assign(net, tensors, str(call.weights["main"]))
    return net


def _config(net: Mapping, controls: tuple[str, ...]) -> DitConfig:
    control = net["control"]
    return DitConfig(
        blocks=net["num_blocks"],
        width=net["model_channels"],
        heads=net["num_heads"],
        mlp_width=net["mlp_hidden"],
        adaln_rank=net["adaln_lora_dim"],
        text_in_channels=net["text_in_channels"],
        text_channels=net["text_channels"],
        timestep_scale=net["timestep_scale"],
        norm_eps=net["norm_eps"],
        patch=net["patch_spatial"],
        rope=RopeConfig(**{key: net["rope"][key] for key in ("theta", "t_ratio", "h_ratio", "w_ratio")}),
        control=control
        and ControlConfig(
            branches=tuple(control.get("branch_order") or controls),
            injected_after=tuple(control["injected_after_base_blocks"]),
            padded_channels=control["control_channels_padded"],
        ),
    )


def _floats(call: Call) -> dict[str, Tensor]:
    return {name: tensor.float() for name, tensor in call.inputs.items()}


def _controls(call: Call) -> dict[str, Tensor]:
    prefix = "control."
    return {name.removeprefix(prefix): tensor for name, tensor in _floats(call).items() if name.startswith(prefix)}


def _conditions(net: Transformer, call: Call) -> tuple[ChunkConditions, dict[str, Tensor]]:
    """Conditions of a sampling call, and the weight maps if any mask matters."""
    inputs, weights = _floats(call), dict(call.params["control_weights"])
    masks = {name.removeprefix("mask."): mask[0, 0] for name, mask in inputs.items() if name.startswith("mask.")}
    _, _, frames, rows, columns = inputs["gt_latent"].shape
    maps: dict[str, Tensor] = {}
    if masks_matter(masks):
        patch = net.config.patch
        maps = control_weight_maps(masks, weights, frames, rows // patch, columns // patch)
    conditions = ChunkConditions(
        text_BMC=net.project_text(inputs["text"]),
        negative_text_BMC=net.project_text(inputs["neg_text"]),
        given_BCTYX=inputs["gt_latent"],
        given_mask_B1TYX=inputs["condition_mask"],
        controls={
            name: ControlInput(latents, maps.get(name, weights[name])) for name, latents in _controls(call).items()
        },
    )
    return conditions, maps
