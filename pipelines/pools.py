"""How the stages of batch generation share a cluster.

Pools have fixed sizes, so a fast stage can't take the CPUs that a slow one waits for, and all of them together fit one
CPU per replica. Text encoder and annotators share a GPU with a replica, where they run on one, and all of them stay
loaded; annotators take nothing from a run in which no row needs them. What is here fits any rows: one replica per GPU
or CPU. A plan knows its rows, and chooses better (`airshower.pipelines.planning.planned_pools`).
"""

from dataclasses import dataclass

from airshower.cluster.session import Cluster
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
    replica_cpus: float
    replica_gpus: float
    gang: GangLayout  # of each replica
    accelerator: str | None = None
    text_gpus: float
    text_accelerator: str | None = None
    text_encoders: int = 1
    annotators: int  # none where no row needs them
    annotator_gpus: float
    annotator_accelerator: str | None = None
    tasks: int  # that prepare rows


def plan_pools(
    cluster: Cluster,
    *,
    device: str,
    replicas: int | None,
    rows: int,
    text_on_gpu: bool = False,
    annotates: bool = False,
    gang: GangLayout = ALONE,
) -> Pools:
    """Pools that fit the cluster; `replicas` None means as many as there is room for, and never more than there are
    rows. A replica takes as many GPUs of one node as its gang has ranks, or as many CPUs.

    `device` is auto, cpu or cuda. Raises ValueError when the cluster lacks what is asked for.
    """
    device = _resolved_device(device, cluster)
    shares = device == "cuda" and (text_on_gpu or annotates)
    places = _places(cluster, device, gang.ranks, shares=shares)
    if replicas is not None and replicas < 1:
        raise ValueError(f"replicas {replicas}: at least one is needed to generate")
    if replicas is not None and device == "cuda" and replicas > places:
        gpus = "one" if gang.ranks == 1 else f"{gang.ranks}"
        raise ValueError(
            f"replicas {replicas}: the cluster has {cluster.gpus:g} GPUs, {gpus} per replica: use at most {places}"
        )
    text_gpus = _TEXT_GPUS if device == "cuda" and text_on_gpu else 0.0
    annotator_gpus = _ANNOTATOR_GPUS if device == "cuda" and annotates else 0.0
    replica_cpus = _REPLICA_CPUS - (ANNOTATE_CPUS if annotates else 0.0)
    count = min(replicas or places, max(1, rows))
    return Pools(
        device=device,
        replicas=count,
        replica_cpus=replica_cpus * min(1.0, cluster.cpus / count),  # more replicas than CPUs share them
        replica_gpus=_replica_gpus(gang.ranks, text_gpus + annotator_gpus) if device == "cuda" else 0,
        gang=gang,
        text_gpus=text_gpus,
        annotators=int(annotates),
        annotator_gpus=annotator_gpus,
        tasks=max(1, int(cluster.cpus // 2)),
    )


def _places(cluster: Cluster, device: str, gang: int, *, shares: bool) -> int:
    """How many replicas there is room for; raises ValueError for a gang that fits no node."""
    if device == "cpu":
        return max(1, int(cluster.cpus) // gang)
    if gang > max(1, cluster.node_gpus):
        raise ValueError(
            f"gang {gang}: no node of the cluster has more than {cluster.node_gpus:g} GPUs, and a gang is on one node: "
            f"use --gang {max(1, int(cluster.node_gpus))} or less"
        )
    if gang == 1:
        return int(cluster.gpus)
    # Ray gives out whole GPUs or parts of one: what shares a single replica's GPU needs one of its own beside gangs.
    places = int(cluster.gpus - shares) // gang
    if not places:
        raise ValueError(
            f"gang {gang}: the cluster has {cluster.gpus:g} GPUs, and text encoder or annotators need one beside the "
            f"gang's: use --gang {gang - 1}"
        )
    return places


def _replica_gpus(gang: int, shared: float) -> float:
    return 1 - shared if gang == 1 else gang


def _resolved_device(device: str, cluster: Cluster) -> str:
    if device not in ("auto", "cpu", "cuda"):
        raise ValueError(f"device {device!r} is unknown: use auto, cpu or cuda")
    if device == "cuda" and cluster.gpus < 1:
        raise ValueError("device cuda: the cluster has no GPU: use --device cpu, or connect to one that has")
    if device == "auto":
        return "cuda" if cluster.gpus >= 1 else "cpu"
    return device
