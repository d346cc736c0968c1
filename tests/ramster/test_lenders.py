"""What a ``where`` means."""

from __future__ import annotations

import pytest

from ramster.lenders import Lender, LenderTable
from zcache import PoolKind

B1 = Lender("b", 11, 1)
B2 = Lender("b", 12, 2)
C = Lender("c", 21, 3)
PERSISTENT, EPHEMERAL = PoolKind.PERSISTENT, PoolKind.EPHEMERAL


def test_a_place_has_one_number_and_each_number_one_place() -> None:
    table = LenderTable()
    places = [((B1,), PERSISTENT), ((B1,), EPHEMERAL), ((C,), PERSISTENT), ((B1, C), PERSISTENT)]
    numbers = [table.where(*place) for place in places]
    assert len(set(numbers)) == len(places)
    assert [table.where(*place) for place in places] == numbers
    assert [tuple(table.place(number)) for number in numbers] == places


def test_another_life_or_lease_is_another_lender() -> None:
    table = LenderTable()
    assert table.where((B1,), PERSISTENT) != table.where((B2,), PERSISTENT)


def test_numbers_of_a_lender_include_sets_it_is_part_of() -> None:
    table = LenderTable()
    alone, pair = table.where((B1,), PERSISTENT), table.where((B1, C), PERSISTENT)
    table.where((C,), PERSISTENT)
    assert [where for where, _ in table.wheres_of(B1)] == [alone, pair]


def test_a_number_is_forgotten_only_when_its_lenders_are_gone_and_no_stub_has_it() -> None:
    table = LenderTable()
    used, unused = table.where((B1,), PERSISTENT), table.where((B1,), EPHEMERAL)
    alive = table.where((C,), PERSISTENT)
    assert table.forget_unused({used}) == 0
    table.mark_gone(B1, "restarted")
    assert table.forget_unused({used}) == 1
    assert table.place(used).lenders == (B1,)
    assert table.gone_reason(B1) == "restarted"
    with pytest.raises(KeyError):
        table.place(unused)
    assert table.forget_unused(set()) == 1
    assert table.gone_reason(B1) is None
    assert table.place(alive).lenders == (C,)


def test_a_number_is_never_given_out_twice() -> None:
    table = LenderTable()
    first = table.where((B1,), PERSISTENT)
    table.mark_gone(B1, "restarted")
    table.forget_unused(set())
    assert table.where((B1,), PERSISTENT) != first


def test_ending_an_epoch_raises_it_once_for_all_spills_of_that_epoch() -> None:
    table = LenderTable()
    assert table.epoch(B1) == 0
    table.end_epoch(B1, 0)
    table.end_epoch(B1, 0)
    assert table.epoch(B1) == 1
    table.end_epoch(B1, 1)
    assert table.epoch(B1) == 2
    assert table.epoch(C) == 0
