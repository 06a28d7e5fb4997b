"""Sequences on disk."""

import pytest

from airshower.pipelines.spool import Chosen, Spool


def test_items_come_back_in_any_order_while_it_grows():
    spool = Spool({"number": number, "text": "x" * number} for number in range(300))
    assert len(spool) == 300
    assert spool[299]["number"] == spool[-1]["number"] == 299
    assert [item["number"] for item in spool] == list(range(300))
    spool.append("last")
    assert spool[300] == "last"
    assert [item["number"] for item in spool[10:14:2]] == [10, 12]
    with pytest.raises(IndexError):
        spool[301]


def test_large_items_are_on_disk_and_not_in_memory():
    spool = Spool(bytes([number]) * 700_000 for number in range(6))
    assert len(spool._buffer) < 2_000_000
    assert [item[0] for item in spool] == list(range(6))


def test_chosen_items_keep_the_order_of_their_choice():
    chosen = Chosen(Spool("abcdef"), [4, 0, 2])
    assert list(chosen) == ["e", "a", "c"]
    assert list(chosen[1:]) == ["a", "c"]
    assert (len(chosen), chosen[0], "a" in chosen, "b" in chosen) == (3, "e", True, False)
