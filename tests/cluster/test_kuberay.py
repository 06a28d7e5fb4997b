"""Manifests as KubeRay's schemas have them, and what has to be in them for a run to work."""

import json
import shlex
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import ray

from airshower.cluster.kuberay import ray_cluster, ray_cron_job, ray_job
from airshower.configs.cluster import ClusterConfig

SCHEMAS = json.loads((Path(__file__).parent / "kuberay_schemas.json").read_text())
COMMAND = ("generate", "s3://drives/it's rows.parquet", "--output", "s3://drives/run")
SMALL: dict[str, Any] = {
    "name": "night",
    "image": "airshower:1",
    "workers": [{"name": "gpu", "cpus": 8, "memory_gib": 64, "gpus": 2, "nodes": 3}],
}
FULL: dict[str, Any] = {
    "name": "night",
    "namespace": "video",
    "image": "airshower:1",
    "image_pull_secret": "registry",
    "head": {"cpus": 2, "memory_gib": 8, "node_selector": {"pool": "cpu"}},
    "workers": [
        {
            **SMALL["workers"][0],
            "min_nodes": 1,
            "max_nodes": 8,
            "node_selector": {"gpu": "h200"},
            "tolerations": [{"key": "nvidia.com/gpu"}, {"key": "spot", "value": "yes", "effect": "NoSchedule"}],
        },
        {"name": "cpu", "cpus": 16, "memory_gib": 64, "nodes": 0, "max_nodes": 4},
    ],
    "storage": {
        "credentials_secret": "bucket",
        "service_account": "runs",
        "volume_claim": "shared",
        "mount_path": "/mnt/runs",
        "cache_gib": 50,
    },
    "environment": {"AWS_REGION": "eu-central-1"},
    "token_auth": False,
    "drain_s": 900,
    "deadline_s": 7200,
    "nightly": {"schedule": "30 2 * * 1-5", "time_zone": "Europe/Berlin"},
}


def pods(cluster: dict[str, Any]) -> list[dict[str, Any]]:
    return [group["template"]["spec"] for group in [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]]


@pytest.mark.parametrize("described", [SMALL | {"nightly": {"schedule": "0 1 * * *"}}, FULL], ids=["small", "full"])
@pytest.mark.parametrize(
    ("kind", "render"),
    [
        ("raycluster", lambda config: ray_cluster(config)),
        ("rayjob", lambda config: ray_job(config, COMMAND)),
        ("raycronjob", lambda config: ray_cron_job(config, COMMAND)),
    ],
)
def test_manifests_are_as_the_schemas_have_them(kind, render, described):
    manifest = render(ClusterConfig.model_validate(described))
    validator = jsonschema.Draft202012Validator({**SCHEMAS[kind], "$defs": SCHEMAS["$defs"]})
    assert [error.message for error in validator.iter_errors(manifest)] == []


def test_the_schemas_refuse_what_kuberay_would_drop():
    manifest = ray_cluster(ClusterConfig.model_validate(SMALL))
    manifest["spec"]["headGroupSpec"]["template"]["spec"]["containers"][0]["volumes"] = []
    schema = {**SCHEMAS["raycluster"], "$defs": SCHEMAS["$defs"]}
    with pytest.raises(jsonschema.ValidationError, match="'volumes' was unexpected"):
        jsonschema.validate(manifest, schema)


def test_no_row_lands_on_the_head_and_ray_is_that_of_the_image():
    spec = ray_cluster(ClusterConfig.model_validate(SMALL))["spec"]
    assert spec["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    assert spec["rayVersion"] == ray.__version__
    assert spec["authOptions"] == {"mode": "token"}


def test_pods_outlive_the_drain_of_their_node():
    for pod in pods(ray_cluster(ClusterConfig.model_validate(FULL))["spec"]):
        (container,) = pod["containers"]
        drain_s = {each["name"]: each["value"] for each in container["env"]}["RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S"]
        assert drain_s == "900"
        assert pod["terminationGracePeriodSeconds"] > 900


def test_every_node_sees_bucket_and_volume():
    cluster = pods(ray_cluster(ClusterConfig.model_validate(FULL))["spec"])
    assert len(cluster) == 3
    for pod in cluster:
        (container,) = pod["containers"]
        claims = {each["name"]: each["persistentVolumeClaim"]["claimName"] for each in pod["volumes"][1:]}
        assert {"name": "shared", "mountPath": "/mnt/runs"} in container["volumeMounts"]
        assert claims == {"shared": "shared"}
        assert container["envFrom"] == [{"secretRef": {"name": "bucket"}}]


def test_groups_grow_and_shrink_only_where_asked():
    fixed = ray_cluster(ClusterConfig.model_validate(SMALL))["spec"]
    assert fixed["enableInTreeAutoscaling"] is False
    assert "autoscalerOptions" not in fixed
    free = ray_cluster(ClusterConfig.model_validate(FULL))["spec"]
    sizes = [(group["minReplicas"], group["replicas"], group["maxReplicas"]) for group in free["workerGroupSpecs"]]
    assert sizes == [(1, 3, 8), (0, 0, 4)]
    assert free["enableInTreeAutoscaling"] is True


def test_gpus_are_asked_for_by_gpu_groups_alone():
    head, gpu, cpu = pods(ray_cluster(ClusterConfig.model_validate(FULL))["spec"])
    asked = [pod["containers"][0]["resources"]["limits"].get("nvidia.com/gpu") for pod in (head, gpu, cpu)]
    assert asked == [None, "2", None]


def test_a_job_runs_the_command_word_for_word():
    spec = ray_job(ClusterConfig.model_validate(SMALL), COMMAND)["spec"]
    assert shlex.split(spec["entrypoint"]) == ["airshower", *COMMAND]


def test_a_nightly_run_needs_a_time():
    with pytest.raises(ValueError, match="no schedule for a RayCronJob: add"):
        ray_cron_job(ClusterConfig.model_validate(SMALL), COMMAND)
