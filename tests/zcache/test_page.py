import pytest

from zcache import INDEX_MAX, OBJECT_ID_INVALID, AwayPages, BadHandleError, PackedBlobs
from zcache.page import check_handle


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
