"""What a ``where`` means."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ramster.lenders import Lender, LenderTable, Place
from zcache import PLACE_BITS, PoolKind

B1 = Lender("b", 11, 1)
B2 = Lender("b", 12, 2)
C = Lender("c", 21, 3)
D = Lender("d", 31, 4)
PERSISTENT, EPHEMERAL = PoolKind.PERSISTENT, PoolKind.EPHEMERAL


def at(*lenders: Lender, kind: PoolKind = PERSISTENT, copies: int = 1, disk: bool = False) -> Place:
    return Place(lenders, kind, copies, disk)


def test_a_place_has_one_number_and_each_number_one_place() -> None:
    table = LenderTable()
    places = [
        at(B1),
        at(B1, kind=EPHEMERAL),
        at(C),
        at(B1, C),
        at(B1, C, copies=2),
        at(B1, C, copies=2, disk=True),
        at(B1, disk=True),
        at(disk=True),
    ]
    numbers = [table.number(place) for place in places]
    assert len(set(numbers)) == len(places) == len(table)
    assert [table.number(place) for place in places] == numbers
    assert [table.place(number) for number in numbers] == places
    assert min(numbers) > 0, "0 means that a page is nowhere else"


def test_the_order_in_which_lenders_are_named_makes_no_other_place() -> None:
    table = LenderTable()
    number = table.number(at(C, B1, copies=2))
    assert table.number(at(B1, C, copies=2)) == number
    assert table.place(number).lenders == (B1, C)


def test_another_life_or_lease_is_another_lender() -> None:
    table = LenderTable()
    assert table.number(at(B1)) != table.number(at(B2))


def test_numbers_of_a_lender_include_sets_it_is_part_of() -> None:
    table = LenderTable()
    alone, pair = table.number(at(B1)), table.number(at(B1, C))
    table.number(at(C))
    table.number(at(disk=True))
    assert table.places_of(B1) == [(alone, at(B1)), (pair, at(B1, C))]


def test_a_number_is_forgotten_only_when_its_lenders_are_gone_and_no_stub_has_it() -> None:
    table = LenderTable()
    used, unused = table.number(at(B1)), table.number(at(B1, kind=EPHEMERAL))
    alive = table.number(at(C))
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


def test_a_set_is_forgotten_when_one_of_its_lenders_is_gone_and_no_stub_has_it() -> None:
    table = LenderTable()
    pair, file = table.number(at(B1, C, copies=2)), table.number(at(disk=True))
    table.mark_gone(B1, "restarted")
    assert table.forget_unused({pair}) == 0
    assert table.gone_reason(B1) == "restarted", "a stub still names it"
    assert table.forget_unused(set()) == 1
    assert table.place(file) == at(disk=True)


def test_a_number_is_never_given_out_twice() -> None:
    table = LenderTable()
    first = table.number(at(B1))
    table.mark_gone(B1, "restarted")
    table.forget_unused(set())
    assert table.number(at(B1)) != first


def test_the_first_reason_why_a_lender_is_gone_is_kept() -> None:
    table = LenderTable()
    table.number(at(B1))
    table.mark_gone(B1, "restarted")
    table.mark_gone(B1, "something that followed from it")
    assert table.gone_reason(B1) == "restarted"


def test_ending_an_epoch_raises_it_once_for_all_spills_of_that_epoch() -> None:
    table = LenderTable()
    assert table.epoch(B1) == 0
    table.end_epoch(B1, 0)
    table.end_epoch(B1, 0)
    assert table.epoch(B1) == 1
    table.end_epoch(B1, 1)
    assert table.epoch(B1) == 2
    assert table.epoch(C) == 0


@pytest.mark.parametrize(
    ("place", "names"),
    [
        (at(B1), "b"),
        (at(B1, C), "b and c"),
        (at(B1, C, disk=True), "b and c and the write-back file"),
        (at(disk=True), "the write-back file"),
        (at(), "nobody"),
    ],
)
def test_a_place_names_its_holders_for_people(place: Place, names: str) -> None:
    assert place.names == names


LENDERS = st.sampled_from([B1, B2, C, D])
PLACES = st.builds(
    Place,
    st.lists(LENDERS, max_size=3, unique_by=lambda lender: lender.node).map(tuple),
    st.sampled_from(PoolKind),
    st.integers(1, 3),
    st.booleans(),
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("number"), PLACES),
        st.tuples(st.just("gone"), LENDERS),
        st.tuples(st.just("forget"), st.sets(st.integers(1, 20))),
    ),
    max_size=40,
)


@given(STEPS)
def test_a_number_means_the_same_place_for_as_long_as_it_may_be_in_use(
    steps: list[tuple[str, object]],
) -> None:
    """Also that what is forgotten had a lender that was gone and was in no stub."""
    table = LenderTable()
    ever: dict[int, Place] = {}
    known: set[int] = set()
    gone: set[Lender] = set()
    for _, what in steps:
        if isinstance(what, Place):
            number = table.number(what)
            place = what._replace(lenders=tuple(sorted(what.lenders)))
            assert ever.setdefault(number, place) == place, "a number came to mean something else"
            assert 0 < number < 1 << PLACE_BITS
            known.add(number)
        elif isinstance(what, Lender):
            table.mark_gone(what, "restarted")
            gone.add(what)
        else:
            assert isinstance(what, set)
            forgotten = {
                number for number in known - what if gone.intersection(ever[number].lenders)
            }
            assert table.forget_unused(what) == len(forgotten)
            known -= forgotten
            named = {lender for number in known for lender in ever[number].lenders}
            gone &= named
        assert len(table) == len(known)
        for number in known:
            assert table.place(number) == ever[number]
        for lender in (B1, B2, C, D):
            assert (table.gone_reason(lender) is not None) == (lender in gone)
            numbers = {number for number, _ in table.places_of(lender)}
            assert numbers == {number for number in known if lender in ever[number].lenders}
