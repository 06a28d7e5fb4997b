"""A run that goes otherwise than planned is seen to, the earlier the clearer."""

from dataclasses import replace

import pytest

from airshower.actors.model_costs import ModelCosts
from airshower.cluster.inventory import Inventory, Node
from airshower.configs.gpus import GPUS
from airshower.configs.presets import preset
from airshower.pipelines.events import Loaded, RowDone, RowFailed, RowProgress, StageFinished
from airshower.pipelines.planning.forecast import Forecast
from airshower.pipelines.planning.plan import plan
from airshower.pipelines.planning.service_times import ServiceTimes
from tests.pipelines.planning.test_plan import CLIP, SMALL_CLIP


def four(gpu, rows):
    times = ServiceTimes(ModelCosts(preset("transfer2.5-2b")))
    node = Node(name="n", cpus=64, memory_gib=100, gpus=4, gpu=GPUS[gpu])
    made = plan({CLIP: rows}, Inventory(nodes=(node,)), times)
    return made, Forecast(made, dict.fromkeys(range(rows), CLIP), times)


def tell_round(forecast, number, seconds=None):
    for index in range(4 * number, 4 * number + 4):
        if seconds is not None:
            forecast.tell(StageFinished(index=index, name="a", stage="generate", seconds=seconds))
        forecast.tell(RowDone(index=index, name="a", video="a.mp4", seconds={}))


def test_before_anything_is_made_it_is_the_plan():
    made, forecast = four("H200", 400)
    assert forecast.finish(0.0).seconds == pytest.approx(made.finish.seconds, rel=0.03)


def test_service_times_correct_an_estimate_after_one_round():
    made, forecast = four("L40S", 400)  # planned by its published peak; these rows take half as long again
    taken_s = 1.5 * made.workload.generate_s[0][0]
    tell_round(forecast, 0, taken_s)
    told = forecast.finish(60 + taken_s)
    assert told.seconds == pytest.approx(60 + 100 * taken_s, rel=0.1)
    assert told.high_s - told.low_s < made.finish.high_s - made.finish.low_s


def test_the_pace_tells_what_service_times_do_not():
    made, forecast = four("H200", 400)
    taken_s = made.workload.generate_s[0][0]
    for number in range(30):  # replicas wait as long as they work
        tell_round(forecast, number, taken_s)
    assert forecast.finish(60 + 30 * 2 * taken_s).seconds == pytest.approx(60 + 100 * 2 * taken_s, rel=0.12)


def test_rows_under_way_say_how_far_they_are():
    made, forecast = four("H200", 4)
    taken_s = made.workload.generate_s[0][0]
    forecast.tell(Loaded(loader="a", what="replica"))
    forecast.finish(200.0)  # loading took longer than planned
    for index in range(4):
        forecast.tell(RowProgress(index=index, name="a", fraction=0.5))
    assert forecast.finish(200 + taken_s / 2).seconds == pytest.approx(200 + taken_s, rel=0.01)
    for index in range(4):
        forecast.tell(RowProgress(index=index, name="a", fraction=0.75))
    assert forecast.finish(200 + taken_s).seconds == pytest.approx(200 + 1.25 * taken_s, rel=0.01)


def test_what_is_late_is_never_about_to_end():
    _, forecast = four("H200", 4)
    forecast.finish(0.0)
    assert forecast.finish(4000.0).seconds >= 5000  # nothing is even loaded
    tell_round(forecast, 0)
    assert forecast.finish(4000.0).seconds == 4000
    _, forecast = four("H200", 5)
    tell_round(forecast, 0)
    forecast.tell(RowProgress(index=4, name="a", fraction=1.0))
    forecast.finish(1000.0)
    assert forecast.finish(1400.0).seconds >= 1500


def test_failed_rows_are_no_work_and_the_end_is_the_end():
    _, forecast = four("H200", 8)
    before = forecast.finish(0.0).seconds
    for index in range(4):
        forecast.tell(RowFailed(index=index, name="a", stage="prepare", message="no file"))
    assert forecast.finish(0.0).seconds < before * 0.7
    tell_round(forecast, 1)
    assert forecast.finish(500.0).seconds == forecast.finish(500.0).high_s == 500.0


def test_times_of_one_kind_speak_for_the_others():
    times = ServiceTimes(ModelCosts(preset("transfer2.5-2b")))
    gpu = GPUS["L40S"]
    planned = {kind: times.of(kind, "generate", gpu) for kind in (CLIP, SMALL_CLIP)}
    for _ in range(20):
        times.learn(CLIP, gpu, {"generate": 2 * planned[CLIP].seconds + 7.0, "load_s": 7.0})
    learned = {kind: times.of(kind, "generate", gpu) for kind in (CLIP, SMALL_CLIP)}
    assert learned[CLIP].seconds == pytest.approx(2 * planned[CLIP].seconds, rel=0.05)
    assert learned[SMALL_CLIP].seconds == pytest.approx(2 * planned[SMALL_CLIP].seconds, rel=0.1)
    assert learned[CLIP].spread < learned[SMALL_CLIP].spread < planned[SMALL_CLIP].spread
    assert times.of(CLIP, "generate", GPUS["H200"]).seconds == pytest.approx(298, rel=0.02)


@pytest.mark.parametrize(
    ("kind", "model", "measured_s"),
    [
        (CLIP, "transfer2.5-2b", {"generate": 297.9, "prepare": 1.7, "write": 43.3}),
        (
            replace(CLIP, controls=("edge", "vis", "depth", "seg")),
            "transfer2.5-2b",
            {"generate": 406.2, "prepare": 8.9, "write": 57.0},
        ),
    ],
)
def test_what_was_measured_on_an_h200_is_predicted(kind, model, measured_s):
    times = ServiceTimes(ModelCosts(preset(model)))
    assert times.of(kind, "generate", GPUS["H200"]).seconds == pytest.approx(measured_s["generate"], rel=0.03)
    # CPUs differ, and so do videos: about right is all there is
    assert times.of(kind, "prepare").seconds == pytest.approx(measured_s["prepare"], rel=0.6)
    assert times.of(kind, "write").seconds == pytest.approx(measured_s["write"], rel=0.6)
