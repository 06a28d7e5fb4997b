"""Batch generation: rows in, clips and a manifest out, as one streaming Ray Data graph.

    dispatcher -> prepare (CPU tasks) -> annotate (actor, only where a row needs it) -> text (actor)
               -> generate and write (pool of replicas) -> entries

The dispatcher hands rows out as replicas need them, so the first clip is written while later rows still wait, and what
is under way doesn't grow with the number of rows. Assumes that rows are read and validated. The ledger in the run
folder knows what is made: running rows again makes only what is missing. SIGTERM lets rows under way
end; those of several chunks stop between two of them, and the next run goes on there.
Ray is imported once the session has set its environment, which also keeps the import of this module cheap.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from airshower.cluster.gang_places import places_kept
from airshower.cluster.leaving import asked_to_end
from airshower.cluster.session import ray_session, what_starts
from airshower.cluster.store import open_store
from airshower.configs.gang_layout import ALONE, GangLayout
from airshower.configs.messages import Row
from airshower.configs.model_source import ModelSource
from airshower.configs.offload import check_offload
from airshower.pipelines.dispatch.handle import dispatcher
from airshower.pipelines.dispatch.queue import Waiting
from airshower.pipelines.events import Event, Expected, Planned, PoolsStarted, Working
from airshower.pipelines.folder_manifest import Manifest, look_at_manifest
from airshower.pipelines.folder_names import with_free_names
from airshower.pipelines.follow import follow
from airshower.pipelines.ledger.committer import Committer
from airshower.pipelines.ledger.keyed_rows import with_keys
from airshower.pipelines.ledger.ledger import Ledger, salt
from airshower.pipelines.ledger.missing import Remaining, remaining
from airshower.pipelines.ledger.shown_names import NamesInTheWay
from airshower.pipelines.own_files import refuse_taken_folder
from airshower.pipelines.planning.forecast import Forecast
from airshower.pipelines.planning.forecasting import Forecasting
from airshower.pipelines.planning.planned_pools import pools_and_rows
from airshower.pipelines.planning.start import StartedPlan, plan_start
from airshower.pipelines.planning.starting import slowness_of
from airshower.pipelines.pools import Pools, plan_pools
from airshower.pipelines.run import Run, RunSummary, annotated, new_run_id
from airshower.pipelines.telemetry import run_telemetry

if TYPE_CHECKING:
    from airshower.pipelines.graph import GraphParts

_ANY = "replicas"  # the pool of rows of which nothing is known


@dataclass(frozen=True, kw_only=True)
class GenerateSettings:
    """How rows are generated; what is generated is in the rows."""

    source: ModelSource
    replicas: int | None = None  # None: one per GPU, or per CPU where there is no GPU
    device: str = "auto"  # auto | cpu | cuda
    address: str | None = None  # of a Ray cluster; None: RAY_ADDRESS or a local one
    gang: GangLayout = ALONE  # of each replica
    verbose: bool = False  # let Ray talk
    retry_failed: bool = False  # rows that failed in earlier runs, too
    fresh: bool = False  # all rows again; earlier clips stay, but no longer count
    verify: bool = False  # read what is made: clips whose files were changed are made again
    command: tuple[str, ...] = ()  # what the user typed, for the ledger
    hang_timeout_s: float = 180.0  # a process that is silent for so long, and uses no CPU, is ended
    stall_timeout_s: float = 6 * 3600  # a run in which no row moves for so long is given up


def generate(
    rows: Sequence[Row],
    output: str,
    settings: GenerateSettings,
    on_event: Callable[[Event], None] | None = None,
    *,
    parts: "Callable[[str, GangLayout], GraphParts] | None" = None,
) -> RunSummary:
    """Makes every row that the run folder `output`, a path or URL, doesn't have; rows that fail never stop the others.

    `on_event` is called from the calling thread only. `parts` (device, gang) -> GraphParts replaces the model's stages.
    Raises StoreError for a folder that can't be used and LedgerError for what is in it, WeightsError for weights that
    are missing, TelemetryError for traces that can't go where the environment says, ClusterError and ValueError for a
    cluster that lacks what is asked for (a GPU to offload from, too), PlanError for rows that fit no GPU there,
    RunError when the run as a whole stops, OwnNodeLostError when Ray on this machine doesn't answer any more,
    InTheWayError where files of others have the names of what would be made.
    """
    begun_s = time.monotonic()
    if len({row.index for row in rows}) < len(rows):
        raise ValueError("rows share an index: number them, the manifest has one line per index")
    check_offload(settings.source.offload, settings.device, settings.source.preset)
    settings.gang.check_offload(settings.source.offload)
    ledger, notes = Ledger(open_store(output)), list[str]()
    rows, left = _looked_up(rows, ledger, settings, notes.append)
    tell, run_id = on_event or _ignore, new_run_id()
    with run_telemetry(run_id, ledger.store, tell) as telemetry, asked_to_end() as asked:
        run = Run(
            id=run_id,
            ledger=ledger,
            manifest=Manifest(ledger, run_id),
            listener=tell,
            telemetry=telemetry,
            left=left,
        )
        run.begin(rows, settings.command, notes)
        try:
            if left.missing:
                _make(left.missing, left.made, settings, parts or _parts_for(settings), run, asked)
        except BaseException:
            with suppress(OSError, ValueError):  # what ended the run says more
                run.settle()
            raise
        run.settle()
    return run.summary(rows, time.monotonic() - begun_s)


def _looked_up(
    rows: Sequence[Row], ledger: Ledger, settings: GenerateSettings, tell: Callable[[str], None]
) -> tuple[Sequence[Row], Remaining]:
    """The rows with keys, and what is left to do of them; raises InTheWayError while nothing is made yet."""
    names, is_new = NamesInTheWay(ledger.store), not ledger.exists
    if is_new:
        refuse_taken_folder(ledger.store)
    if is_new or settings.fresh:
        names.refuse(rows)
    ledger.require(tell)
    found = look_at_manifest(ledger.store, tell)
    epoch = ledger.begin_epoch() if settings.fresh else ledger.epoch
    rows = with_keys(rows, settings.source, salt=salt(epoch))
    if found.epoch == epoch:
        rows = with_free_names(rows, found)
    left = remaining(rows, ledger, retry_failed=settings.retry_failed, verify=settings.verify, tell=tell)
    names.refuse(left.missing)
    return rows, left


def _make(
    rows: Sequence[Row],
    made: Sequence[Row],
    settings: GenerateSettings,
    parts: "Callable[[str, GangLayout], GraphParts]",
    run: Run,
    asked: threading.Event,
) -> None:
    if (words := what_starts(settings.address)) is not None:
        run.tell(Working(words=words))
    begun_s = time.monotonic()
    with ray_session(
        address=settings.address,
        verbose=settings.verbose,
        stall_timeout_s=settings.stall_timeout_s,
        say=lambda line: run.tell(Working(words=line)),
    ) as there:
        if asked.is_set():
            return
        base = plan_pools(
            there,
            device=settings.device,
            replicas=settings.replicas,
            rows=len(rows),
            text_on_gpu=settings.source.preset.text_on_gpu,
            annotates=any(map(annotated, rows)),
            gang=settings.gang,
        )
        check_offload(settings.source.offload, base.device, settings.source.preset)
        slowness = slowness_of(time.monotonic() - begun_s)
        planned = plan_start(rows, made, settings.source, run.ledger, there, base, slowness)
        if planned is None:
            pools = {_ANY: base}
            waiting: Iterator[Waiting[Row]] = (
                Waiting(index=row.index, row=row, pools=frozenset(pools)) for row in rows
            )
        else:
            pools, waiting = pools_and_rows(planned.run, base, gpu_types=len(there.gpus_by_type()))
            run = _forecast(run, planned)
        replicas = sum(pool.replicas for pool in pools.values())
        gpus = sum(pool.replicas * pool.gang.ranks for pool in pools.values()) if base.device == "cuda" else 0
        run.tell(PoolsStarted(replicas=replicas, device=base.device, gpus=gpus))
        _follow_graphs(pools, waiting, rows, parts, run, asked, settings.hang_timeout_s)


def _forecast(run: Run, planned: StartedPlan) -> Run:
    """The run, of which its plan is told, and from now on when it will end."""
    plan = planned.run.plan
    end = Expected(seconds=plan.finish.seconds, low_s=plan.finish.low_s, high_s=plan.finish.high_s)
    run.tell(Planned(pools=plan.pools, end=end, gpu_hours=plan.gpu_hours))
    return replace(run, listener=Forecasting(Forecast(plan, planned.run.kinds.of_row, planned.times), run.listener))


def _follow_graphs(
    pools: Mapping[str, Pools],
    waiting: Iterable[Waiting[Row]],
    rows: Sequence[Row],
    parts: "Callable[[str, GangLayout], GraphParts]",
    run: Run,
    asked: threading.Event,
    hang_timeout_s: float,
) -> None:
    """One graph per pool, all fed by one dispatcher."""
    from airshower.pipelines.graph import build_graph, most_parcels  # imports Ray

    limits = {name: (pool.replicas, most_parcels(pool)) for name, pool in pools.items()}
    writer = Committer(ledger=run.ledger, run=run.id)
    loaders = {
        "replica": sum(pool.replicas for pool in pools.values()),
        # a pool without text encoders has one in each replica
        "text encoder": sum(pool.text_encoders or pool.replicas for pool in pools.values()),
        "annotators": sum(pool.annotators for pool in pools.values()),
    }
    traced = (replace(one, row=run.telemetry.traced(run.as_next_edition(one.row))) for one in waiting)
    over_nodes = any(pool.gang.nodes > 1 for pool in pools.values())
    with (
        dispatcher(limits, hang_timeout_s) as dispatch,
        places_kept() if over_nodes else nullcontext(_nothing) as look,
    ):
        graphs = [
            build_graph(name, parts(pool.device, pool.gang), writer, pool, dispatch) for name, pool in pools.items()
        ]
        follow(graphs, traced, rows, run, dispatch, loaders, asked, look)


def _parts_for(settings: GenerateSettings) -> "Callable[[str, GangLayout], GraphParts]":
    def parts(device: str, gang: GangLayout) -> "GraphParts":
        from airshower.pipelines.graph import parts_of  # imports Ray

        return parts_of(settings.source, device, gang)

    return parts


def _ignore(event: Event) -> None:
    pass


def _nothing() -> None:
    pass
