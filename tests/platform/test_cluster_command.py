"""`airshower cluster render`: from a description in a file to a manifest, or one line that says what is wrong."""

import json
import re
import shlex
from pathlib import Path

import pytest
import yaml

EXAMPLE = Path(__file__).parents[2] / "configs" / "clusters" / "kuberay.yaml"
RUN = ("generate", "s3://drives/rows.parquet", "--output", "s3://drives/run", "--seed", "7")


def test_the_shipped_description_renders_all_kinds(call):
    code, printed, _ = call("cluster", "render", "raycluster", "--config", str(EXAMPLE))
    cluster = yaml.safe_load(printed)
    assert (code, cluster["kind"]) == (0, "RayCluster")
    gpus = [
        group["replicas"] * int(group["template"]["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"])
        for group in cluster["spec"]["workerGroupSpecs"]
        if group["groupName"] == "gpu"
    ]
    assert gpus == [64]
    for kind, command in (("rayjob", ["entrypoint"]), ("raycronjob", ["jobTemplate", "entrypoint"])):
        code, printed, _ = call("cluster", "render", kind, "--config", str(EXAMPLE), "--", *RUN)
        found = yaml.safe_load(printed)["spec"]
        for key in command:
            found = found[key]
        assert shlex.split(found) == ["airshower", *RUN]


@pytest.mark.parametrize(
    ("kind", "change", "command", "message"),
    [
        ("rayjob", {}, [], r"a rayjob needs a command: add -- generate"),
        ("raycluster", {}, RUN, r"a raycluster runs no command"),
        ("rayjob", {}, ["serve"], r"a job can't be 'serve': use one of evaluate, generate, plan, report, train"),
        ("rayjob", {}, [*RUN, "--sed", "1"], r"No such option: --sed"),
        (
            "rayjob",
            {},
            ["generate", "rows.json", "--output", "s3://a/b"],
            r"SPECS rows\.json is not seen by .*volume_claim",
        ),
        ("rayjob", {}, ["generate", "s3://a/b.json", "--output", "/run"], r"--output /run is not seen by"),
        ("rayjob", {"gpus": 3}, RUN, r"cluster\.json: gpus: is not a field: airshower cluster schema lists"),
        ("rayjob", {"image": None}, RUN, r"cluster\.json: image: must be a valid string"),
        ("raycronjob", {}, RUN, r"no schedule for a RayCronJob"),
    ],
)
def test_wrong_calls_end_with_2_and_one_line(call, tmp_path, kind, change, command, message):
    group = {"name": "gpu", "cpus": 8, "memory_gib": 64, "nodes": 1}
    file = tmp_path / "cluster.json"
    file.write_text(json.dumps({"name": "night", "image": "airshower:1", "workers": [group], **change}))
    code, _, errors = call("cluster", "render", kind, "--config", str(file), "--", *command)
    assert code == 2
    assert re.fullmatch(rf"airshower: .*{message}.*\n", errors), errors


def test_paths_on_the_shared_volume_may_be_used(call, tmp_path):
    group = {"name": "gpu", "cpus": 8, "memory_gib": 64, "nodes": 1}
    described = {"name": "night", "image": "airshower:1", "workers": [group], "storage": {"volume_claim": "runs"}}
    (tmp_path / "cluster.yaml").write_text(yaml.safe_dump(described))
    config = str(tmp_path / "cluster.yaml")
    code, _, _ = call(
        "cluster", "render", "rayjob", "--config", config, "--", "generate", "/shared/rows", "-o/shared/run"
    )
    assert code == 0
