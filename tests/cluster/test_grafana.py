"""The dashboard asks for metrics that exist, and its panels don't cover each other."""

import re
from itertools import pairwise

from airshower.cluster.grafana import RAY_METRICS, dashboard
from airshower.cluster.metrics import METRICS

EXPORTED = {name: metric for metric in METRICS for name in metric.exported}


def queries() -> list[str]:
    return [target["expr"] for panel in dashboard()["panels"] for target in panel["targets"]]


def test_every_metric_of_a_panel_is_defined_and_every_defined_one_is_shown():
    asked = {name for query in queries() for name in re.findall(r"ray_\w+", query)}
    assert asked - EXPORTED.keys() == set(RAY_METRICS)
    shown = {EXPORTED[name].name for name in asked & EXPORTED.keys()}
    assert shown == {metric.name for metric in METRICS}


def test_panels_group_by_labels_that_their_metric_has():
    for panel in dashboard()["panels"]:
        for target in panel["targets"]:
            names = [name for name in re.findall(r"ray_\w+", target["expr"]) if name in EXPORTED]
            grouped = set(re.findall(r"\w+", "".join(re.findall(r"by \((.*?)\)", target["expr"])))) - {"le"}
            for name in names if grouped else []:
                assert grouped <= set(EXPORTED[name].labels), target["expr"]
            assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= grouped, target


def test_panels_fill_lines_without_covering_each_other():
    places = [panel["gridPos"] for panel in dashboard()["panels"]]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    for first, second in pairwise(places):
        beside = first["y"] == second["y"] and first["x"] + first["w"] == second["x"]
        below = second["x"] == 0 and second["y"] == first["y"] + first["h"]
        assert beside or below, (first, second)
