"""A Ray cluster on Kubernetes as we describe it: image, groups of nodes, storage, how long a leaving node may take.

What Kubernetes and KubeRay make of it is said in cluster/kuberay.py. Everything is checked here, before anything is
rendered; that the image, claims and secrets exist is not.
"""

import re
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
Text = Annotated[str, Field(min_length=1)]
# KubeRay puts up to 20 characters behind a name, and a label of Kubernetes holds 63
Name = Annotated[str, Field(pattern=r"^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$")]
ObjectName = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$")]

_CRON_FIELD = re.compile(r"[0-9*/,\-]+")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Toleration(_Strict):
    """A taint of Kubernetes nodes that a group's pods put up with."""

    key: Text
    value: str | None = Field(default=None, description="Value of the taint; default: any")
    effect: str | None = Field(default=None, description="NoSchedule, PreferNoSchedule or NoExecute; default: all")


class HeadNode(_Strict):
    """The node of Ray's own services and of the command itself; rows are not worked on here."""

    cpus: Positive = 4
    memory_gib: Positive = Field(default=16, description="Also holds what the command knows of its rows")
    node_selector: dict[str, str] = Field(default={}, description="Labels of Kubernetes nodes it may run on")


class WorkerGroup(_Strict):
    """Nodes of one kind."""

    name: Name
    cpus: Positive = Field(description="Of each node")
    memory_gib: Positive = Field(description="Of each node; a third of it holds objects on their way between stages")
    gpus: Count = Field(default=0, description="Of each node")
    nodes: Count = Field(description="How many there are when a run starts")
    min_nodes: Count | None = Field(default=None, description="How few idle ones may leave; default: nodes")
    max_nodes: Count | None = Field(default=None, description="How many may be added under load; default: nodes")
    node_selector: dict[str, str] = Field(default={}, description="Labels of Kubernetes nodes they may run on")
    tolerations: tuple[Toleration, ...] = ()

    @property
    def fewest(self) -> int:
        return self.nodes if self.min_nodes is None else self.min_nodes

    @property
    def most(self) -> int:
        return self.nodes if self.max_nodes is None else self.max_nodes

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not self.fewest <= self.nodes <= self.most:
            raise ValueError(
                f"group {self.name}: {self.fewest} min_nodes, {self.nodes} nodes and {self.most} max_nodes "
                "must not decrease in this order"
            )
        if not self.most:
            raise ValueError(f"group {self.name}: has no nodes: give max_nodes or remove the group")
        return self


class Storage(_Strict):
    """Where runs, inputs and weights are: a bucket, a volume that all nodes share, or both."""

    credentials_secret: ObjectName | None = Field(
        default=None, description="Secret whose keys become variables of every node, such as AWS_ACCESS_KEY_ID"
    )
    service_account: ObjectName | None = Field(default=None, description="Service account that may use the bucket")
    volume_claim: ObjectName | None = Field(default=None, description="ReadWriteMany claim that every node mounts")
    mount_path: str = Field(default="/shared", pattern=r"^/[^/]", description="Where the claim is mounted")
    cache_gib: Positive = Field(default=100, description="Of each node's own disk, for weights it fetched")


class Nightly(_Strict):
    """When a RayCronJob starts its run."""

    schedule: str = Field(description="Five fields of cron: minute, hour, day of month, month, day of week")
    time_zone: Text | None = Field(default=None, description="As in Europe/Berlin; default: that of the operator")

    @field_validator("schedule")
    @classmethod
    def _five_fields(cls, schedule: str) -> str:
        fields = schedule.split()
        if len(fields) != 5 or not all(_CRON_FIELD.fullmatch(field) for field in fields):
            raise ValueError(f"{schedule!r} is no schedule: write five fields of cron, such as '0 2 * * *'")
        return schedule


class ClusterConfig(_Strict):
    """A cluster, and how runs on it are started and ended."""

    name: Name
    image: Text = Field(description="Of the repository's Dockerfile, with a tag or digest")
    image_pull_secret: ObjectName | None = None
    namespace: ObjectName | None = Field(default=None, description="Default: that of kubectl's context")
    head: HeadNode = HeadNode()
    workers: tuple[WorkerGroup, ...] = Field(min_length=1)
    storage: Storage = Storage()
    environment: dict[str, str] = Field(default={}, description="Further variables of every node; no secrets")
    token_auth: bool = Field(default=True, description="Only who has the token may use the cluster")
    drain_s: Positive = Field(default=600, description="How long a node that has to leave may finish its rows")
    idle_s: Positive = Field(default=300, description="How long an idle node above min_nodes stays")
    retries: Count = Field(default=1, description="How often a failed run starts again, on new nodes")
    deadline_s: Positive | None = Field(default=None, description="Longest time of a run, retries included")
    keep_s: Count = Field(default=600, description="How long the nodes stay after a run, to look at its logs")
    nightly: Nightly | None = None

    @model_validator(mode="after")
    def _distinct_groups(self) -> Self:
        names = [group.name for group in self.workers]
        if len(set(names)) < len(names):
            raise ValueError(f"workers: two groups have the same name: {', '.join(sorted(names))}")
        return self
