import re

from zcache.page import PAGE_SIZE
from zcache.segments import SEGMENT_BYTES, Segments


def resident_bytes() -> int:
    """This process's anonymous resident memory."""
    with open("/proc/self/status") as status:
        found = re.search(r"RssAnon:\s+(\d+) kB", status.read())
    assert found
    return int(found[1]) * 1024


def test_reach_maps_only_up_to_the_address() -> None:
    segments = Segments()
    segments.reach(0)
    assert len(segments.maps) == len(segments.words) == 1
    segments.reach(3 * SEGMENT_BYTES - 1)
    assert len(segments.maps) == 3


def test_memory_is_taken_when_written_and_given_back_by_discard() -> None:
    segments = Segments()
    frames = 4096
    before = resident_bytes()
    segments.reach(0)
    mapped = resident_bytes()
    for frame in range(frames):
        segments.maps[0][frame * PAGE_SIZE] = 1
    full = resident_bytes()
    segments.discard(0, frames * PAGE_SIZE)
    empty = resident_bytes()
    size = frames * PAGE_SIZE
    assert mapped - before < size / 8
    assert full - mapped > size * 0.95
    assert empty - mapped < size / 8


def test_one_written_byte_takes_one_frame_and_no_huge_page() -> None:
    segments = Segments()
    segments.reach(0)
    before = resident_bytes()
    for at in range(0, SEGMENT_BYTES, 2 * 2**20):
        segments.maps[0][at] = 1
    assert resident_bytes() - before < 4 * 2**20


def test_discarded_frames_read_as_zeros_and_words_show_the_same_memory() -> None:
    segments = Segments()
    segments.reach(SEGMENT_BYTES)
    segments.words[1][2] = 0x0102
    assert segments.maps[1][16:18] == b"\x02\x01"
    segments.discard(SEGMENT_BYTES, PAGE_SIZE)
    assert segments.words[1][2] == 0
