"""What Ray's object stores have written to disk for want of memory."""


def spilled_bytes() -> int:
    """Of all nodes of the cluster that this process is connected to, so far."""
    import ray
    from ray._private.internal_api import node_stats

    return sum(
        int(node_stats(node["NodeManagerAddress"], node["NodeManagerPort"]).store_stats.spilled_bytes_total)
        for node in ray.nodes()
        if node["Alive"]
    )
