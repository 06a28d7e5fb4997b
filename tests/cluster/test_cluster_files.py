"""Files that other programs read: Ray's launcher, docker. Their own rules are asked where they are installed."""

import json
import re
from pathlib import Path

import jsonschema
import ray
import yaml

from airshower.cluster.kuberay import ray_cluster
from airshower.configs.cluster import ClusterConfig

ROOT = Path(__file__).parents[2]


def test_rays_launcher_takes_the_aws_file():
    described = yaml.safe_load((ROOT / "configs" / "clusters" / "aws.yaml").read_text())
    schema = json.loads((Path(ray.__file__).parent / "autoscaler" / "ray-schema.json").read_text())
    jsonschema.validate(described, schema)
    workers = {name: kind for name, kind in described["available_node_types"].items() if name != "head"}
    assert described["head_node_type"] in described["available_node_types"]
    assert described["max_workers"] >= sum(kind["max_workers"] for kind in workers.values())
    assert described["available_node_types"]["head"]["resources"] == {"CPU": 0}


def test_the_image_is_what_manifests_assume_of_it():
    text = (ROOT / "Dockerfile").read_text()
    config = ClusterConfig.model_validate(
        {"name": "a", "image": "b", "workers": [{"name": "c", "cpus": 1, "memory_gib": 1, "nodes": 1}]}
    )
    pod = ray_cluster(config)["spec"]["headGroupSpec"]["template"]["spec"]
    assert f"--uid {pod['securityContext']['runAsUser']} " in text
    for mount in pod["containers"][0]["volumeMounts"]:
        assert f" {mount['mountPath']} " in text
    assert "USER airshower" in text
    assert "procps" in text  # the preStop hook


def test_the_image_copies_what_is_there_and_ignores_none_of_it():
    text = (ROOT / "Dockerfile").read_text()
    ignored = (ROOT / ".dockerignore").read_text().split()
    copied = [word for line in re.findall(r"^COPY --chown=airshower (.+) \S+$", text, re.M) for word in line.split()]
    assert "constraints.txt" in copied
    for name in copied:
        assert (ROOT / name).exists()
        assert name.split("/")[0] not in ignored
