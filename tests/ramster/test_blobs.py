"""Packed blobs, row by row."""

from __future__ import annotations

from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ramster.blobs import Blob, check_shape, extend, pack, rows
from ramster.errors import BadMessageError
from zcache import PAGE_SIZE, PackedBlobs

WORD = st.integers(0, 2**64 - 1)
BLOBS = st.lists(
    st.tuples(WORD, WORD, st.binary(min_size=1, max_size=PAGE_SIZE), st.integers(0, 255), WORD).map(
        lambda row: Blob(row[0], row[1], len(row[2]), row[3], row[4], row[2])
    ),
    max_size=8,
)


@given(BLOBS)
def test_packing_and_taking_apart_are_inverse(blobs: list[Blob]) -> None:
    packed = pack(blobs)
    check_shape(packed, rows_max=8, payload_bytes_max=8 * PAGE_SIZE)
    assert list(rows(packed)) == blobs


@given(BLOBS, BLOBS)
def test_extending_appends_rows(some: list[Blob], more: list[Blob]) -> None:
    packed = PackedBlobs(payload=bytearray())
    extend(packed, pack(some))
    extend(packed, pack(more))
    assert list(rows(packed)) == some + more


def two() -> PackedBlobs:
    return pack([Blob(1, 1, 3, 1, 9, b"abc"), Blob(2, 2, 2, 1, 9, b"de")])


@pytest.mark.parametrize("column", ["keys", "generations", "lengths", "encodings", "checksums"])
def test_a_column_of_another_length_is_refused(column: str) -> None:
    packed = two()
    getattr(packed, column).append(1)
    with pytest.raises(BadMessageError, match="for"):
        check_shape(packed, rows_max=8, payload_bytes_max=100)


@pytest.mark.parametrize("lengths", [[3, 1], [3, 3], [5, 0], [0, 5]])
def test_lengths_must_make_up_the_payload_and_be_a_page_at_most(lengths: list[int]) -> None:
    packed = two()
    packed.lengths = array("H", lengths)
    with pytest.raises(BadMessageError, match="length"):
        check_shape(packed, rows_max=8, payload_bytes_max=100)


def test_a_blob_longer_than_a_page_is_refused() -> None:
    packed = pack([Blob(1, 1, PAGE_SIZE + 1, 1, 9, bytes(PAGE_SIZE + 1))])
    with pytest.raises(BadMessageError, match="1 to 4096"):
        check_shape(packed, rows_max=8, payload_bytes_max=2 * PAGE_SIZE)


def test_too_many_rows_and_too_many_bytes_are_refused() -> None:
    with pytest.raises(BadMessageError, match="up to 1"):
        check_shape(two(), rows_max=1, payload_bytes_max=100)
    with pytest.raises(BadMessageError, match="up to 4"):
        check_shape(two(), rows_max=2, payload_bytes_max=4)
    check_shape(two(), rows_max=2, payload_bytes_max=5)
