"""Descriptions of clusters: what is refused, and in which words."""

import pytest
from pydantic import ValidationError

from airshower.configs.cluster import ClusterConfig

GROUP = {"name": "gpu", "cpus": 8, "memory_gib": 64, "nodes": 1}


def config(**fields: object) -> ClusterConfig:
    return ClusterConfig.model_validate({"name": "night", "image": "airshower:1", "workers": [GROUP], **fields})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": "Night"}, "should match pattern"),
        ({"name": "n" * 41}, "should match pattern"),
        ({"workers": []}, "at least 1 item"),
        ({"workers": [GROUP, GROUP]}, "two groups have the same name: gpu, gpu"),
        ({"workers": [GROUP | {"nodes": 0}]}, "group gpu: has no nodes: give max_nodes or remove the group"),
        ({"workers": [GROUP | {"max_nodes": 0}]}, "1 min_nodes, 1 nodes and 0 max_nodes must not decrease"),
        ({"workers": [GROUP | {"min_nodes": 2}]}, "2 min_nodes, 1 nodes and 1 max_nodes must not decrease"),
        ({"workers": [GROUP | {"gpu": 1}]}, "Extra inputs are not permitted"),
        ({"storage": {"mount_path": "shared"}}, "should match pattern"),
        ({"storage": {"mount_path": "/"}}, "should match pattern"),
        ({"nightly": {"schedule": "at two"}}, "'at two' is no schedule: write five fields of cron"),
        ({"drain_s": 0}, "greater than or equal to 1"),
    ],
)
def test_what_cannot_be_is_refused(fields, message):
    with pytest.raises(ValidationError, match=message):
        config(**fields)


def test_a_group_has_a_fixed_size_unless_it_says_otherwise():
    (group,) = config().workers
    assert (group.fewest, group.most) == (1, 1)
    (group,) = config(workers=[GROUP | {"nodes": 0, "max_nodes": 4}]).workers
    assert (group.fewest, group.most) == (0, 4)
