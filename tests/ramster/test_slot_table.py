"""The slot table: every slot has one user, and every byte is counted."""

from __future__ import annotations

from array import array
from itertools import pairwise
from random import Random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ramster.errors import SlotNotInUseError
from ramster.slot_table import (
    CHUNK_BYTES,
    HEADER_BYTES,
    LIMIT_BYTES_MAX,
    LIMIT_BYTES_MIN,
    POSITION_BYTES,
    SlotTable,
    slot_bytes_for,
)

ONE_CHUNK = LIMIT_BYTES_MIN
LENGTHS = st.lists(st.integers(1, 4096) | st.sampled_from([1, 512, 513, 4096]), max_size=80)


def offsets(positions: list[int]) -> list[int]:
    return [position * POSITION_BYTES for position in positions]


def test_the_first_slot_is_behind_the_header() -> None:
    assert offsets(SlotTable(ONE_CHUNK).take([4096])) == [HEADER_BYTES]


@pytest.mark.parametrize(
    ("length", "slot"), [(1, 512), (512, 512), (513, 1024), (3585, 4096), (4096, 4096)]
)
def test_a_slot_is_the_next_step_of_512_bytes(length: int, slot: int) -> None:
    table = SlotTable(ONE_CHUNK)
    [position] = table.take([length])
    assert table.slot_bytes(position) == table.used_bytes == slot_bytes_for(length) == slot


@pytest.mark.parametrize("length", [0, -1, 4097])
def test_a_length_that_no_blob_has_is_refused_and_nothing_taken(length: int) -> None:
    table = SlotTable(ONE_CHUNK)
    with pytest.raises(ValueError, match="accepted is 1 to 4096"):
        table.take([100, length])
    assert (table.slots_used, table.used_bytes) == (0, 0)


@pytest.mark.parametrize("limit", [0, LIMIT_BYTES_MIN - 1, LIMIT_BYTES_MAX + 1])
def test_a_limit_that_cannot_be_kept_is_refused(limit: int) -> None:
    with pytest.raises(ValueError, match="accepted is 69632 to 2199023255552"):
        SlotTable(limit)


def test_the_last_position_of_the_largest_file_fits_32_bits() -> None:
    chunks = (LIMIT_BYTES_MAX - HEADER_BYTES) // CHUNK_BYTES
    assert (HEADER_BYTES + chunks * CHUNK_BYTES) // POSITION_BYTES <= 2**32


def test_what_does_not_fit_has_no_position_and_the_rest_has() -> None:
    table = SlotTable(ONE_CHUNK)
    positions = table.take([4096] * 20)
    assert [bool(position) for position in positions] == [True] * 16 + [False] * 4
    assert table.take([1]) == [0]
    assert table.free_bytes_for(1) == 0


def test_a_batch_of_one_class_lies_in_one_piece() -> None:
    table = SlotTable(HEADER_BYTES + 8 * CHUNK_BYTES)
    positions = table.take([4000] * 64)
    assert list(table.adjoining(positions, 1 << 20)) == [list(range(64))]


def test_a_mixed_batch_makes_no_more_pieces_than_classes() -> None:
    table = SlotTable(HEADER_BYTES + 100 * CHUNK_BYTES)
    random = Random(1)
    for _ in range(8):
        positions = table.take([random.randint(1, 4096) for _ in range(64)])
        assert len(list(table.adjoining(positions, 1 << 20))) <= 8 + 3  # 3: chunks that filled up


def test_a_batch_goes_rather_into_a_free_chunk_than_into_many_holes() -> None:
    table = SlotTable(HEADER_BYTES + 2 * CHUNK_BYTES)
    positions = table.take([4096] * 16)
    for position in positions[::2]:
        table.give_back(position)
    again = table.take([4096] * 4)
    assert list(table.adjoining(again, 1 << 20)) == [[0, 1, 2, 3]]
    assert all(table.take([4096] * 20)), "and the holes are used when nothing else is left"
    assert table.free_bytes_for(1) == 0


def test_pieces_do_not_exceed_what_was_asked_for() -> None:
    table = SlotTable(HEADER_BYTES + 2 * CHUNK_BYTES)
    positions = table.take([4096] * 5)
    assert list(table.adjoining(positions, 8192)) == [[0, 1], [2, 3], [4]]
    assert list(table.adjoining([0, positions[1], 12345, positions[0]], 1 << 20)) == [[3, 1]]


def test_small_blobs_use_larger_slots_when_nothing_else_is_left() -> None:
    table = SlotTable(ONE_CHUNK)
    assert all(table.take([4096] * 15))
    assert table.free_bytes_for(512) == 4096
    [position] = table.take([1])
    assert table.slot_bytes(position) == 4096


def test_large_blobs_of_a_batch_are_served_before_small_ones() -> None:
    assert SlotTable(ONE_CHUNK).take([1] + [4096] * 16)[0] == 0


def test_an_empty_chunk_serves_any_class() -> None:
    table = SlotTable(ONE_CHUNK)
    positions = table.take([512] * 128)
    assert all(positions)
    assert table.take([4096]) == [0]
    for position in positions:
        table.give_back(position)
    assert all(table.take([4096] * 16))


@pytest.mark.parametrize("position", [0, 7, 9, 8 + 128, 2**32 - 1, 2**40, -1])
def test_what_is_no_slot_in_use_cannot_be_given_back(position: int) -> None:
    table = SlotTable(ONE_CHUNK)
    table.take([4096])
    with pytest.raises(SlotNotInUseError):
        table.give_back(position)
    assert table.slots_used == 1
    assert table.slot_bytes(position) == 0


def test_a_slot_is_given_back_once() -> None:
    table = SlotTable(ONE_CHUNK)
    first, second = table.take([4096, 4096])
    table.give_back(first)
    with pytest.raises(SlotNotInUseError, match=str(first)):
        table.give_back(first)
    table.give_back(second)
    with pytest.raises(SlotNotInUseError):
        table.give_back(second)


def test_the_unused_end_of_a_chunk_is_no_slot() -> None:
    table = SlotTable(ONE_CHUNK)
    positions = table.take([1500] * 42)  # 42 * 1536 = 64512
    assert all(positions)
    assert table.take([512]) == [0]
    with pytest.raises(SlotNotInUseError):
        table.give_back(positions[-1] + 3)


def test_a_large_file_costs_nothing_before_it_is_used() -> None:
    table = SlotTable(100 << 30)
    assert table.free_bytes_for(4096) == 1638399 * CHUNK_BYTES
    table.take([4096] * 64)
    columns = (table._classes, table._free, table._next, table._previous)
    assert sum(memoryview(column).nbytes for column in columns) == 4 * 25


def test_a_table_that_was_fragmented_can_be_filled_to_the_last_slot() -> None:
    random = Random(7)
    table = SlotTable(HEADER_BYTES + 20 * CHUNK_BYTES)
    held = [position for position in table.take([4096] * 320) if position]
    random.shuffle(held)
    for position in held[:200]:
        table.give_back(position)
    assert all(table.take([4000] * 200))
    assert (table.slots_used, table.used_bytes) == (320, 20 * CHUNK_BYTES)
    table.verify()


class Slots(RuleBasedStateMachine):
    """A table against a map of intervals."""

    def __init__(self) -> None:
        super().__init__()
        self.limit = HEADER_BYTES + 3 * CHUNK_BYTES + 1000
        self.table = SlotTable(self.limit)
        self.held: dict[int, int] = {}
        """Offset to size."""

    @rule(lengths=LENGTHS)
    def take(self, lengths: list[int]) -> None:
        free = {length: self.table.free_bytes_for(length) for length in lengths}
        positions = self.table.take(array("H", lengths))
        for length, position in zip(lengths, positions, strict=True):
            if position == 0:
                # Nothing is refused while there is a slot for it.
                assert self.table.free_bytes_for(length) == 0
                continue
            assert free[length] > 0
            size = self.table.slot_bytes(position)
            assert size >= length
            assert position * POSITION_BYTES not in self.held
            self.held[position * POSITION_BYTES] = size

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def give_back(self, data: st.DataObject) -> None:
        count = data.draw(st.integers(1, len(self.held)))
        random = Random(data.draw(st.integers(0, 2**16)))
        for offset in random.sample(sorted(self.held), count):
            self.table.give_back(offset // POSITION_BYTES)
            del self.held[offset]
            with pytest.raises(SlotNotInUseError):
                self.table.give_back(offset // POSITION_BYTES)

    @rule(position=st.integers(0, 520))
    def look(self, position: int) -> None:
        assert self.table.slot_bytes(position) == self.held.get(position * POSITION_BYTES, 0)

    @invariant()
    def no_overlap_and_within_the_limit(self) -> None:
        end = HEADER_BYTES
        for offset, size in sorted(self.held.items()):
            assert offset >= end
            end = offset + size
        assert end <= self.limit

    @invariant()
    def every_figure_is_right(self) -> None:
        self.table.verify()
        assert self.table.slots_used == len(self.held)
        assert self.table.used_bytes == sum(self.held.values())

    @invariant()
    def joined_pieces_hold_every_slot_once(self) -> None:
        positions = [offset // POSITION_BYTES for offset in self.held]
        runs = list(self.table.adjoining(positions, 16384))
        assert sorted(row for run in runs for row in run) == list(range(len(positions)))
        for run in runs:
            for one, other in pairwise(run):
                size = self.table.slot_bytes(positions[one])
                assert (positions[other] - positions[one]) * POSITION_BYTES == size

    def teardown(self) -> None:
        for offset in list(self.held):
            self.table.give_back(offset // POSITION_BYTES)
        assert (self.table.slots_used, self.table.used_bytes) == (0, 0)
        assert self.table.free_bytes_for(4096) == 3 * CHUNK_BYTES
        assert all(self.table.take([4096] * 48))


TestSlots = Slots.TestCase
TestSlots.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
