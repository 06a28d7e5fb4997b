"""Plans played out at scale: the makespan that was predicted and the one that comes out of a simulated run.

python tests/benchmarks/simulate_plan.py [--rows 1000000] [--gpus 1000] [--seed 0] [--measured RUN]

Nothing is generated. Times are those that were measured on an H200, or estimates for other GPUs; `--measured` takes the
spread of rows from the commits of a run folder instead of a lognormal one. Prints a line per scenario.
"""

import argparse
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from statistics import median

from airshower.actors.model_costs import ModelCosts
from airshower.cluster.inventory import Inventory, Node
from airshower.cluster.store import open_store
from airshower.configs.flops import ChunkSize
from airshower.configs.gpus import GPUS
from airshower.configs.presets import preset
from airshower.configs.row_kind import RowKind
from airshower.pipelines.ledger.ledger import Ledger
from airshower.pipelines.planning.plan import plan
from airshower.pipelines.planning.service_times import ServiceTimes
from airshower.pipelines.planning.simulate import CALM, Disturbances, simulate

CLIP = RowKind(
    model="transfer2.5-2b",
    controls=("edge",),
    chunk=ChunkSize(frames=93, height=704, width=1280),
    chunks=1,
    steps=35,
    guided=True,
    given_frames=1,
)
SMALL = replace(CLIP, chunk=ChunkSize(frames=93, height=432, width=768))
LONG = replace(CLIP, chunks=4)
FOUR_CONTROLS = replace(CLIP, controls=("edge", "vis", "depth", "seg"))
SPREAD, REPLICA_SPREAD = 0.05, 0.02


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """What runs where, and what goes wrong."""

    name: str
    shares: Mapping[RowKind, float]
    gpus: Mapping[str, float]  # shares of the GPUs
    odds: Disturbances


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--gpus", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--measured", metavar="RUN", help="run folder whose rows' times are drawn from")
    options = parser.parse_args()
    times = ServiceTimes(ModelCosts(preset("transfer2.5-2b")))
    print(f"{options.rows:,} rows on {options.gpus:,} GPUs")
    for scenario in scenarios(measured_factors(options.measured) if options.measured else ()):
        show(scenario, options.rows, options.gpus, times, options.seed)


def scenarios(measured: tuple[float, ...]) -> list[Scenario]:
    h200, one_kind = {"H200": 1.0}, {CLIP: 1.0}
    mixed_kinds = {CLIP: 0.5, SMALL: 0.3, FOUR_CONTROLS: 0.1, LONG: 0.1}
    mixed_gpus = {"H200": 0.5, "H100": 0.3, "L40S": 0.2}
    usual = Disturbances(row_spread=SPREAD, replica_spread=REPLICA_SPREAD, measured=measured)
    spot = replace(usual, preemptions_per_node_hour=0.05)
    return [
        Scenario(name="calm", shares=one_kind, gpus=h200, odds=CALM),
        Scenario(name="stragglers", shares=one_kind, gpus=h200, odds=usual),
        Scenario(name="heavy stragglers", shares=one_kind, gpus=h200, odds=replace(usual, row_spread=0.3)),
        Scenario(name="kinds of rows", shares=mixed_kinds, gpus=h200, odds=usual),
        Scenario(name="mixed GPUs", shares=mixed_kinds, gpus=mixed_gpus, odds=usual),
        Scenario(name="spot nodes", shares=mixed_kinds, gpus=h200, odds=spot),
        Scenario(name="mixed GPUs, spot", shares=mixed_kinds, gpus=mixed_gpus, odds=spot),
    ]


def show(scenario: Scenario, rows: int, gpus: int, times: ServiceTimes, seed: int) -> None:
    counts = {kind: max(1, round(rows * share)) for kind, share in scenario.shares.items()}
    nodes = [
        Node(name=name, cpus=96, memory_gib=1900, gpus=8, gpu=GPUS[name])
        for name, share in scenario.gpus.items()
        for _ in range(max(1, round(gpus * share / 8)))
    ]
    made = plan(counts, Inventory(nodes=tuple(nodes)), times)
    begun_s = time.perf_counter()
    outcome = simulate(made.workload, scenario.odds, seed)
    played_s = time.perf_counter() - begun_s
    predicted_s, off = made.finish.seconds, outcome.makespan_s / made.finish.seconds - 1
    print(
        f"{scenario.name:18} predicted {_days(predicted_s)}, simulated {_days(outcome.makespan_s)} ({off:+.1%}); "
        f"GPUs busy {outcome.busy_share:.1%}, lost {outcome.lost_share:.2%} in {outcome.preemptions:,} preemptions; "
        f"tail {outcome.tail_s:,.0f} s; {outcome.gpu_hours:,.0f} GPU-hours; played in {played_s:.0f} s",
        flush=True,
    )


def measured_factors(run: str) -> tuple[float, ...]:
    """Seconds of generating a row over the median of rows of its size, of every commit in a run folder."""
    ledger = Ledger(open_store(run, probe=False))
    sizes: dict[tuple[int, ...], list[float]] = defaultdict(list)
    for commit in ledger.commits(ledger.committed()):
        sizes[commit.frames, commit.height, commit.width, len(commit.outputs)].append(commit.seconds["generate"])
    return tuple(taken_s / median(alike) for alike in sizes.values() for taken_s in alike)


def _days(seconds: float) -> str:
    return f"{seconds / 86_400:.2f} days" if seconds > 2 * 86_400 else f"{seconds / 3600:.2f} h"


if __name__ == "__main__":
    main()
