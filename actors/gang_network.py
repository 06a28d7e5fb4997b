"""A network as each rank of a gang has it."""

import torch

from airshower.models.dit.transformer import Transformer
from airshower.models.mesh_groups import ProcessMesh
from airshower.models.model_parts import ModelParts
from airshower.models.precision import compute_type


def load_network(parts: ModelParts, name: str, mesh: ProcessMesh, device: torch.device) -> Transformer:
    """Whole, or this rank's part of it where the layout spreads weights; raises WeightsError."""
    dtype = compute_type(device)
    if mesh.layout.spreads_weights:
        return parts.sharded_network(name, mesh.gatherer(), dtype)
    return parts.network(name, device, dtype)
