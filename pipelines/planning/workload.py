"""Rows to make and what makes them, as numbers: what planning and simulation compute with."""

import math
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linprog

NEVER = math.inf  # of a kind that a pool can't make


@dataclass(frozen=True, kw_only=True)
class Pool:
    """Replicas of one sort."""

    replicas: int
    gpus_each: int = 1  # 0: on CPU
    per_node: int = 8


@dataclass(frozen=True, kw_only=True)
class Workload:
    """Kinds in the order they are made, with rows, and seconds of a row of each."""

    rows: tuple[int, ...]
    generate_s: tuple[tuple[float, ...], ...]  # by pool, then by kind
    pools: tuple[Pool, ...]
    prepare_s: tuple[float, ...]
    write_s: tuple[float, ...]
    chunks: tuple[int, ...]
    prepare_tasks: int
    write_tasks: int
    start_s: float = 0.0  # until replicas are loaded


def shortest_s(rows: tuple[float, ...], generate_s: tuple[tuple[float, ...], ...], replicas: tuple[int, ...]) -> float:
    """The least time in which all replicas together make the rows, if these could be divided at will.

    Raises ValueError for rows that no pool makes.
    """
    seconds = np.array(generate_s, dtype=float).reshape(len(replicas), len(rows))
    able = np.isfinite(seconds)
    if not all(able[:, kind].any() for kind, count in enumerate(rows) if count):
        raise ValueError("rows that no pool can make are to be left out before")
    if len(replicas) == 1:
        return float(sum(count * s for count, s in zip(rows, seconds[0], strict=True) if count)) / replicas[0]
    return _balanced_s(np.array(rows, dtype=float), seconds, able, np.array(replicas))


def _balanced_s(rows: np.ndarray, seconds: np.ndarray, able: np.ndarray, replicas: np.ndarray) -> float:
    """A linear program: shares of every kind by pool, and the busiest pool's time, which is to be least."""
    pools, kinds = seconds.shape
    work = np.where(able, seconds, 0.0) * rows / replicas[:, None]
    unit = work.max() or 1.0
    by_pool = np.zeros((pools, pools * kinds + 1))
    for pool in range(pools):
        by_pool[pool, pool * kinds : (pool + 1) * kinds] = work[pool] / unit
    by_pool[:, -1] = -1.0
    whole = np.hstack([np.tile(np.eye(kinds), pools), np.zeros((kinds, 1))])
    bounds = [(0.0, 1.0 if there else 0.0) for there in able.ravel()] + [(0.0, None)]
    cost = np.zeros(pools * kinds + 1)
    cost[-1] = 1.0
    found = linprog(cost, A_ub=by_pool, b_ub=np.zeros(pools), A_eq=whole, b_eq=np.ones(kinds), bounds=bounds)
    return float(found.fun) * unit
