"""Pool sizes for clusters that are not here."""

import pytest

from airshower.cluster.session import Cluster
from airshower.pipelines.pools import PREPARE_CPUS, TEXT_CPUS, WRITE_CPUS, plan_pools


@pytest.mark.parametrize(
    ("cpus", "gpus", "replicas"), [(1, 0, None), (2, 0, None), (2, 0, 4), (64, 0, None), (4, 8, 8)]
)
def test_all_stages_fit_the_cluster_at_once(cpus, gpus, replicas):
    pools = plan_pools(Cluster(cpus=cpus, gpus=gpus), device="auto", replicas=replicas, rows=1000)
    one_task_each = TEXT_CPUS + PREPARE_CPUS + WRITE_CPUS
    assert pools.replicas * pools.replica_cpus + one_task_each <= cpus + 1e-9
    assert pools.replicas * pools.replica_gpus <= gpus


def test_replicas_follow_the_devices_and_never_exceed_the_rows():
    machine = Cluster(cpus=32, gpus=4)
    assert plan_pools(machine, device="auto", replicas=None, rows=1000).replicas == 4
    assert plan_pools(machine, device="cpu", replicas=None, rows=1000).replicas == 32
    assert plan_pools(machine, device="cuda", replicas=3, rows=2).replicas == 2
    with pytest.raises(ValueError, match="replicas 5: the cluster has 4 GPUs"):
        plan_pools(machine, device="cuda", replicas=5, rows=1000)
