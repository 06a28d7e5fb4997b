"""What is handed out when, and who is blamed for a process that died."""

import pytest

from airshower.pipelines.dispatch.queue import Begun, DispatchQueue, Later, Over, Parcel, Waiting

HERE = Begun(node="n1", alone=False)
ALONE = Begun(node="n1", alone=True)


def waiting(*indices: int, pools: tuple[str, ...] = ("a",)) -> list[Waiting[int]]:
    return [Waiting(index=index, row=index, pools=frozenset(pools)) for index in indices]


@pytest.fixture
def queue() -> DispatchQueue[int]:
    queue: DispatchQueue[int] = DispatchQueue(capacity=1000)
    queue.open_pool("a", replicas=1, most_parcels=3)
    return queue


def taken(queue: DispatchQueue[int], number: int, *, pool: str = "a", now_s: float = 0) -> tuple[int, ...]:
    parcel = queue.take(pool, number, now_s)
    assert isinstance(parcel, Parcel)
    return parcel.rows


def test_rows_go_out_in_order_and_no_more_than_may_be_under_way(queue):
    queue.offer(waiting(5, 3, 8, 1))
    assert [taken(queue, number) for number in range(3)] == [(5,), (3,), (8,)]
    assert queue.take("a", 3, 0) == Later()
    queue.end([3], 0)
    assert taken(queue, 3) == (1,)
    queue.end([5, 8, 1], 0)
    assert queue.take("a", 4, 0) == Later()  # more may be offered
    queue.close()
    assert queue.take("a", 4, 0) == Over()


def test_a_worker_that_counts_from_zero_again_gets_what_is_under_way_and_nothing_twice(queue):
    queue.offer(waiting(0, 1, 2, 3))
    for number in range(3):
        taken(queue, number)
    queue.end([1], 0)
    assert [taken(queue, number) for number in range(4)] == [(0,), (), (2,), (3,)]
    queue.end([0, 2, 3], 0)
    assert [taken(queue, number) for number in range(4)] == [()] * 4


def test_a_worker_and_a_queue_that_are_lost_together_lose_no_row(queue):
    queue.succeed({"a": 5})  # at most 3 under way: parcels 5 to 13 may be with the one who counted on
    queue.offer(waiting(0, 1))
    assert [taken(queue, number) for number in range(16)] == [()] * 14 + [(0,), (1,)]


def test_a_worker_that_outlived_its_queue_counts_on(queue):
    queue.succeed({"a": 5})
    queue.offer(waiting(0, 1))
    assert (taken(queue, 7), queue.numbers) == ((0,), {"a": 8})
    assert taken(queue, 0) == ()


def test_a_row_that_is_known_counts_once(queue):
    queue.offer(waiting(0, 1))
    taken(queue, 0)
    queue.offer(waiting(0, 1, 2))
    assert (taken(queue, 1), taken(queue, 2)) == ((1,), (2,))
    queue.end([0], 0)
    queue.offer(waiting(0))  # it came back
    assert taken(queue, 3) == (0,)


def test_each_pool_gets_the_first_row_that_it_can_make(queue):
    queue.open_pool("b", replicas=1, most_parcels=9)
    queue.offer([*waiting(0, 1), *waiting(2, pools=("a", "b")), *waiting(3, pools=("b",))])
    assert (taken(queue, 0, pool="b"), taken(queue, 1, pool="b")) == ((2,), (3,))
    assert (taken(queue, 0), taken(queue, 1)) == ((0,), (1,))


def test_a_drained_queue_hands_nothing_out(queue):
    queue.offer(waiting(0, 1))
    taken(queue, 0)
    queue.drain()
    assert queue.take("a", 1, 0) == Over()


def test_short_rows_go_out_together_and_the_end_is_shared(queue):
    queue.offer(waiting(*range(200)))
    for number in range(8):
        assert taken(queue, number, now_s=number) == (number,)
        queue.end([number], 0.1 + number / 100)  # 100 rows a second
    assert len(taken(queue, 8, now_s=0.2)) > 10
    queue.end(range(8, 194), 0.3)
    assert len(taken(queue, 9, now_s=0.3)) <= 64
    slow: DispatchQueue[int] = DispatchQueue(capacity=100)
    slow.open_pool("a", replicas=1, most_parcels=3)
    slow.offer(waiting(*range(50)))
    for number in range(20):
        assert taken(slow, number, now_s=number) == (number,)
        slow.end([number], number)


def test_one_death_among_several_rows_blames_each_once_and_the_next_one_only_the_culprit(queue):
    assert queue.begin([0, 1], "generate", HERE) == {0: 0, 1: 0}
    assert queue.begin([0, 1], "generate", HERE) == {0: 1, 1: 1}  # the process died
    queue.begin([0], "generate", ALONE)  # and ends well
    queue.end([0], 0)
    queue.begin([1], "generate", ALONE)
    assert queue.begin([1], "generate", HERE) == {1: 2}
    queue.begin([1], "generate", ALONE)
    assert queue.begin([1], "generate", HERE) == {1: 3}
    assert queue.begin([1], "prepare", HERE) == {1: 0}
    assert queue.begin([0], "generate", HERE) == {0: 0}


def test_a_node_that_was_lost_is_nobodys_fault(queue):
    queue.begin([0], "generate", Begun(node="gone", alone=True))
    assert queue.begin([0], "generate", HERE, lambda: ["gone"]) == {0: 0}
    assert queue.begin([0], "generate", HERE, lambda: ["gone"]) == {0: 1}
