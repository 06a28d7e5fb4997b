"""Silence counts while somebody listens, and no longer."""

from airshower.pipelines.dispatch.pulse import Pulse


def listen(pulse: Pulse[str], from_s: float, to_s: float) -> None:
    for half_seconds in range(int(2 * from_s), int(2 * to_s) + 1):
        pulse.look(half_seconds / 2)


def test_who_says_nothing_for_so_long_is_named_once():
    pulse: Pulse[str] = Pulse()
    pulse.hear("a")
    pulse.hear("b")
    listen(pulse, 100, 104)
    pulse.hear("b")
    listen(pulse, 104, 105)
    assert pulse.silent(5) == ["a"]
    assert pulse.silent(5) == []
    pulse.hear("a")  # it was only slow
    listen(pulse, 105, 109)
    assert pulse.silent(5) == ["b"]


def test_nobody_is_silent_while_the_listener_sleeps():
    pulse: Pulse[str] = Pulse()
    pulse.hear("a")
    pulse.look(100)
    pulse.look(4000)
    assert pulse.silent(5) == []
    listen(pulse, 4000, 4003)
    assert pulse.silent(5) == ["a"]
