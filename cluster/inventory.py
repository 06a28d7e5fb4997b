"""What a cluster has, node by node: CPUs, memory, GPUs by type. Sizes nothing and places nothing."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from airshower.configs.gpus import Gpu, gpu

_GIB = 2**30
_TYPE_LABEL = "ray.io/accelerator-type"
_TYPE_RESOURCE = "accelerator_type:"
UNKNOWN_TYPE = "GPU"  # of a node that doesn't say


@dataclass(frozen=True, kw_only=True)
class Node:
    """One machine, as far as Ray may use it."""

    name: str
    cpus: float
    memory_gib: float
    gpus: int = 0
    gpu: Gpu | None = None  # None on a node without


@dataclass(frozen=True, kw_only=True)
class Inventory:
    """All machines of a cluster."""

    nodes: tuple[Node, ...]

    @property
    def cpus(self) -> float:
        return sum(node.cpus for node in self.nodes)

    @property
    def gpus(self) -> int:
        return sum(node.gpus for node in self.nodes)

    def gpus_by_type(self) -> dict[Gpu, int]:
        """How many there are of each, most first."""
        counts: Counter[Gpu] = Counter()
        for node in self.nodes:
            if node.gpu is not None:
                counts[node.gpu] += node.gpus
        return dict(counts.most_common())

    def places(self, wanted: Gpu, gang: int) -> int:
        """How many gangs of so many GPUs of a type there is room for, each on one node."""
        return sum(node.gpus // gang for node in self.nodes if node.gpu == wanted)

    def __str__(self) -> str:
        gpus = ", ".join(f"{count} x {gpu}" for gpu, count in self.gpus_by_type().items()) or "no GPU"
        count = len(self.nodes)
        return f"{count} node{'s' if count != 1 else ''}, {self.cpus:g} CPUs, {gpus}"


def cluster_inventory() -> Inventory:
    """Of the cluster that this process is connected to."""
    import ray

    return inventory_of(ray.nodes())


def inventory_of(nodes: Iterable[Mapping[str, Any]]) -> Inventory:
    """From what `ray.nodes()` gives; dead nodes don't count."""
    return Inventory(nodes=tuple(_node(node) for node in nodes if node["Alive"]))


def _node(node: Mapping[str, Any]) -> Node:
    resources = node["Resources"]
    gpus = int(resources.get("GPU", 0))
    return Node(
        name=node["NodeManagerHostname"],
        cpus=resources.get("CPU", 0.0),
        memory_gib=resources.get("memory", 0.0) / _GIB,
        gpus=gpus,
        gpu=gpu(_gpu_type(node)) if gpus else None,
    )


def _gpu_type(node: Mapping[str, Any]) -> str:
    """By the node's label, or else the resource that names it; the sized names (A100-80G) win over the plain one."""
    label = node.get("Labels", {}).get(_TYPE_LABEL)
    named = [name.removeprefix(_TYPE_RESOURCE) for name in node["Resources"] if name.startswith(_TYPE_RESOURCE)]
    return max([*named, *([label] if label else [])], key=len, default=UNKNOWN_TYPE)
