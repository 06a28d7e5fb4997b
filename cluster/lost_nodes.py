"""Nodes that Ray has given up, because they are gone, or hang: it asks each of them every few seconds how it is.

A driver whose own node is given up has to leave without a word: what it asks of Ray then is never answered.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager


class OwnNodeLostError(RuntimeError):
    """Ray has given up the node of this process."""


def lost_nodes() -> frozenset[str]:
    """Their ids."""
    import ray

    return frozenset(node["NodeID"] for node in ray.nodes() if not node["Alive"])


def require_own_node() -> None:
    """Raises OwnNodeLostError where it is lost."""
    import ray

    if ray.get_runtime_context().get_node_id() in lost_nodes():
        raise OwnNodeLostError("Ray on this machine hangs, or the machine is overloaded: the same command goes on")


@contextmanager
def taking_leave(goodbye: Callable[[], object]) -> Iterator[None]:
    """Calls back when the block ends, however that is, unless there is nobody left to say goodbye to."""
    try:
        yield
    except OwnNodeLostError:
        raise
    except BaseException:
        goodbye()
        raise
    goodbye()
