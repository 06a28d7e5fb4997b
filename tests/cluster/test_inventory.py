"""What a cluster has, from Ray's own account of it and from files that declare it."""

import pytest

from airshower.cluster.declared_inventory import InventoryError, declared_inventory
from airshower.cluster.inventory import GangRoom, cluster_inventory, gang_room, inventory_of
from airshower.configs.gpus import GPUS, type_of

CPU_NODE = {"Alive": True, "NodeManagerHostname": "c", "Resources": {"CPU": 16.0, "memory": 64 * 2**30}, "Labels": {}}
GPU_NODE = {
    "Alive": True,
    "NodeManagerHostname": "g",
    "Resources": {"CPU": 96.0, "GPU": 8.0, "accelerator_type:H200": 1.0, "memory": 2**40},
    "Labels": {"ray.io/accelerator-type": "H200"},
}


def test_nodes_have_their_cpus_and_gpus_by_type():
    there = inventory_of([GPU_NODE, CPU_NODE, GPU_NODE | {"Alive": False}])
    assert (there.cpus, there.gpus, there.gpus_by_type()) == (112.0, 8, {GPUS["H200"]: 8})
    assert [there.places(GPUS["H200"], gang) for gang in (1, 3, 8, 16)] == [8, 2, 1, 0]
    two = inventory_of([GPU_NODE, GPU_NODE, CPU_NODE])
    assert [two.places(GPUS["H200"], gang) for gang in (8, 10, 16, 17)] == [2, 1, 1, 0]
    assert [node.memory_gib for node in there.nodes] == [1024, 64]
    assert str(there) == "2 nodes, 112 CPUs, 8 x H200"


@pytest.mark.parametrize(
    ("sizes", "gang", "taken", "room"),
    [
        ([8, 8, 4], 8, 0, GangRoom(gangs=2, nodes=1)),
        ([3, 3], 2, 0, GangRoom(gangs=2, nodes=1)),
        ([8, 1], 8, 1, GangRoom(gangs=1, nodes=1)),  # it may be on the other node
        ([8], 8, 1, None),
        ([8, 8, 8, 8, 8], 16, 0, GangRoom(gangs=2, nodes=2)),
        ([8, 8, 8, 8, 8], 16, 1, GangRoom(gangs=2, nodes=2)),
        ([8, 8, 8, 8], 16, 1, GangRoom(gangs=1, nodes=2)),
        ([4, 2], 6, 0, GangRoom(gangs=1, nodes=3)),  # two of its parts on the first
        ([1, 1], 2, 0, GangRoom(gangs=1, nodes=2)),
        ([8, 8], 17, 0, None),
        ([], 2, 0, None),
    ],
)
def test_gangs_are_on_one_node_or_on_equal_parts_of_several(sizes, gang, taken, room):
    assert gang_room(sizes, gang, taken=taken) == room


def test_the_type_that_says_more_counts_and_an_unknown_one_stays_unknown():
    sized = GPU_NODE | {"Resources": {"GPU": 1.0, "accelerator_type:A100": 1.0, "accelerator_type:A100-80G": 1.0}}
    unnamed = GPU_NODE | {"Resources": {"GPU": 1.0}, "Labels": {}}
    first, second = (node.gpu for node in inventory_of([sized | {"Labels": {}}, unnamed]).nodes)
    assert first == GPUS["A100-80G"]
    assert (second.type, second.memory_gib, second.bf16_tflops) == ("GPU", None, None)


@pytest.mark.cluster
@pytest.mark.usefixtures("cluster")
def test_a_running_cluster_says_what_it_has():
    there = cluster_inventory()
    assert (len(there.nodes), there.cpus, there.gpus) == (1, 2.0, 0)
    assert there.nodes[0].memory_gib > 0


def test_a_file_declares_a_cluster(tmp_path):
    path = tmp_path / "cluster.yaml"
    path.write_text(
        "nodes:\n  - {count: 2, cpus: 96, memory_gib: 1900, gpus: 8, gpu: H200}\n  - {cpus: 64}\n"
        "  - {cpus: 8, gpus: 1, gpu: X1, gpu_memory_gib: 24, gpu_bf16_tflops: 100}\n"
    )
    there = declared_inventory(str(path))
    assert str(there) == "4 nodes, 264 CPUs, 16 x H200, 1 x X1"
    assert there.nodes[3].gpu.memory_gib == 24


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nodes: []", "nodes: List should have at least 1 item"),
        ("nodes: [{cpus: 4, gpus: 2}]", "nodes.0: gpus and gpu: one needs the other"),
        ("nodes: [{cpus: 4, gpus: 2, gpu: H2O}]", "gpu 'H2O' is not one of .*H200.*add gpu_memory_gib"),
        ("nodes: [{cpu: 4}]", "nodes.0.cpus: Field required"),
        ("nodes: [", "is no YAML or JSON"),
    ],
)
def test_a_file_that_declares_none_says_why(tmp_path, text, message):
    path = tmp_path / "cluster.yaml"
    path.write_text(text)
    with pytest.raises(InventoryError, match=f"cluster.yaml: .*{message}"):
        declared_inventory(str(path))


@pytest.mark.parametrize(
    ("device", "type_name"),
    [
        ("NVIDIA H200", "H200"),
        ("NVIDIA A100-SXM4-80GB", "A100"),
        ("NVIDIA L40S", "L40S"),
        ("NVIDIA GeForce RTX 4090", "GeForce-RTX-4090"),
        ("NVIDIA L40", "L40"),
    ],
)
def test_drivers_names_are_those_of_types(device, type_name):
    assert type_of(device) == type_name
