"""A Grafana dashboard of runs, as a dictionary: panels over our metrics, and over those of Ray that explain them.

Assumes a Prometheus that reads the metrics ports of all nodes. The data source is chosen in Grafana.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from airshower.cluster import metrics

# Of Ray, in version 2.60.
RAY_METRICS = (
    *("ray_data_num_tasks_running", "ray_data_operator_queued_blocks", "ray_data_pool_utilization"),
    *("ray_data_num_restarting_actors", "ray_data_obj_store_mem_used", "ray_data_obj_store_mem_spilled"),
    *("ray_node_gpus_utilization", "ray_node_mem_used", "ray_node_mem_total"),
)

_SOURCE = {"type": "prometheus", "uid": "${source}"}
_COLUMNS, _HEIGHT, _STAT_HEIGHT = 24, 8, 4
_KEPT = "[10m]"  # a gauge is exported when it is set, and a run in which no row moves sets none


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One panel: queries with the legend of each."""

    title: str
    queries: tuple[tuple[str, str], ...]  # PromQL, legend
    unit: str = "short"
    width: int = 8
    kind: str = "timeseries"
    stacked: bool = False
    description: str = ""


def dashboard() -> dict[str, Any]:
    """What Grafana imports."""
    return {
        "title": "Airshower",
        "uid": "airshower-runs",
        "tags": ["airshower", "ray"],
        "timezone": "browser",
        "schemaVersion": 39,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {"list": [_source_variable()]},
        "panels": _placed((*_stats(), *_rows(), *_gpus(), *_ray())),
    }


def _stats() -> tuple[Panel, ...]:
    gauges = (
        ("Rows left", metrics.ROWS_LEFT),
        ("Rows in flight", metrics.IN_FLIGHT),
        ("Replicas", metrics.REPLICAS),
        ("GPUs", metrics.GPUS),
    )
    return tuple(
        Panel(title=title, queries=((_latest(gauge), title),), kind="stat", width=6) for title, gauge in gauges
    )


def _rows() -> tuple[Panel, ...]:
    (done,), (failed,), (retries,) = metrics.ROWS_DONE.exported, metrics.ROWS_FAILED.exported, metrics.RETRIES.exported
    bucket, _, _ = metrics.STAGE_SECONDS.exported
    times = tuple(
        (f"histogram_quantile({share}, sum by (le, stage) (rate({bucket}[$__rate_interval])))", f"{{{{stage}}}} {name}")
        for share, name in ((0.5, "p50"), (0.95, "p95"))
    )
    return (
        Panel(
            title="Rows per second",
            queries=((_rate(done), "done"), (_rate(failed), "failed")),
            unit="ops",
        ),
        Panel(
            title="Failures by cause",
            queries=((f"sum by (stage, type) (increase({failed}[$__rate_interval]))", "{{type}} in {{stage}}"),),
            stacked=True,
        ),
        Panel(
            title="Begun again",
            queries=((f"sum by (stage) (increase({retries}[$__rate_interval]))", "{{stage}}"),),
            description="A worker was lost with a row that it worked on",
            stacked=True,
        ),
        Panel(title="Time of a row in a stage", queries=times, unit="s", width=16),
        Panel(title="Frames per second", queries=((_rate(*metrics.FRAMES.exported), "frames"),)),
    )


def _gpus() -> tuple[Panel, ...]:
    (busy,), (flops,) = metrics.GPU_SECONDS.exported, metrics.FLOPS.exported
    (parts,) = metrics.PART_SECONDS.exported
    return (
        Panel(
            title="GPUs at work",
            queries=((f"sum(rate({busy}[30m])) / {_latest(metrics.GPUS)}", "share"),),
            unit="percentunit",
            description="Over half an hour, since a row counts when it ends: the more rows, the smoother",
        ),
        Panel(
            title="Replicas by part of generating",
            queries=((f"sum by (part) (rate({parts}[30m]))", "{{part}}"),),
            stacked=True,
            description="How many replicas were at it, averaged over half an hour; the rest up to all of them waits",
        ),
        Panel(
            title="Arithmetic",
            queries=((f"sum by (gpu) (rate({flops}[30m]))", "{{gpu}}"),),
            unit="flops",
            description="Of finished clips, where the sizes of the network are known",
        ),
    )


def _ray() -> tuple[Panel, ...]:
    return (
        Panel(
            title="GPU utilization, as Ray measures it",
            queries=(("avg by (GpuDeviceName) (ray_node_gpus_utilization)", "{{GpuDeviceName}}"),),
            unit="percent",
        ),
        Panel(
            title="Ray Data: tasks running",
            queries=(("sum by (operator) (ray_data_num_tasks_running)", "{{operator}}"),),
            stacked=True,
        ),
        Panel(
            title="Ray Data: blocks queued",
            queries=(("sum by (operator) (ray_data_operator_queued_blocks)", "{{operator}}"),),
            stacked=True,
        ),
        Panel(
            title="Ray Data: pools",
            queries=(
                ("avg by (operator) (ray_data_pool_utilization)", "{{operator}} in use"),
                ("sum by (operator) (ray_data_num_restarting_actors)", "{{operator}} restarting"),
            ),
        ),
        Panel(
            title="Object store",
            queries=(
                ("sum(ray_data_obj_store_mem_used)", "used"),
                ("sum(ray_data_obj_store_mem_spilled)", "spilled"),
            ),
            unit="bytes",
        ),
        Panel(
            title="Memory of nodes",
            queries=(("max(ray_node_mem_used / ray_node_mem_total)", "fullest node"),),
            unit="percentunit",
        ),
    )


def _rate(name: str) -> str:
    return f"sum(rate({name}[$__rate_interval]))"


def _latest(gauge: metrics.Metric) -> str:
    (name,) = gauge.exported
    return f"sum(last_over_time({name}{_KEPT}))"


def _placed(panels: Sequence[Panel]) -> list[dict[str, Any]]:
    """Panels from left to right and downwards; those of one line are of one kind."""
    placed: list[dict[str, Any]] = []
    top = 0
    for kind, some in groupby(panels, lambda panel: panel.kind):
        height, left = (_STAT_HEIGHT if kind == "stat" else _HEIGHT), 0
        for panel in some:
            if left + panel.width > _COLUMNS:
                left, top = 0, top + height
            place = {"x": left, "y": top, "w": panel.width, "h": height}
            placed.append(_panel(panel, len(placed) + 1, place))
            left += panel.width
        top += height
    return placed


def _panel(panel: Panel, number: int, place: dict[str, int]) -> dict[str, Any]:
    drawn: dict[str, Any] = {"lineWidth": 1, "fillOpacity": 30 if panel.stacked else 8, "showPoints": "never"}
    if panel.stacked:
        drawn["stacking"] = {"mode": "normal"}
    return {
        "id": number,
        "title": panel.title,
        "description": panel.description,
        "type": panel.kind,
        "datasource": _SOURCE,
        "gridPos": place,
        "fieldConfig": {
            "defaults": {"unit": panel.unit, "min": 0, "custom": drawn if panel.kind == "timeseries" else {}},
            "overrides": [],
        },
        "targets": [
            {"refId": chr(ord("A") + index), "datasource": _SOURCE, "expr": query, "legendFormat": legend}
            for index, (query, legend) in enumerate(panel.queries)
        ],
    }


def _source_variable() -> dict[str, Any]:
    return {"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus", "hide": 0}
