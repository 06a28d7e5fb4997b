"""A ClusterConfig as manifests of KubeRay: RayCluster, RayJob and RayCronJob, as plain dictionaries.

Assumes an image of the repository's Dockerfile: this package, its dependencies, Ray in the version that renders, uid
1000. Renders only; nothing is applied. Fields are those of KubeRay 1.6, whose schema the tests hold.
"""

import shlex
from collections.abc import Sequence
from typing import Any

from airshower.configs.cluster import ClusterConfig, HeadNode, Toleration, WorkerGroup

Manifest = dict[str, Any]

_USER = 1000  # of the image
_CACHE = "/cache"
_AFTER_DRAIN_S = 30  # for Ray to end its processes
# A shell that Ray is started from may keep the signal of a leaving pod to itself. Ray drains on the first one.
_DRAIN = ("pkill", "-TERM", "-f", "ray start")
_PORTS = {"gcs": 6379, "dashboard": 8265, "client": 10001}


def ray_cluster(config: ClusterConfig) -> Manifest:
    """A cluster that stays until it is deleted; jobs are handed in to it."""
    return _manifest("RayCluster", config, _cluster_spec(config))


def ray_job(config: ClusterConfig, command: Sequence[str]) -> Manifest:
    """One run of `airshower COMMAND` on a cluster of its own, which goes when the run is over."""
    return _manifest("RayJob", config, _job_spec(config, command))


def ray_cron_job(config: ClusterConfig, command: Sequence[str]) -> Manifest:
    """Such a run again and again; raises ValueError where the config says no time."""
    if config.nightly is None:
        raise ValueError('no schedule for a RayCronJob: add "nightly": {"schedule": "0 2 * * *"} to the config')
    zone = {} if config.nightly.time_zone is None else {"timeZone": config.nightly.time_zone}
    spec = {"schedule": config.nightly.schedule, **zone, "jobTemplate": _job_spec(config, command)}
    return _manifest("RayCronJob", config, spec)


def _manifest(kind: str, config: ClusterConfig, spec: Manifest) -> Manifest:
    metadata = {"name": config.name} | ({} if config.namespace is None else {"namespace": config.namespace})
    return {"apiVersion": "ray.io/v1", "kind": kind, "metadata": metadata, "spec": spec}


def _job_spec(config: ClusterConfig, command: Sequence[str]) -> Manifest:
    deadline = {} if config.deadline_s is None else {"activeDeadlineSeconds": config.deadline_s}
    return {
        "entrypoint": shlex.join(["airshower", *command]),
        "submissionMode": "K8sJobMode",
        "backoffLimit": config.retries,
        **deadline,
        "shutdownAfterJobFinishes": True,
        "ttlSecondsAfterFinished": config.keep_s,
        "rayClusterSpec": _cluster_spec(config),
    }


def _cluster_spec(config: ClusterConfig) -> Manifest:
    from ray import __version__ as ray_version

    autoscaled = any(group.fewest < group.most for group in config.workers)
    autoscaler = {"autoscalerOptions": {"idleTimeoutSeconds": config.idle_s}} if autoscaled else {}
    return {
        "rayVersion": ray_version,
        "authOptions": {"mode": "token" if config.token_auth else "disabled"},
        "enableInTreeAutoscaling": autoscaled,
        **autoscaler,
        "headGroupSpec": {
            "rayStartParams": {"num-cpus": "0", "dashboard-host": "0.0.0.0"},  # no rows on the head
            "template": _pod(config, config.head),
        },
        "workerGroupSpecs": [_worker_group(config, group) for group in config.workers],
    }


def _worker_group(config: ClusterConfig, group: WorkerGroup) -> Manifest:
    return {
        "groupName": group.name,
        "replicas": group.nodes,
        "minReplicas": group.fewest,
        "maxReplicas": group.most,
        "rayStartParams": {},  # KubeRay reads CPUs, GPUs and memory from the pod
        "template": _pod(config, group),
    }


def _pod(config: ClusterConfig, node: HeadNode | WorkerGroup) -> Manifest:
    storage = config.storage
    spec: Manifest = {
        "terminationGracePeriodSeconds": config.drain_s + _AFTER_DRAIN_S,
        "securityContext": {"runAsNonRoot": True, "runAsUser": _USER, "fsGroup": _USER},
        "containers": [_container(config, node)],
        "volumes": [{"name": "cache", "emptyDir": {"sizeLimit": f"{storage.cache_gib}Gi"}}],
    }
    if storage.volume_claim is not None:
        spec["volumes"].append({"name": "shared", "persistentVolumeClaim": {"claimName": storage.volume_claim}})
    if storage.service_account is not None:
        spec["serviceAccountName"] = storage.service_account
    if config.image_pull_secret is not None:
        spec["imagePullSecrets"] = [{"name": config.image_pull_secret}]
    if node.node_selector:
        spec["nodeSelector"] = dict(node.node_selector)
    if isinstance(node, WorkerGroup) and node.tolerations:
        spec["tolerations"] = [_toleration(each) for each in node.tolerations]
    return {"spec": spec}


def _container(config: ClusterConfig, node: HeadNode | WorkerGroup) -> Manifest:
    storage = config.storage
    mounts = [{"name": "cache", "mountPath": _CACHE}]
    if storage.volume_claim is not None:
        mounts.append({"name": "shared", "mountPath": storage.mount_path})
    container: Manifest = {
        "name": "ray-head" if isinstance(node, HeadNode) else "ray-worker",
        "image": config.image,
        "env": [{"name": name, "value": value} for name, value in _environment(config).items()],
        "resources": _resources(node),
        "volumeMounts": mounts,
        "lifecycle": {"preStop": {"exec": {"command": list(_DRAIN)}}},
    }
    if storage.credentials_secret is not None:
        container["envFrom"] = [{"secretRef": {"name": storage.credentials_secret}}]
    if isinstance(node, HeadNode):
        container["ports"] = [{"name": name, "containerPort": port} for name, port in _PORTS.items()]
    return container


def _environment(config: ClusterConfig) -> dict[str, str]:
    return {
        "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": str(config.drain_s),
        "RAY_JOB_STOP_WAIT_TIME_S": str(config.drain_s),  # from SIGTERM to SIGKILL, which is 3 s otherwise
        "XDG_CACHE_HOME": _CACHE,
        **config.environment,
    }


def _resources(node: HeadNode | WorkerGroup) -> Manifest:
    """Requests and limits alike, so that a node is what Ray takes it for."""
    amounts = {"cpu": str(node.cpus), "memory": f"{node.memory_gib}Gi"}
    if isinstance(node, WorkerGroup) and node.gpus:
        amounts["nvidia.com/gpu"] = str(node.gpus)
    return {"requests": dict(amounts), "limits": dict(amounts)}


def _toleration(toleration: Toleration) -> Manifest:
    operator = {"operator": "Exists"} if toleration.value is None else {"operator": "Equal", "value": toleration.value}
    effect = {} if toleration.effect is None else {"effect": toleration.effect}
    return {"key": toleration.key, **operator, **effect}
