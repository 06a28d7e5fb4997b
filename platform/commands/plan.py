"""`airshower plan`: what rows would take on a cluster, before anything is started.

The cluster is the one in a file, the one at an address, or this machine. Nothing is generated and nothing written; of
the rows' files, the header and the first frame are read.
"""

import os
from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console
from rich.table import Table

from airshower.configs.messages import Row
from airshower.configs.model_source import ModelSource
from airshower.configs.offload import parse_offload
from airshower.configs.presets import PRESETS, preset
from airshower.platform.clip_flags import overrides_from, with_clip_flags
from airshower.platform.progress import clock_words
from airshower.platform.required_parts import ANNOTATORS_HELP, OFFLOAD_HELP, WEIGHTS_HELP
from airshower.platform.row_flags import Limit, Specs

if TYPE_CHECKING:
    from airshower.cluster.inventory import Inventory
    from airshower.configs.records import Commit
    from airshower.pipelines.planning.kinds import RowKinds
    from airshower.pipelines.planning.plan import Plan
    from airshower.pipelines.planning.service_times import ServiceTimes

_PANEL = "Plan"
_SHOWN_KINDS = 20
_SHOWN_UNKNOWN = 5
_MOST_LEARNED = 2000  # commits that are read for their times


@with_clip_flags
def plan(
    specs: Specs = None,
    *,
    limit: Limit = None,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR|URL",
            help="Run folder: what it has is not planned again, and its times correct the plan",
            show_default=False,
            rich_help_panel=_PANEL,
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help=f"Model preset: {', '.join(PRESETS)}; default: the tiny model of the rows' kind",
            show_default=False,
            rich_help_panel=_PANEL,
        ),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(
            metavar="DIR|URL",
            help=f"{WEIGHTS_HELP} (only needed with --output)",
            show_default=False,
            rich_help_panel=_PANEL,
        ),
    ] = None,
    annotators: Annotated[
        str | None, typer.Option(metavar="DIR|URL", help=ANNOTATORS_HELP, rich_help_panel=_PANEL)
    ] = None,
    offload: Annotated[
        list[str] | None,
        typer.Option(metavar="PART", help=OFFLOAD_HELP, show_default=False, rich_help_panel=_PANEL),
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Cluster that isn't there yet, or grows: YAML or JSON such as "
            "nodes: [{count: 8, cpus: 96, gpus: 8, gpu: H200}]",
            show_default=False,
            rich_help_panel=_PANEL,
        ),
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(
            metavar="ADDR",
            help="Ray cluster to plan for; default: RAY_ADDRESS, or else this machine",
            rich_help_panel=_PANEL,
        ),
    ] = None,
    price_per_gpu_hour: Annotated[
        list[str] | None,
        typer.Option(
            "--price-per-gpu-hour",
            metavar="[TYPE=]X",
            help="Price of a GPU per hour, such as 3.2, or L4=0.8 for those of one type; may be repeated",
            show_default=False,
            rich_help_panel=_PANEL,
        ),
    ] = None,
    device: Annotated[
        Literal["auto", "cpu", "cuda"],
        typer.Option(
            metavar="NAME", help="auto, cpu or cuda; auto takes GPUs if there are any", rich_help_panel=_PANEL
        ),
    ] = "auto",
    replicas: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Loaded models at most", rich_help_panel=_PANEL)
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", help="Show tracebacks", rich_help_panel=_PANEL)] = False,
    **clip: Any,  # noqa: ANN401 - one value per clip flag
) -> int:
    """Say how rows would be made on a cluster: what works on them, how long it takes, what it costs.

    Exits with 1 where some rows can't be read or fit no GPU there.
    """
    named = None if model is None else preset(model)
    offloaded, prices = parse_offload(offload or ()), _prices(price_per_gpu_hour or ())

    from airshower.actors.model_costs import ModelCosts
    from airshower.pipelines.planning.kinds import kinds_of
    from airshower.pipelines.planning.measured import learn_from
    from airshower.pipelines.planning.placement import PlanSettings
    from airshower.pipelines.planning.run_plan import plan_run
    from airshower.pipelines.planning.service_times import ServiceTimes
    from airshower.pipelines.rows import model_of, read_rows

    rows = read_rows(specs or (), overrides=overrides_from(clip), preset=named, annotators=annotators, limit=limit)
    chosen = named or model_of(rows)
    there = _inventory(cluster, address, verbose)
    kinds = kinds_of(rows, chosen)
    times = ServiceTimes(ModelCosts(chosen, offloaded))
    source = ModelSource(preset=chosen, weights=weights, annotators=annotators, offload=offloaded)
    keyed, made, commits = ([], set(), []) if output is None else _made(rows, source, output)
    by_key = {row.key: kinds.of_row[row.index] for row in keyed if row.index in kinds.of_row}
    learned = learn_from(commits, by_key, there, times)
    left = [row for row in keyed or rows if row.key not in made or not row.key]
    console = Console(highlight=False, markup=False, soft_wrap=True)
    if not any(row.index in kinds.of_row for row in left):
        made_words = f"{_rows(len(made))} made already" if made else ""
        console.print(f"nothing to plan: {made_words or 'no row can be read'}")
        return _print_unplanned(rows, kinds, console)
    settings = PlanSettings(device=device, replicas=replicas)
    planned = plan_run(left, kinds, there, times, prices, settings).plan
    console.print(f"{_rows(sum(planned.rows.values()))} for {chosen.name} on {there}")
    if made:
        console.print(f"{len(made)} are made already; the times of {learned} of them correct the plan")
    _print(planned, times, console)
    return _print_problems(rows, kinds, planned, console)


def _prices(given: Sequence[str]) -> dict[str, float]:
    """Per hour by type of GPU, "" for all others; raises typer.BadParameter."""
    prices = {}
    for text in given:
        gpu, _, price = text.rpartition("=")
        try:
            prices[gpu] = float(price)
        except ValueError:
            prices[gpu] = -1.0
        if not 0 <= prices[gpu] < float("inf"):
            raise typer.BadParameter(f"--price-per-gpu-hour {text}: write a price such as 3.2, or L4=0.8 for one type")
    return prices


def _inventory(cluster: str | None, address: str | None, verbose: bool) -> "Inventory":
    from airshower.cluster.declared_inventory import declared_inventory
    from airshower.cluster.inventory import cluster_inventory
    from airshower.cluster.session import ray_session

    if cluster is not None:
        if address is not None:
            raise typer.BadParameter("--cluster and --address are both given: keep one")
        return declared_inventory(cluster)
    if address is None and not os.environ.get("RAY_ADDRESS"):
        return _this_machine()
    with ray_session(address=address, verbose=verbose, datasets=False):
        return cluster_inventory()


def _this_machine() -> "Inventory":
    import torch

    from airshower.cluster.inventory import Inventory, Node
    from airshower.configs.gpus import Gpu, gpu, type_of

    cpus, memory_gib = len(os.sched_getaffinity(0)), os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    if not torch.cuda.is_available():
        return Inventory(nodes=(Node(name="here", cpus=cpus, memory_gib=memory_gib),))
    device = torch.cuda.get_device_properties(0)
    known = gpu(type_of(device.name))
    found = Gpu(type=known.type, memory_gib=device.total_memory / 2**30, bf16_tflops=known.bf16_tflops)
    node = Node(name="here", cpus=cpus, memory_gib=memory_gib, gpus=torch.cuda.device_count(), gpu=found)
    return Inventory(nodes=(node,))


def _made(rows: Sequence[Row], source: ModelSource, output: str) -> "tuple[Sequence[Row], set[str], list[Commit]]":
    """The rows with their keys in a run folder, the keys that are made, and some of their commits to learn from."""
    from airshower.cluster.store import open_store
    from airshower.pipelines.ledger.damage import damaged_by_size
    from airshower.pipelines.ledger.keyed_rows import with_keys
    from airshower.pipelines.ledger.ledger import Ledger, salt

    ledger = Ledger(open_store(output, probe=False))
    if not ledger.exists:
        return [], set(), []
    ledger.require()
    keyed = with_keys(rows, source, salt=salt(ledger.epoch))
    committed = ledger.committed()
    made = {row.key for row in keyed} & (committed.keys() - damaged_by_size(ledger, committed).keys())
    return keyed, made, list(ledger.commits({key: committed[key] for key in islice(made, _MOST_LEARNED)}))


def _print(planned: "Plan", times: "ServiceTimes", console: Console) -> None:
    from airshower.pipelines.planning.starting import BEFORE_S

    placed = planned.placement
    pools = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("  replicas", "on", "GPUs each"):
        pools.add_column(column, justify="left" if column == "on" else "right")
    for pool in placed.pools:
        pools.add_row(f"{pool.replicas}", str(pool.gpu or "CPU"), f"{pool.gang}")
    console.print(pools)
    annotators = f", {placed.annotators} annotate" if placed.annotators else ""
    text = f"{placed.text_encoders} embed prompts{f' on {placed.text_gpu}' if placed.text_gpu else ''}"
    load = planned.workload
    console.print(f"  {load.prepare_tasks} prepare, {load.write_tasks} write beside replicas{annotators}, {text}")
    _print_kinds(planned, times, console)
    finish = planned.finish
    end, low, high = (_hours(BEFORE_S + seconds) for seconds in (finish.seconds, finish.low_s, finish.high_s))
    console.print(f"ends after {end} ({low} to {high} in 8 cases of 10), its start included")
    cost = "" if planned.cost is None or not planned.gpu_hours else f", {planned.cost:,.2f} at the given price"
    console.print(f"{planned.gpu_hours:,.1f} GPU-hours{cost}")
    for reason in planned.reasons:
        console.print(f"  - {reason}")


def _print_kinds(planned: "Plan", times: "ServiceTimes", console: Console) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("  rows, in their order", justify="right")
    table.add_column("of a kind")
    columns = [str(pool.gpu or "CPU") for pool in planned.placement.pools]
    for name in columns:
        table.add_column(f"s each on {name}", justify="right")
    for kind, count in list(planned.rows.items())[:_SHOWN_KINDS]:
        seconds = [pool.generate_s(kind, times) for pool in planned.placement.pools]
        table.add_row(f"{count}", str(kind), *(f"{s:.1f}" if s < float("inf") else "doesn't fit" for s in seconds))
    console.print(table)
    if len(planned.rows) > _SHOWN_KINDS:
        console.print(f"  and {len(planned.rows) - _SHOWN_KINDS} more kinds")


def _print_problems(rows: Sequence[Row], kinds: "RowKinds", planned: "Plan", console: Console) -> int:
    """What isn't planned, and the exit code that it means."""
    if kinds.assumed:
        console.print(f"{_rows(kinds.assumed)}: their files were not looked at, they are taken to be like the others")
    for reason in planned.placement.refused.values():
        console.print(f"doesn't fit: {reason}")
    return max(_print_unplanned(rows, kinds, console), int(bool(planned.placement.refused)))


def _print_unplanned(rows: Sequence[Row], kinds: "RowKinds", console: Console) -> int:
    """Rows whose files or fields can't be read, and the exit code that it means."""
    failed = {row.name: str(row.error) for row in rows if row.spec is None} | kinds.unknown
    for name, reason in list(failed.items())[:_SHOWN_UNKNOWN]:
        console.print(f"not planned: {name}: {reason}")
    if len(failed) > _SHOWN_UNKNOWN:
        console.print(f"not planned: {len(failed) - _SHOWN_UNKNOWN} more")
    return 1 if failed else 0


def _rows(count: int) -> str:
    return f"{count} row{'s' * (count != 1)}"


def _hours(seconds: float) -> str:
    return clock_words(seconds) if seconds < 48 * 3600 else f"{seconds / 86_400:.1f} days"
