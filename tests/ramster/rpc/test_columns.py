"""Columns of words as bytes."""

from __future__ import annotations

from array import array

import pytest

from ramster.errors import BadMessageError
from ramster.rpc import columns


def test_columns_are_little_endian_on_every_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    column = array("Q", [1, 2**40])
    assert columns.column_bytes(column) == bytes.fromhex("0100000000000000 0000000000010000")
    assert columns.words(columns.column_bytes(column), "keys", 2) == column
    assert columns.column_bytes(array("H", [258])) == b"\x02\x01"
    # A big-endian machine holds the same bytes as other numbers, and swaps them on both ways.
    monkeypatch.setattr(columns, "SWAPPED", True)
    assert columns.column_bytes(array("H", [258])) == b"\x01\x02"
    assert columns.words(columns.column_bytes(column), "keys", 2) == column
    assert column == array("Q", [1, 2**40])


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (bytes(15), "keys: 15 bytes, accepted is a multiple of 8"),
        (bytes(24), "keys: 3 rows, accepted is up to 2"),
    ],
)
def test_a_column_that_is_torn_or_too_long_is_named(data: bytes, named: str) -> None:
    with pytest.raises(BadMessageError, match=named):
        columns.words(data, "keys", 2)


def test_columns_of_unequal_length_are_named() -> None:
    with pytest.raises(BadMessageError, match="generations: 1 rows, accepted is 2 as in keys"):
        columns.check_same_rows(array("Q", [1, 2]), array("Q", [1]))
