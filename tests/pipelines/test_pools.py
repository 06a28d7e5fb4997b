"""Pool sizes for clusters that are not here."""

import pytest

from airshower.cluster.session import Cluster
from airshower.configs.gang_layout import GangLayout
from airshower.pipelines.pools import ANNOTATE_CPUS, PREPARE_CPUS, TEXT_CPUS, plan_pools

TWO, FOUR, EIGHT = (GangLayout(token_ranks=ranks) for ranks in (2, 4, 8))


@pytest.mark.parametrize(
    ("cpus", "gpus", "replicas"), [(1, 0, None), (2, 0, None), (2, 0, 4), (64, 0, None), (4, 8, 8), (4, 1, None)]
)
@pytest.mark.parametrize("text_on_gpu", [False, True])
@pytest.mark.parametrize("annotates", [False, True])
def test_all_stages_fit_the_cluster_at_once(cpus, gpus, replicas, text_on_gpu, annotates):
    machine = Cluster(cpus=cpus, gpus=gpus)
    helpers = {"text_on_gpu": text_on_gpu, "annotates": annotates}
    pools = plan_pools(machine, device="auto", replicas=replicas, rows=1000, **helpers)
    one_task_each = TEXT_CPUS + PREPARE_CPUS + ANNOTATE_CPUS * annotates
    assert pools.replicas * pools.replica_cpus + one_task_each <= cpus + 1e-9
    # wherever they are put, each GPU has room for its replica
    assert pools.replica_gpus + pools.text_gpus + pools.annotator_gpus <= min(gpus, 1) + 1e-9
    assert (pools.text_gpus > 0) == (text_on_gpu and gpus > 0)


def test_replicas_follow_the_devices_and_never_exceed_the_rows():
    machine = Cluster(cpus=32, gpus=4)
    assert plan_pools(machine, device="auto", replicas=None, rows=1000).replicas == 4
    assert plan_pools(machine, device="cpu", replicas=None, rows=1000).replicas == 32
    assert plan_pools(machine, device="cuda", replicas=3, rows=2).replicas == 2
    with pytest.raises(ValueError, match="replicas 5: the cluster has 4 GPUs"):
        plan_pools(machine, device="cuda", replicas=5, rows=1000)


def test_gangs_take_whole_gpus_of_one_node_and_leave_one_to_the_text_encoder():
    cluster = Cluster(cpus=64, gpus=8, node_gpus=4)
    pools = plan_pools(cluster, device="cuda", replicas=None, rows=100, gang=FOUR)
    assert (pools.replicas, pools.replica_gpus) == (2, 4)
    pools = plan_pools(cluster, device="cuda", replicas=None, rows=100, gang=FOUR, text_on_gpu=True)
    assert (pools.replicas, pools.replica_gpus, pools.text_gpus) == (1, 4, 0.1)
    with pytest.raises(ValueError, match="no node of the cluster has more than 4 GPUs, and a gang is on one node"):
        plan_pools(cluster, device="cuda", replicas=None, rows=100, gang=EIGHT)
    one_node = Cluster(cpus=16, gpus=2, node_gpus=2)
    with pytest.raises(ValueError, match="need one beside the gang's: use --gang 1"):
        plan_pools(one_node, device="cuda", replicas=None, rows=100, gang=TWO, text_on_gpu=True)
    assert plan_pools(Cluster(cpus=4, gpus=0), device="cpu", replicas=None, rows=100, gang=TWO).replicas == 2
