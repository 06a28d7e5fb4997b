"""Rows on their way to the dispatcher."""

from airshower.configs.messages import Row
from airshower.pipelines.dispatch.feed import Feed
from airshower.pipelines.dispatch.queue import Waiting


def feed_of(count: int) -> Feed:
    rows = (Row(index=index, name=str(index), source="s", spec=None) for index in range(count))
    return Feed(Waiting(index=row.index, row=row, pools=frozenset("a")) for row in rows)


def indices(rows: list[Waiting[Row]]) -> list[int]:
    return [row.index for row in rows]


def test_rows_come_in_order_a_few_at_a_time_until_all_have_ended():
    feed = feed_of(5)
    assert indices(feed.next(2, 0)) == [0, 1]
    assert indices(feed.next(9, 0)) == [2, 3, 4]
    assert not feed.done
    for index in range(5):
        feed.end(index)
    assert feed.done


def test_a_row_comes_back_when_it_is_due_and_before_new_ones():
    feed = feed_of(4)
    feed.next(2, 0)
    feed.come_back(1, due_s=10)
    assert feed.returns(1) == 1
    assert indices(feed.next(1, 9)) == [2]
    assert indices(feed.next(2, 10)) == [1, 3]
    assert not feed.done


def test_a_new_dispatcher_is_told_everything_that_has_not_ended():
    feed = feed_of(4)
    feed.next(3, 0)
    feed.end(0)
    feed.come_back(2, due_s=10)  # it is told when that is due
    assert indices(feed.again()) == [1]
