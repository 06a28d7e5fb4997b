"""A cluster as a file declares it, for one that isn't there yet or that grows when it is used.

    nodes:
      - {count: 8, cpus: 96, memory_gib: 1900, gpus: 8, gpu: H200}
      - {count: 4, cpus: 64, memory_gib: 256}

YAML or JSON. A GPU that isn't known by its type needs `gpu_memory_gib` and `gpu_bf16_tflops`.
"""

from typing import Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from airshower.cluster import storage
from airshower.cluster.inventory import Inventory, Node
from airshower.configs.gpus import GPUS, Gpu, gpu


class InventoryError(ValueError):
    """A file that declares no cluster: one line with the file, what is wrong and the remedy."""


class _Group(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = "node"
    count: int = Field(default=1, ge=1)
    cpus: float = Field(gt=0)
    memory_gib: float = Field(default=0.0, ge=0)
    gpus: int = Field(default=0, ge=0)
    gpu: str | None = None
    gpu_memory_gib: float | None = Field(default=None, gt=0)
    gpu_bf16_tflops: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _a_gpu_is_known(self) -> Self:
        if (self.gpu is None) != (self.gpus == 0):
            raise ValueError("gpus and gpu: one needs the other, such as gpus: 8, gpu: H200")
        unknown = self.gpu is not None and self.gpu not in GPUS
        if unknown and (self.gpu_memory_gib is None or self.gpu_bf16_tflops is None):
            raise ValueError(
                f"gpu {self.gpu!r} is not one of {', '.join(GPUS)}: use one of them, or add gpu_memory_gib and "
                "gpu_bf16_tflops"
            )
        return self

    def nodes(self) -> list[Node]:
        sizes = {"memory_gib": self.gpu_memory_gib, "bf16_tflops": self.gpu_bf16_tflops}
        given = {key: value for key, value in sizes.items() if value is not None}
        of_type = None
        if self.gpu is not None:
            known = gpu(self.gpu)
            of_type = Gpu(type=self.gpu, **{"memory_gib": known.memory_gib, "bf16_tflops": known.bf16_tflops} | given)
        return [
            Node(
                name=f"{self.name}-{number}",
                cpus=self.cpus,
                memory_gib=self.memory_gib,
                gpus=self.gpus,
                gpu=of_type,
            )
            for number in range(self.count)
        ]


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    nodes: list[_Group] = Field(min_length=1)


def declared_inventory(path: str) -> Inventory:
    """The cluster in a file, by path or URL; raises InventoryError, and OSError for a file that can't be read."""
    try:
        declared = _File.model_validate(yaml.safe_load(storage.read_bytes(path)))
    except yaml.YAMLError as error:
        raise InventoryError(f"{path}: is no YAML or JSON ({' '.join(str(error).split())}): fix it") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        rule = first["msg"].removeprefix("Value error, ")
        raise InventoryError(f"{path}: {where}: {rule}") from None
    return Inventory(nodes=tuple(node for group in declared.nodes for node in group.nodes()))
