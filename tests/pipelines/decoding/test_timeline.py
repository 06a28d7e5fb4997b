"""Times of frames become places of a constant rate: jitter and drift are no gaps, gaps are no jitter."""

import random

import pytest

from airshower.pipelines.decoding.timeline import Gap, Timeline, at_constant_rate


def placed(times_s, rate=25.0, **how):
    timeline = Timeline(rate=rate, **how)
    return list(at_constant_rate([(number, time_s) for number, time_s in enumerate(times_s)], timeline)), timeline


@pytest.mark.parametrize(
    "times_s",
    [
        [n / 25 for n in range(50)],
        [7 + n / 25 for n in range(50)],
        [None] * 50,
        [round(n / 25, 2) for n in range(50)],
        [n / 25 + random.Random(n).uniform(-0.014, 0.014) for n in range(50)],  # a phone's
        [n / 24.9 for n in range(50)],  # the recorder's clock isn't quite the rate
    ],
)
def test_frames_in_turn_stay_as_they_are(times_s):
    shown, timeline = placed(times_s)
    assert shown == [*range(50)]
    assert timeline.is_constant


def test_drift_does_not_add_up():
    shown, timeline = placed([n / 25.25 for n in range(5000)])
    assert shown == [*range(5000)]
    assert timeline.is_constant


def test_missing_frames_are_a_fault_and_their_places_are_known():
    shown, timeline = placed([n / 25 for n in range(60) if n not in (20, 21, 40)])
    assert timeline.gaps == [Gap(first=20, frames=2), Gap(first=40, frames=1)]
    assert timeline.is_faulty
    assert len(shown) == 60
    assert shown[18:24] == [18, 19, 19, 19, 20, 21]
    assert [timeline.place_of(frame) for frame in (19, 20, 37, 38)] == [19, 22, 39, 41]


def test_a_rate_that_varies_shows_frames_for_as_long_as_they_were():
    times = [0, 1, 3, 6, 7, 9, 12, 13, 15, 18]
    shown, timeline = placed([time / 25 for time in times])
    assert shown == [0, 1, 1, 2, 2, 2, 3, 4, 4, 5, 5, 5, 6, 7, 7, 8, 8, 8, 9]
    assert not timeline.is_constant
    assert not timeline.is_faulty


def test_frames_that_come_too_fast_are_left_out():
    shown, timeline = placed([n / 100 for n in range(41)])
    assert len(shown) == 11
    assert timeline.doubled == 30


def test_times_that_go_back_are_a_fault():
    _, timeline = placed([n / 25 for n in range(30)] + [1 / 25] + [n / 25 for n in range(31, 60)])
    assert timeline.is_faulty


def test_counted_frames_take_a_place_each():
    shown, timeline = placed([0, 1 / 25, 5 / 25, 6 / 25], counted=True)
    assert shown == [0, 1, 2, 3]
    assert timeline.gaps == [Gap(first=2, frames=3)]
