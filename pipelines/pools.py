"""How the stages of batch generation share a cluster.

Pools have fixed sizes, so a fast stage can't take the CPUs that a slow one waits for, and all of them together fit one
CPU per replica. Text encoder and annotators share a GPU with a replica, where they run on one, and all of them stay
loaded. Nothing shares the GPUs of a gang, so its first process has a text encoder of its own. Annotators take nothing
from a run in which no row needs them. What is here fits any rows: one replica per GPU or CPU. A plan knows its rows,
and chooses better (`airshower.pipelines.planning.planned_pools`).
"""

from dataclasses import dataclass, replace

from airshower.cluster.inventory import Inventory, gang_room
from airshower.configs.gang_layout import ALONE, GangLayout

# Shares of a CPU; with one replica they add up to one CPU, so a single-CPU machine runs every stage at once.
# Ray Data fuses neighbouring stages of equal shares, and prepare must not run inside the text actor: they differ.
_REPLICA_CPUS = 0.75  # with what it writes; annotators take their share from here
ANNOTATE_CPUS = 0.05
TEXT_CPUS = 0.1
PREPARE_CPUS = 0.15
# Of the GPU that they share; a share is a place and no limit on memory.
_TEXT_GPUS = 0.1
_ANNOTATOR_GPUS = 0.1


@dataclass(frozen=True, kw_only=True)
class Pools:
    """How many of each stage run at a time for one pool of replicas, and what each occupies.

    An accelerator is a type of GPU as Ray names it; None takes any.
    """

    device: str  # cpu | cuda
    replicas: int
    replica_cpus: float  # of each of its nodes
    replica_gpus: float  # likewise
    gang: GangLayout  # of each replica
    accelerator: str | None = None
    text_gpus: float
    text_accelerator: str | None = None
    text_encoders: int = 1  # none where each replica has its own
    annotators: int  # none where no row needs them
    annotator_gpus: float
    annotator_accelerator: str | None = None
    tasks: int  # that prepare rows


def plan_pools(
    there: Inventory,
    *,
    device: str,
    replicas: int | None,
    rows: int,
    text_on_gpu: bool = False,
    annotates: bool = False,
    gang: GangLayout = ALONE,
) -> Pools:
    """Pools that fit the cluster; `replicas` None means as many as there is room for, and never more than there are
    rows. A replica takes as many GPUs of one node as its gang has ranks, or as many CPUs; a gang that is larger than
    any node takes equally many of several nodes, with GPUs of one type.

    `device` is auto, cpu or cuda. Raises ValueError when the cluster lacks what is asked for.
    """
    device = _resolved_device(device, there)
    room = _room(there, device, gang.ranks, annotates=device == "cuda" and annotates)
    if replicas is not None and replicas < 1:
        raise ValueError(f"replicas {replicas}: at least one is needed to generate")
    if replicas is not None and (device == "cuda" or room.nodes > 1) and replicas > room.places:
        each = "one" if gang.ranks == 1 else f"{gang.ranks}"
        raise ValueError(
            f"replicas {replicas}: the cluster has {_amount(there, device)}, {each} per replica: "
            f"use at most {room.places}"
        )
    count = min(replicas or room.places, max(1, rows))
    text_inside = device == "cuda" and text_on_gpu and gang.ranks > 1
    text_gpus = _TEXT_GPUS if device == "cuda" and text_on_gpu and not text_inside else 0.0
    annotator_gpus = _ANNOTATOR_GPUS if device == "cuda" and annotates else 0.0
    others_cpus = 1 - _REPLICA_CPUS + (ANNOTATE_CPUS if annotates else 0.0)
    node_ranks = gang.ranks // room.nodes
    whole_cpus = node_ranks if device == "cpu" and room.nodes > 1 else 1
    return Pools(
        device=device,
        replicas=count,
        # more replicas than CPUs share them
        replica_cpus=(whole_cpus - others_cpus) * min(1.0, there.cpus / (count * room.nodes * whole_cpus)),
        replica_gpus=_replica_gpus(gang.ranks, node_ranks, text_gpus + annotator_gpus) if device == "cuda" else 0,
        gang=replace(gang, nodes=room.nodes),
        accelerator=room.accelerator,
        text_gpus=text_gpus,
        text_encoders=int(not text_inside),
        annotators=int(annotates),
        annotator_gpus=annotator_gpus,
        tasks=max(1, int(there.cpus // 2)),
    )


@dataclass(frozen=True, kw_only=True)
class _Room:
    """For replicas."""

    places: int
    nodes: int = 1  # of each replica
    accelerator: str | None = None


def _room(there: Inventory, device: str, gang: int, *, annotates: bool) -> _Room:
    """Raises ValueError for a gang that there is no room for.

    What annotates takes a GPU beside those of gangs: Ray gives out whole ones or parts of one.
    """
    if gang == 1:
        return _Room(places=there.gpus if device == "cuda" else max(1, int(there.cpus)))
    if device == "cpu" and len(there.nodes) == 1:
        return _Room(places=max(1, int(there.cpus) // gang))  # ranks may share CPUs
    room = _room_for_gangs(there, device, gang, annotates=annotates)
    if room is None:
        smaller = (less for less in range(gang - 1, 1, -1) if _room_for_gangs(there, device, less, annotates=annotates))
        beside = ", and annotators need one beside the gang's" if annotates else ""
        raise ValueError(
            f"gang {gang}: the cluster has {_amount(there, device)} on {len(there.nodes)} nodes, and a gang takes one "
            f"node's, or equally many of several nodes'{beside}: use --gang {next(smaller, 1)}"
        )
    return room


def _room_for_gangs(there: Inventory, device: str, gang: int, *, annotates: bool) -> _Room | None:
    """On GPUs of one type, unless a node has room for a whole gang."""
    types = there.gpus_by_type()
    if device == "cpu":
        kinds: dict[str | None, list[int]] = {None: [int(node.cpus) for node in there.nodes]}
    elif len(types) == 1 or any(node.gpus >= gang for node in there.nodes):
        kinds = {None: [node.gpus for node in there.nodes]}
    else:
        kinds = {gpu.type: [node.gpus for node in there.nodes if node.gpu == gpu] for gpu in types}
    found = [(kind, gang_room(sizes, gang, taken=int(annotates))) for kind, sizes in kinds.items()]
    rooms = [_Room(places=room.gangs, nodes=room.nodes, accelerator=kind) for kind, room in found if room is not None]
    return max(rooms, key=lambda room: room.places, default=None)


def _replica_gpus(gang: int, node_ranks: int, shared: float) -> float:
    return 1 - shared if gang == 1 else node_ranks


def _amount(there: Inventory, device: str) -> str:
    return f"{there.gpus} GPUs" if device == "cuda" else f"{there.cpus:g} CPUs"


def _resolved_device(device: str, there: Inventory) -> str:
    if device not in ("auto", "cpu", "cuda"):
        raise ValueError(f"device {device!r} is unknown: use auto, cpu or cuda")
    if device == "cuda" and there.gpus < 1:
        raise ValueError("device cuda: the cluster has no GPU: use --device cpu, or connect to one that has")
    if device == "auto":
        return "cuda" if there.gpus >= 1 else "cpu"
    return device
