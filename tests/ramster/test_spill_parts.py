"""The rows of a ticket by where their copies go."""

from __future__ import annotations

from array import array
from itertools import accumulate

from hypothesis import given
from hypothesis import strategies as st

from ramster.lenders import Lender, LenderTable, Place
from ramster.spill_parts import Part, cut, select_rows, words_of
from zcache import PackedBlobs, PoolKind, SpillTicket, place_of, position_of

B, C, D = Lender("b", 1, 10), Lender("c", 2, 20), Lender("d", 3, 30)
PERSISTENT = PoolKind.PERSISTENT


def blobs_of(lengths: list[int]) -> PackedBlobs:
    return PackedBlobs(
        keys=array("Q", range(100, 100 + len(lengths))),
        generations=array("Q", range(7, 7 + len(lengths))),
        lengths=array("H", lengths),
        encodings=bytearray(1 for _ in lengths),
        checksums=array("Q", range(len(lengths))),
        payload=b"".join(bytes([row % 256]) * length for row, length in enumerate(lengths)),
    )


def ticket_of(pools: list[int]) -> SpillTicket:
    blobs = blobs_of([row % 5 + 1 for row in range(len(pools))])
    return SpillTicket(1, PERSISTENT, blobs, array("I", pools))


@given(st.lists(st.integers(1, 60), min_size=1, max_size=40), st.data())
def test_selected_rows_are_the_rows(lengths: list[int], data: st.DataObject) -> None:
    blobs = blobs_of(lengths)
    rows = data.draw(st.lists(st.integers(0, len(lengths) - 1), max_size=40))
    some = select_rows(blobs, rows)
    starts = list(accumulate(lengths, initial=0))
    assert list(some.keys) == [blobs.keys[row] for row in rows]
    assert list(some.generations) == [blobs.generations[row] for row in rows]
    assert list(some.checksums) == [blobs.checksums[row] for row in rows]
    assert some.payload == b"".join(blobs.payload[starts[r] : starts[r + 1]] for r in rows)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=40))
def test_every_row_is_in_one_part_with_the_copies_that_its_pool_wants(pools: list[int]) -> None:
    wants = {0: 1, 1: 2, 2: 2, 3: 3}
    parts = cut(ticket_of(pools), wants.__getitem__)
    assert sorted(row for part in parts for row in part.rows) == list(range(len(pools)))
    assert len({part.copies for part in parts}) == len(parts)
    for part in parts:
        assert {wants[pools[row]] for row in part.rows} == {part.copies}
        assert len(part.blobs) == len(part.rows)


def part_of(answers: list[bytes], stored: bytes, *, copies: int = 2) -> Part:
    blobs = blobs_of([10] * len(stored))
    return Part(
        range(len(stored)), blobs, copies, (B, C)[: len(answers)], any(stored), stored, answers
    )


def test_a_page_is_where_it_was_taken() -> None:
    table = LenderTable()
    part = part_of([b"\1\1\0\0", b"\1\0\1\0"], bytes(4))
    words, in_vain = words_of(part, PERSISTENT, table, lambda _: True, 1)
    places = [table.place(place_of(word)) if word else None for word in words]
    assert places == [
        Place((B, C), PERSISTENT, 2),
        Place((B,), PERSISTENT, 2),
        Place((C,), PERSISTENT, 2),
        None,
    ]
    assert in_vain == {}


def test_a_page_with_too_few_copies_stays_home_and_the_others_are_in_vain() -> None:
    part = part_of([b"\1\1", b"\1\0"], bytes(2))
    words, in_vain = words_of(part, PERSISTENT, LenderTable(), lambda _: True, 2)
    assert words[0]
    assert words[1] == 0
    assert in_vain == {B: [1]}


def test_a_slot_in_the_file_is_the_position_and_counts_as_enough() -> None:
    table = LenderTable()
    part = part_of([b"\0\1"], bytes([5, 9]))
    words, in_vain = words_of(part, PERSISTENT, table, lambda _: True, 2)
    assert [position_of(word) for word in words] == [5, 9]
    assert table.place(place_of(words[0])) == Place((), PERSISTENT, 2, disk=True)
    assert table.place(place_of(words[1])) == Place((B,), PERSISTENT, 2, disk=True)
    assert in_vain == {}


def test_the_copy_of_a_lender_that_is_gone_counts_for_nothing() -> None:
    """It was gone by the time the others had answered: the page must not leave for it."""
    part = part_of([b"\1"], bytes(1), copies=1)
    words, in_vain = words_of(part, PERSISTENT, LenderTable(), lambda lender: lender != B, 1)
    assert list(words) == [0]
    assert in_vain == {}


def test_a_ticket_whose_pages_want_the_same_is_one_part_and_not_copied() -> None:
    ticket = ticket_of([1, 2, 1])
    (part,) = cut(ticket, lambda pool: 2)
    assert part.blobs is ticket.blobs
    assert list(part.rows) == [0, 1, 2]


ANSWERS = st.integers(0, 3).flatmap(
    lambda lenders: st.lists(
        st.tuples(st.integers(0, 255), *[st.integers(0, 1)] * lenders), max_size=20
    )
)


@given(ANSWERS, st.integers(1, 3), st.sets(st.sampled_from([B, C, D])))
def test_every_copy_is_named_by_a_word_or_in_vain_or_at_a_lender_that_is_gone(
    answers: list[tuple[int, ...]], least: int, gone: set[Lender]
) -> None:
    lenders = (B, C, D)[: len(answers[0]) - 1 if answers else 0]
    taken = [bytes(row[1 + number] for row in answers) for number in range(len(lenders))]
    stored = bytes(row[0] for row in answers)
    part = Part(range(len(stored)), blobs_of([10] * len(stored)), 2, lenders, True, stored, taken)
    table = LenderTable()
    words, in_vain = words_of(part, PERSISTENT, table, lambda lender: lender not in gone, least)
    for row, word in enumerate(words):
        took = tuple(
            lender
            for lender, answer in zip(lenders, taken, strict=True)
            if answer[row] and lender not in gone
        )
        vain = tuple(lender for lender in lenders if row in in_vain.get(lender, []))
        if word:
            assert vain == ()
            place = Place(took, PERSISTENT, 2, disk=stored[row] != 0)
            assert table.place(place_of(word)) == place
            assert position_of(word) == stored[row]
        else:
            assert not stored[row]
            assert len(took) < least
            assert vain == took
