"""Pool sizes for clusters that are not here."""

import pytest

from airshower.cluster.inventory import Inventory, Node
from airshower.configs.gang_layout import GangLayout
from airshower.configs.gpus import gpu
from airshower.pipelines.pools import ANNOTATE_CPUS, PREPARE_CPUS, TEXT_CPUS, plan_pools

TWO, FOUR, EIGHT = (GangLayout(token_ranks=ranks) for ranks in (2, 4, 8))


def cluster(*nodes: Node) -> Inventory:
    return Inventory(nodes=nodes)


def node(cpus: int, gpus: int = 0, kind: str = "H200") -> Node:
    return Node(name="n", cpus=cpus, memory_gib=64, gpus=gpus, gpu=gpu(kind) if gpus else None)


@pytest.mark.parametrize(
    ("cpus", "gpus", "replicas"), [(1, 0, None), (2, 0, None), (2, 0, 4), (64, 0, None), (4, 8, 8), (4, 1, None)]
)
@pytest.mark.parametrize("text_on_gpu", [False, True])
@pytest.mark.parametrize("annotates", [False, True])
def test_all_stages_fit_the_cluster_at_once(cpus, gpus, replicas, text_on_gpu, annotates):
    machine = cluster(node(cpus, gpus))
    helpers = {"text_on_gpu": text_on_gpu, "annotates": annotates}
    pools = plan_pools(machine, device="auto", replicas=replicas, rows=1000, **helpers)
    one_task_each = TEXT_CPUS + PREPARE_CPUS + ANNOTATE_CPUS * annotates
    assert pools.replicas * pools.replica_cpus + one_task_each <= cpus + 1e-9
    # wherever they are put, each GPU has room for its replica
    assert pools.replica_gpus + pools.text_gpus + pools.annotator_gpus <= min(gpus, 1) + 1e-9
    assert (pools.text_gpus > 0) == (text_on_gpu and gpus > 0)


def test_replicas_follow_the_devices_and_never_exceed_the_rows():
    machine = cluster(node(32, 4))
    assert plan_pools(machine, device="auto", replicas=None, rows=1000).replicas == 4
    assert plan_pools(machine, device="cpu", replicas=None, rows=1000).replicas == 32
    assert plan_pools(machine, device="cuda", replicas=3, rows=2).replicas == 2
    with pytest.raises(ValueError, match="replicas 5: the cluster has 4 GPUs"):
        plan_pools(machine, device="cuda", replicas=5, rows=1000)


def test_gangs_take_whole_gpus_of_one_node_and_leave_one_to_annotators():
    there = cluster(node(32, 4), node(32, 4))
    pools = plan_pools(there, device="cuda", replicas=None, rows=100, gang=FOUR)
    assert (pools.replicas, pools.replica_gpus, pools.gang) == (2, 4, FOUR)
    pools = plan_pools(there, device="cuda", replicas=None, rows=100, gang=FOUR, text_on_gpu=True)
    assert (pools.replicas, pools.replica_gpus, pools.text_gpus, pools.text_encoders) == (2, 4, 0, 0)
    pools = plan_pools(there, device="cuda", replicas=None, rows=100, gang=FOUR, annotates=True)
    assert (pools.replicas, pools.replica_gpus, pools.annotator_gpus) == (1, 4, 0.1)
    with pytest.raises(ValueError, match=r"gang 2: .* annotators need one beside the gang's: use --gang 1"):
        plan_pools(cluster(node(16, 2)), device="cuda", replicas=None, rows=100, gang=TWO, annotates=True)
    assert plan_pools(cluster(node(4)), device="cpu", replicas=None, rows=100, gang=TWO).replicas == 2


def test_gangs_that_no_node_has_room_for_take_equal_places_of_several():
    there = cluster(node(32, 4), node(32, 4), node(32, 4), node(32, 5), node(8))
    pools = plan_pools(there, device="cuda", replicas=None, rows=100, gang=EIGHT)
    assert (pools.replicas, pools.replica_gpus, pools.gang.nodes, pools.accelerator) == (2, 4, 2, None)
    assert plan_pools(there, device="cuda", replicas=None, rows=100, gang=EIGHT, annotates=True).replicas == 1
    with pytest.raises(ValueError, match="the cluster has 17 GPUs, 8 per replica: use at most 2"):
        plan_pools(there, device="cuda", replicas=3, rows=100, gang=EIGHT)
    with pytest.raises(ValueError, match=r"gang 18: the cluster has 17 GPUs on 5 nodes, .*: use --gang 17"):
        plan_pools(there, device="cuda", replicas=None, rows=100, gang=GangLayout(token_ranks=18))


def test_a_gang_over_several_nodes_has_gpus_of_one_type():
    there = cluster(node(32, 4, "H200"), node(32, 4, "L4"), node(32, 2, "L4"), node(32, 4, "L4"))
    pools = plan_pools(there, device="cuda", replicas=None, rows=100, gang=EIGHT)
    assert (pools.replicas, pools.gang.nodes, pools.accelerator) == (1, 2, "L4")
    with pytest.raises(ValueError, match="use --gang 10"):
        plan_pools(there, device="cuda", replicas=None, rows=100, gang=GangLayout(token_ranks=12))


def test_all_stages_fit_beside_gangs_over_several_nodes_of_cpus():
    there = cluster(node(2), node(2))
    pools = plan_pools(there, device="cpu", replicas=None, rows=100, gang=FOUR)
    assert (pools.replicas, pools.gang.nodes, pools.tasks) == (1, 2, 2)
    assert pools.replica_cpus + TEXT_CPUS + PREPARE_CPUS <= 2
    assert pools.replica_cpus > 1  # no node has room for two
