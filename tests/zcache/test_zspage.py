from hypothesis import given
from hypothesis import strategies as st

from zcache.size_classes import BANDS, SizeClassTable
from zcache.zspage import FULL_BAND, ZspageTable, band_table

CLASSES = SizeClassTable(8).classes


@given(st.integers(1, 256))
def test_bands_are_the_twelve_of_the_kernel(objects: int) -> None:
    """Behaviour 76: band 0 is empty, 11 full, and between them band b holds (b-1)*10 .. b*10 per
    cent.
    """
    bands = band_table(objects)
    assert len(bands) == objects + 1
    assert bands[objects] == FULL_BAND == BANDS - 1
    if objects > 1:
        assert bands[0] == 0
    for used in range(1, objects):
        percent = 100 * used // objects
        assert (bands[used] - 1) * 10 <= percent < bands[used] * 10


def test_the_last_window_closed_is_the_first_used_again() -> None:
    table = ZspageTable(CLASSES)
    first, second = table.open(3), table.open(5)
    assert first >= table.heads
    assert table.count == 2
    table.close(first, 3, 0)
    table.close(second, 5, 0)
    assert [table.open(7), table.open(7)] == [second, first]
    assert table.count == 2


def test_moving_between_bands_keeps_lists_counts_and_mask() -> None:
    table = ZspageTable(CLASSES)
    zspages = [table.open(9) for _ in range(3)]
    assert table.live(9, 0) == zspages[::-1]
    assert table.open_bands[9] == 1
    table.move(zspages[1], 9, 0, 4)
    assert table.live(9, 0) == [zspages[2], zspages[0]]
    assert table.open_bands[9] == 1 | 1 << 4
    table.move(zspages[1], 9, 4, FULL_BAND)
    assert table.open_bands[9] == 1
    assert table.live(9, FULL_BAND) == [zspages[1]]
    assert table.band_counts[9 * BANDS + FULL_BAND] == 1
    table.move(zspages[1], 9, FULL_BAND, 10)
    assert table.open_bands[9] == 1 | 1 << 10
    table.close(zspages[0], 9, 0)
    table.close(zspages[2], 9, 0)
    assert table.open_bands[9] == 1 << 10


def test_columns_grow_together() -> None:
    table = ZspageTable(CLASSES)
    for _ in range(5000):
        table.open(0)
    assert len({len(column) for column in table.columns()[:-1]}) == 1
    assert len(table.live(0, 0)) == table.count == 5000
