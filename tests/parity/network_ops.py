"""Reference ops on networks and their samplers: Transfer2.5 without image context and views."""

from collections.abc import Mapping
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from airshower.configs.network import ControlConfig, DitConfig, ImageConfig, RopeConfig, ViewsConfig
from airshower.models.adams_bashforth import (
    AdamsBashforth,
    edm_sigmas,
    flow_time,
    guided_x0,
    loss_weight,
    sample_predict2,
)
from airshower.models.checkpoints.load import assemble_multi_control, build, read_checkpoint
from airshower.models.control_weights import control_weight_maps, masks_matter
from airshower.models.distilled import distilled_angles, sample_distilled
from airshower.models.dit.rope import angles
from airshower.models.dit.transformer import Context, ControlInput, Transformer
from airshower.models.dit.views import Cameras
from airshower.models.sampling import ChunkConditions, GuidedRegion, guided_velocity, sample
from airshower.models.training.flow import training_timesteps
from airshower.models.unipc import UniPc, flow_schedule, karras_schedule
from airshower.models.unipc import noise as seeded_noise
from tests.parity.case import Call


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
    mask = inputs.get("condition_mask", torch.zeros_like(x[:, :1]))  # images have none
    padding = padding.expand(len(x), -1, x.shape[2], -1, -1)
    return {"net_out": net(x, inputs["timesteps"], _context(net, inputs, "text"), mask, controls, padding)}


def rope_table(call: Call) -> dict[str, Tensor]:
    rope, params = call.net["rope"], call.params
    exponents = params.get("exponents", "float32")
    precision = params.get("table_dtype") or ("float32" if exponents == "float32" else "bfloat16_exponents")
    config = RopeConfig(
        theta=rope["theta"],
        t_ratio=params.get("t_ratio", rope.get("t_ratio")),
        h_ratio=rope["h_ratio"],
        w_ratio=rope["w_ratio"],
        base_fps=24 if params.get("fps_modulation") else None,
        precision=precision,
    )
    frames, rows, columns = params.get("grid_thw") or call.net["grid_thw"]
    views = params.get("views", 1)
    device = torch.device("cpu")
    half = angles(config, call.net["head_dim"], (frames // views, rows, columns), device, params.get("fps"))
    return {"angles": half.repeat(views, 2)[:: call.net["stride"]]}


def _context(net: Transformer, inputs: Mapping[str, Tensor], text: str) -> Context:
    cameras = None
    if "view_ids" in inputs:
        cameras = Cameras(tuple(dict.fromkeys(int(camera) for camera in inputs["view_ids"][0])))
    image = inputs.get("image_context")
    return Context(
        text_BMC=net.project_text(inputs[text]),
        image_BID=None if image is None else net.project_image(image),
        cameras=cameras,
        fps=inputs["fps"][0].item() if "fps" in inputs else None,
    )


def sampling_run(call: Call) -> dict[str, Tensor]:
    net, params, inputs = _load(call), call.params, _floats(call)
    schedule = _schedule(params)
    noise = seeded_noise(params["seed"], tuple(call.inputs["initial_noise"].shape))
    conditions, maps = _conditions(net, call)
    region = None
    if "guided_mask" in inputs:
        region = GuidedRegion(
            latents_BCTYX=inputs["guided_x0"],
            mask_BCTYX=inputs["guided_mask"],
            last_step=params["guided_step_threshold"],
            as_published=True,
        )
    return {
        "latents": sample(net, noise, schedule, conditions, _guidance(params), region=region),
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
        "guided_velocity": at(_guidance(call.params)),
        "cond_velocity": at(0),
        "uncond_velocity": 2 * at(0) - at(1),
    }


def distilled_run(call: Call) -> dict[str, Tensor]:
    net, noise = _load(call), _floats(call)["initial_noise"]
    conditions, _ = _conditions(net, call)
    return {"latents": sample_distilled(net, noise, distilled_angles(call.params["num_steps"]), conditions)}


def predict2_run(call: Call) -> dict[str, Tensor]:
    net, params = _load(call), call.params
    noise = seeded_noise(params["seed"], tuple(call.inputs["initial_noise"].shape))
    sigmas = _edm_sigmas(params)
    conditions, _ = _conditions(net, call)
    return {
        "latents": sample_predict2(net, noise, sigmas, conditions, params["guidance"]),
        "sigmas": torch.from_numpy(sigmas),
    }


def one_guided_x0(call: Call) -> dict[str, Tensor]:
    net, params = _load(call), call.params
    conditions, _ = _conditions(net, call)
    x = call.inputs["x"].double()

    def at(guidance: float) -> Tensor:
        return guided_x0(net, x, params["sigma"], conditions, guidance)

    return {"guided_x0": at(params["guidance"]), "cond_x0": at(0), "uncond_x0": 2 * at(0) - at(1)}


def predict2_schedule(call: Call) -> dict[str, Tensor]:
    return {"sigmas": torch.from_numpy(_edm_sigmas(call.params))}


def predict2_coefficients(call: Call) -> dict[str, Tensor]:
    sigmas = call.inputs["sigma"].double().tolist()
    times = torch.tensor([flow_time(sigma) for sigma in sigmas], dtype=torch.float64)
    weights = torch.tensor([loss_weight(sigma) for sigma in sigmas], dtype=torch.float64)
    return {"c_skip": 1 - times, "c_in": 1 - times, "c_out": -times, "c_noise": times, "loss_weight": weights}


def predict2_solver_trace(call: Call) -> dict[str, Tensor]:
    solver = AdamsBashforth(_edm_sigmas(call.params))
    x, states = call.inputs["x"].double(), []
    for x0 in call.inputs["x0"]:
        x = solver.step(x, x0[None].double())
        states.append(x[0])
    return {"x_steps": torch.stack(states)}


def schedule(call: Call) -> dict[str, Tensor]:
    made = _schedule(call.params)
    return {"sigmas": torch.tensor(made.sigmas), "timesteps": torch.tensor(made.timesteps)}


def training_time_map(call: Call) -> dict[str, Tensor]:
    timesteps = training_timesteps(call.inputs["u"], call.params["shift"])
    return {"train_timesteps": timesteps, "train_sigmas": timesteps / 1000}


def solver_trace(call: Call) -> dict[str, Tensor]:
    solver = UniPc(_schedule(call.params))
    x, states = call.inputs["x"], []
    for velocity in call.inputs["velocity"]:
        x = solver.step(x, velocity[None])
        states.append(x[0])
    return {**schedule(call), "x_steps": torch.stack(states)}


def noise(call: Call) -> dict[str, Tensor]:
    return {"noise_draw": seeded_noise(call.params["seed"], tuple(call.params["shape"]))}


def _guidance(params: Mapping) -> float:
    """The factor in c + g (c - u)."""
    form = params.get("formula", "cond + g*(cond - uncond)")
    return params["guidance"] - {"cond + g*(cond - uncond)": 0, "uncond + g*(cond - uncond)": 1}[form]


def _edm_sigmas(params: Mapping):
    return edm_sigmas(params["num_steps"], params["sigma_max"], params["sigma_min"], params["rho"])


def _schedule(params: Mapping):
    if params["schedule"] == "karras":
        return karras_schedule(params["num_steps"])
    return flow_schedule(params["num_steps"], params["shift"])


def _load(call: Call) -> Transformer:
    """Through the project's own loader, which has to tell the network from the file alone."""
    device, which = torch.device("cpu"), call.params.get("network", "multi")
    if "main" in call.weights:
        control = next(iter(_controls(call)), None)
        branches = (call.net["control"] or {}).get("branch_order")
        checkpoint = read_checkpoint(call.weights["main"], control=None if branches else control)
        if branches:
            config = replace(checkpoint.config.control, branches=tuple(branches))
            checkpoint = replace(checkpoint, config=replace(checkpoint.config, control=config))
    elif which == "multi":
        checkpoint = assemble_multi_control(call.weights)
    else:
        control = which.removeprefix("single:")
        checkpoint = read_checkpoint(call.weights[control], control=control)
    rope = replace(checkpoint.config.rope, precision=call.net["rope"]["table_dtype"])
    config = replace(checkpoint.config, rope=rope, timestep_scale=call.net["timestep_scale"])
    if which == "multi":
        assert config == _config(call.net, config.control.branches if config.control else ())
    return build(replace(checkpoint, config=config), device, torch.float32)


def _config(net: Mapping, controls: tuple[str, ...]) -> DitConfig:
    control = net["control"]
    return DitConfig(
        blocks=net["num_blocks"],
        width=net["model_channels"],
        heads=net["num_heads"],
        mlp_width=net["mlp_hidden"],
        adaln_rank=net["adaln_lora_dim"],
        text_in_channels=net["text_in_channels"] if net["text_projection"] else None,
        text_channels=net["text_channels"],
        timestep_scale=net["timestep_scale"],
        norm_eps=net["norm_eps"],
        patch=net["patch_spatial"],
        rope=RopeConfig(
            **{key: net["rope"][key] for key in ("theta", "t_ratio", "h_ratio", "w_ratio")},
            base_fps=net["rope"]["base_fps"] if net["rope"]["fps_modulation"] else None,
        ),
        image=net["image_context"] and ImageConfig(channels=net["image_context"]["channels"]),
        views=net["multiview"] and _views(net["multiview"]),
        control=control
        and ControlConfig(
            branches=tuple(control.get("branch_order") or controls),
            injected_after=tuple(control["injected_after_base_blocks"]),
            padded_channels=control["control_channels_padded"],
            hint_layers=7 if control["input_hint_block"] else 0,
        ),
    )


def _views(multiview: Mapping) -> ViewsConfig:
    neighbours = multiview["cross_view_attention"]
    return ViewsConfig(
        cameras=multiview["num_camera_ids"],
        channels=multiview["view_embedding_channels"] or None,
        neighbours=neighbours and {int(camera): tuple(seen) for camera, seen in neighbours.items()},
    )


def _floats(call: Call) -> dict[str, Tensor]:
    return {name: tensor.float() for name, tensor in call.inputs.items()}


def _controls(call: Call) -> dict[str, Tensor]:
    prefix = "control."
    return {name.removeprefix(prefix): tensor for name, tensor in _floats(call).items() if name.startswith(prefix)}


def _conditions(net: Transformer, call: Call) -> tuple[ChunkConditions, dict[str, Tensor]]:
    """Conditions of a sampling call, and the weight maps if any mask matters."""
    inputs, weights = _floats(call), dict(call.params.get("control_weights", {}))
    masks = {name.removeprefix("mask."): mask[0, 0] for name, mask in inputs.items() if name.startswith("mask.")}
    _, _, frames, rows, columns = inputs["gt_latent"].shape
    maps: dict[str, Tensor] = {}
    if masks_matter(masks):
        patch = net.config.patch
        maps = control_weight_maps(masks, weights, frames, rows // patch, columns // patch)
    conditions = ChunkConditions(
        context=_context(net, inputs, "text"),
        negative_context=_context(net, inputs, "neg_text" if "neg_text" in inputs else "text"),
        given_BCTYX=inputs["gt_latent"],
        given_mask_B1TYX=inputs["condition_mask"],
        controls={
            name: ControlInput(latents, maps.get(name, weights[name])) for name, latents in _controls(call).items()
        },
        given_timestep=call.params.get("conditional_frame_timestep"),
    )
    return conditions, maps
