"""How long a run takes until rows are made: Ray and the plan, then the models. Estimates, of a machine that is free.

On CPUs it is arithmetic of Python: processes import their libraries side by side on the cores there are. On GPUs it is
weights that are read. How much longer a busy machine takes is seen from how long Ray took to start on it.
"""

from airshower.pipelines.planning.placement import Placement

RAY_S = 3.0  # to start on this machine
_PLAN_S = 4.0  # PyTorch is imported for it
BEFORE_S = RAY_S + _PLAN_S  # that the models are loaded

_GPU_S = 60.0
_REPLICA_CPU_S, _TEXT_CPU_S, _OTHERS_CPU_S = 6.5, 5.5, 4.0  # of each; of the processes that pass rows on
_LEAST_S = 8.0  # one after the other in one process
_MOST_SLOWNESS = 10.0


def loading_s(placed: Placement, cores: float, slowness: float = 1.0) -> float:
    """Until the replicas are loaded, from the plan on."""
    if placed.pools[0].gpu is not None:
        return _GPU_S
    replicas = sum(pool.replicas for pool in placed.pools)
    cpu_s = _REPLICA_CPU_S * replicas + _TEXT_CPU_S * placed.text_encoders + _OTHERS_CPU_S
    return slowness * max(_LEAST_S, cpu_s / max(1.0, cores))


def slowness_of(ray_took_s: float) -> float:
    """How many times longer than on a free machine a start takes, if Ray took so long."""
    return min(max(1.0, ray_took_s / RAY_S), _MOST_SLOWNESS)
