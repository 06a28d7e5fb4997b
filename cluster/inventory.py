"""What a cluster has, node by node: CPUs, memory, GPUs by type. Sizes nothing and places nothing."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
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
        """How many gangs of so many GPUs of a type there is room for."""
        room = gang_room([node.gpus for node in self.nodes if node.gpu == wanted], gang)
        return 0 if room is None else room.gangs

    def __str__(self) -> str:
        gpus = ", ".join(f"{count} x {gpu}" for gpu, count in self.gpus_by_type().items()) or "no GPU"
        count = len(self.nodes)
        return f"{count} node{'s' if count != 1 else ''}, {self.cpus:g} CPUs, {gpus}"


@dataclass(frozen=True, kw_only=True)
class GangRoom:
    """How gangs of some size fit some nodes."""

    gangs: int  # at a time
    nodes: int  # of each; it has equally many ranks on all of them


def gang_room(sizes: Sequence[int], gang: int, *, taken: int = 0) -> GangRoom | None:
    """Gangs on nodes of so many GPUs (or CPUs), each on one node where some node is large enough, or else on the fewest
    that it divides equally; None where there is room for none. `taken` are used by something else beside.

    The parts of gangs on several nodes are alike, and so are the places for them: whichever places some gangs take, and
    wherever what is taken lies, there is room for the others. Two parts may come to lie on one node.
    """
    if gang <= max(sizes, default=0):
        gangs = sum(size // gang for size in sizes) - (taken > sum(size % gang for size in sizes))
        return GangRoom(gangs=gangs, nodes=1) if gangs else None
    for nodes in range(2, gang + 1):
        places = sum(size // (gang // nodes) for size in sizes) - taken
        if gang % nodes == 0 and places >= nodes:
            return GangRoom(gangs=places // nodes, nodes=nodes)
    return None


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
