import pytest

from zcache.page import PAGE_SIZE
from zcache.size_classes import HANDLE_BYTES, SizeClassTable, zspage_frames

CLASSES = {4: 69, 5: 86, 6: 94, 7: 110, 8: 119, 9: 136, 10: 141, 11: 153, 12: 159, 13: 173,
           14: 179, 15: 186, 16: 192}  # fmt: skip
WATERMARKS = {4: 3264, 5: 3408, 6: 3504, 7: 3584, 8: 3632, 9: 3680, 10: 3712, 11: 3744, 12: 3776,
              13: 3792, 14: 3808, 15: 3840, 16: 3840}  # fmt: skip
CHAINS = range(4, 17)


@pytest.mark.parametrize("chain", CHAINS)
def test_there_are_as_many_classes_as_the_kernels_rule_makes(chain: int) -> None:
    """Behaviour 70: the table of classes by chain length."""
    assert len(SizeClassTable(chain).classes) == CLASSES[chain]


@pytest.mark.parametrize("chain", CHAINS)
def test_every_length_has_the_smallest_class_that_holds_it(chain: int) -> None:
    """Behaviour 70: the class of a length is the smallest one it fits, handle word included."""
    table = SizeClassTable(chain)
    for length in range(1, PAGE_SIZE + 1):
        size_class = table.classes[table.class_of_length[length]]
        smaller = [c for c in table.classes if c.size < size_class.size]
        assert size_class.huge or size_class.size >= length + HANDLE_BYTES
        assert not smaller or smaller[-1].size < length + HANDLE_BYTES
        assert table.slot_of_length[length] == size_class.size


@pytest.mark.parametrize("chain", CHAINS)
def test_the_huge_watermark_is_the_kernels(chain: int) -> None:
    """Behaviour 71: the huge watermark by chain length; a blob at it gains nothing over a whole
    page.
    """
    table = SizeClassTable(chain)
    assert table.huge_watermark == WATERMARKS[chain]
    assert table.huge_length == WATERMARKS[chain] - 7
    assert not table.classes[table.class_of_length[table.huge_length - 1]].huge
    # Just above the watermark the merged class is a whole page.
    assert table.classes[table.class_of_length[table.huge_length]].huge


@pytest.mark.parametrize("chain", CHAINS)
def test_a_zspage_is_the_shortest_of_those_that_waste_least(chain: int) -> None:
    """Behaviour 72: frames a zspage, against a plain search over all lengths."""
    for size in range(32, PAGE_SIZE + 1, 16):
        waste = {frames: frames * PAGE_SIZE % size for frames in range(1, chain + 1)}
        best = min(waste.values())
        wanted = min(frames for frames, lost in waste.items() if lost == best)
        is_power_of_two = size & (size - 1) == 0
        assert zspage_frames(size, chain) == (1 if is_power_of_two else wanted)


@pytest.mark.parametrize("chain", CHAINS)
def test_classes_tile_their_zspages(chain: int) -> None:
    for size_class in SizeClassTable(chain).classes:
        bytes_of_zspage = size_class.frames * PAGE_SIZE
        assert size_class.objects == bytes_of_zspage // size_class.size <= 256
        assert size_class.frames <= chain
        assert size_class.size % 16 == 0
        assert size_class.huge == (size_class.size == PAGE_SIZE)


def test_the_documented_example_holds() -> None:
    """1568 bytes at chain 4 live in class 1632, five in two frames; a longer chain has its own
    class.
    """
    short = SizeClassTable(4)
    assert short.classes[short.class_of_length[1560]][1:4] == (1632, 2, 5)
    longer = SizeClassTable(5)
    assert longer.classes[longer.class_of_length[1560]][1:4] == (1568, 5, 13)
