"""Planning at the start of a run, with what the cluster has and what earlier clips took."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from airshower.cluster.inventory import Inventory
from airshower.configs.messages import Row
from airshower.configs.model_source import ModelSource
from airshower.pipelines.ledger.ledger import CommitFile, Ledger
from airshower.pipelines.planning.kinds import kinds_of
from airshower.pipelines.planning.measured import learn_from
from airshower.pipelines.planning.placement import PlanSettings
from airshower.pipelines.planning.run_plan import RunPlan, plan_run
from airshower.pipelines.planning.service_times import ServiceTimes
from airshower.pipelines.pools import Pools

MOST_LEARNED = 500  # commits of earlier runs that are read
_MOST_GANG = 8  # that is chosen without being asked for


@dataclass(frozen=True, kw_only=True)
class StartedPlan:
    """A plan, and the times that it will be corrected by."""

    run: RunPlan
    times: ServiceTimes


def plan_start(
    missing: Sequence[Row],
    made: Sequence[Row],
    source: ModelSource,
    ledger: Ledger,
    inventory: Inventory,
    base: Pools,
    slowness: float = 1.0,
) -> StartedPlan | None:
    """The plan for the rows that are missing; None where nothing is known of any of them.

    `made` are rows of earlier runs, whose times are learned from. `base` is how rows would be made without a plan: its
    device, and no more replicas. `slowness` is that of a busy machine's start (`starting.slowness_of`). Raises
    PlanError where nothing can be made.
    """
    from airshower.actors.model_costs import ModelCosts  # loads torch

    learned = made[:MOST_LEARNED]
    costs = ModelCosts(source.preset, source.offload)
    found = kinds_of(missing, source.preset)
    known_kinds = {kind for kind in set(found.of_row.values()) if costs.knows(kind)}
    if not known_kinds:
        return None
    kinds = replace(found, of_row={index: kind for index, kind in found.of_row.items() if kind in known_kinds})
    times = ServiceTimes(costs)
    of_learned = kinds_of(learned, source.preset).of_row
    by_key = {row.key: of_learned[row.index] for row in learned if of_learned.get(row.index) in known_kinds}
    first = dict.fromkeys(by_key, CommitFile(edition=0, size_bytes=0))  # the times of one that is damaged are as good
    learn_from(ledger.commits(first), by_key, inventory, times)
    on_gpus, asked = base.device == "cuda", base.gang.ranks > 1
    settings = PlanSettings(
        device=base.device,
        replicas=base.replicas,
        gang=base.gang.ranks if asked and on_gpus else None,
        max_gang=1 if base.annotators else _MOST_GANG,
        slowness=slowness,
    )
    return StartedPlan(run=plan_run(missing, kinds, inventory, times, settings=settings), times=times)
