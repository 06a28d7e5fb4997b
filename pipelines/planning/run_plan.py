"""The plan of a run from its rows: what is made first, and by how many of what."""

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from airshower.cluster.inventory import Inventory
from airshower.configs.messages import Row
from airshower.pipelines.planning.kinds import RowKinds
from airshower.pipelines.planning.placement import PlanSettings
from airshower.pipelines.planning.plan import Plan, plan
from airshower.pipelines.planning.service_times import ServiceTimes
from airshower.pipelines.spool import Chosen


@dataclass(frozen=True, kw_only=True)
class RunPlan:
    """A plan, and the rows in its order."""

    plan: Plan
    kinds: RowKinds
    rows: Sequence[Row]


def plan_run(
    rows: Sequence[Row],
    kinds: RowKinds,
    inventory: Inventory,
    times: ServiceTimes,
    prices: Mapping[str, float] | None = None,
    settings: PlanSettings | None = None,
) -> RunPlan:
    """Rows that can't be planned come first: most of them fail at once, and cost nothing then.

    Raises PlanError where nothing can be made.
    """
    made = plan(kinds.counts(row.index for row in rows), inventory, times, prices, settings)
    places = {kind: place for place, kind in enumerate(made.rows)}

    def place_of(row: Row) -> int:
        kind = kinds.of_row.get(row.index)
        return -1 if kind is None else places.get(kind, -1)

    order = array("q", map(place_of, rows))
    return RunPlan(plan=made, kinds=kinds, rows=Chosen(rows, sorted(range(len(rows)), key=order.__getitem__)))
