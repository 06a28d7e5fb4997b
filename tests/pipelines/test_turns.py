"""Whose turn it is, with real threads."""

import threading
from concurrent.futures import ThreadPoolExecutor

from airshower.pipelines.turns import Turns

PATIENCE_S = 10


def test_a_suspect_waits_for_the_others_and_they_for_it():
    turns, story = Turns(), []
    first_is_in, let_go, suspect_is_in, suspect_may_go = (threading.Event() for _ in range(4))

    def first() -> None:
        with turns.beside_others():
            first_is_in.set()
            assert let_go.wait(PATIENCE_S)
            story.append("first ends")

    def suspect() -> None:
        with turns.alone():
            story.append("suspect")
            suspect_is_in.set()
            assert suspect_may_go.wait(PATIENCE_S)
            story.append("suspect ends")

    def late() -> None:
        with turns.beside_others():
            story.append("late")

    with ThreadPoolExecutor(3) as pool:
        calls = [pool.submit(first)]
        assert first_is_in.wait(PATIENCE_S)
        calls.append(pool.submit(suspect))
        assert not suspect_is_in.wait(0.2)
        calls.append(pool.submit(late))
        let_go.set()
        assert suspect_is_in.wait(PATIENCE_S)
        suspect_may_go.set()
        for call in calls:
            call.result(PATIENCE_S)
    assert story == ["first ends", "suspect", "suspect ends", "late"]


def test_rows_are_beside_each_other():
    turns = Turns()
    both = threading.Barrier(2, timeout=PATIENCE_S)

    def row() -> None:
        with turns.beside_others():
            both.wait()

    with ThreadPoolExecutor(2) as pool:
        for call in [pool.submit(row), pool.submit(row)]:
            call.result(PATIENCE_S)
