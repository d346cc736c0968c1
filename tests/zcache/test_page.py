import pytest

from zcache import (
    INDEX_MAX,
    OBJECT_ID_INVALID,
    PLACE_BITS,
    AwayPages,
    BadHandleError,
    PackedBlobs,
    place_of,
    position_of,
    where_of,
)
from zcache.page import check_handle, check_place, check_where


@pytest.mark.parametrize(
    ("object_id", "index"), [(0, 0), (OBJECT_ID_INVALID - 1, INDEX_MAX), (2**64, 2**32)]
)
def test_handles_in_range_pass(object_id: int, index: int) -> None:
    check_handle(object_id, index)


@pytest.mark.parametrize(
    ("object_id", "index"),
    [(-1, 0), (OBJECT_ID_INVALID, 0), (2**192, 0), (0, -1), (0, INDEX_MAX + 1)],
)
def test_handles_out_of_range_are_refused(object_id: int, index: int) -> None:
    """Behaviours 19 and 20: nothing is truncated."""
    with pytest.raises(BadHandleError, match="accepted is"):
        check_handle(object_id, index)


def test_batches_begin_empty_and_share_nothing() -> None:
    first, second = PackedBlobs(), PackedBlobs()
    first.keys.append(1)
    assert (len(first), len(second)) == (1, 0)
    assert len(AwayPages()) == 0
    assert [column.itemsize for column in (first.keys, first.lengths, first.checksums)] == [8, 2, 8]


@pytest.mark.parametrize("place", [1, 7, 2**32 - 1])
@pytest.mark.parametrize("position", [0, 1, 2**31, 2**32 - 1])
def test_a_word_is_a_place_and_a_position(place: int, position: int) -> None:
    where = where_of(place, position)
    assert where == position << PLACE_BITS | place
    assert (place_of(where), position_of(where)) == (place, position)
    check_where(where)
    check_place(place_of(where))


def test_a_word_without_a_position_is_its_place() -> None:
    assert where_of(5) == 5


@pytest.mark.parametrize(("place", "position"), [(0, 0), (-1, 0), (2**32, 0), (1, -1), (1, 2**32)])
def test_places_and_positions_out_of_range_are_refused(place: int, position: int) -> None:
    with pytest.raises(BadHandleError, match="accepted is"):
        where_of(place, position)


@pytest.mark.parametrize("where", [0, -1, 2**32, 7 << 32, 2**64, 2**64 + 1])
def test_words_that_name_no_place_are_refused(where: int) -> None:
    with pytest.raises(BadHandleError, match="accepted is"):
        check_where(where)
