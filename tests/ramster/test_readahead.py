"""Reading ahead, and which fetched pages are wanted again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ramster.blobs import Blob
from ramster.readahead import ReadaheadBuffer, RecentFetches, SequentialStreams


def test_a_sequential_reader_gets_a_window_that_doubles_to_the_limit() -> None:
    streams = SequentialStreams(32)
    windows = [streams.window(1, 1, index, index + 1) for index in range(6)]
    assert windows == [0, 4, 8, 16, 32, 32]


def test_a_random_reader_gets_none() -> None:
    streams = SequentialStreams(32)
    assert [streams.window(1, 1, index, index + 1) for index in (5, 3, 90, 17, 4)][:4] == [0] * 4


def test_readers_of_other_objects_and_places_do_not_disturb_each_other() -> None:
    streams = SequentialStreams(32)
    for index in range(4):
        streams.window(1, 1, index, index + 1)
        streams.window(1, 2, index + 50, index + 51)
        streams.window(2, 1, index, index + 1)
    assert streams.window(1, 1, 4, 5) == 32
    assert streams.window(1, 2, 54, 55) == 32


def test_the_number_of_streams_is_bounded_and_the_least_recent_is_forgotten() -> None:
    streams = SequentialStreams(32)
    streams.window(1, 1, 0, 1)
    for reader in range(300):
        streams.window(1, 100 + reader, 0, 1)
    assert streams.window(1, 1, 1, 2) == 0
    assert streams.window(1, 399, 1, 2) == 4


def test_a_limit_of_no_pages_switches_readahead_off() -> None:
    streams = SequentialStreams(0)
    assert [streams.window(1, 1, index, index + 1) for index in range(4)] == [0] * 4


def blob(key: int, generation: int = 1, length: int = 100) -> Blob:
    return Blob(key, generation, length, 1, 0, bytes(length))


def test_a_page_is_handed_out_once_and_only_under_its_full_name() -> None:
    buffer = ReadaheadBuffer(1000)
    buffer.put(blob(1))
    assert buffer.take(2, 1) is None
    assert buffer.take(1, 2) is None
    assert (1, 1) in buffer
    assert (1, 2) not in buffer
    assert buffer.take(1, 1) == blob(1)
    assert buffer.take(1, 1) is None
    assert buffer.bytes_held == 0
    assert buffer.wasted == 0


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 400), st.booleans())))
def test_the_buffer_never_holds_more_than_its_bound_and_counts_what_it_drops(
    steps: list[tuple[int, int, bool]],
) -> None:
    buffer = ReadaheadBuffer(1000)
    model: dict[int, int] = {}
    for key, length, put in steps:
        if put:
            model.pop(key, None)
            model[key] = length
            buffer.put(blob(key, length=length))
            while sum(model.values()) > 1000:
                del model[next(iter(model))]
        else:
            taken = buffer.take(key, 1)
            assert (taken.length if taken else None) == model.pop(key, None)
        assert buffer.bytes_held == sum(model.values()) <= 1000
        assert len(buffer) == len(model)


def test_what_is_dropped_unread_is_counted() -> None:
    buffer = ReadaheadBuffer(250)
    for key in range(5):
        buffer.put(blob(key))
    assert buffer.wasted == 3
    buffer = ReadaheadBuffer(0)
    buffer.put(blob(1))
    assert len(buffer) == 0


def test_a_second_fetch_is_recognised_and_old_ones_fade() -> None:
    recent = RecentFetches(marks=64)
    assert not recent.seen(7)
    assert recent.seen(7)
    for key in range(1000, 1200):
        recent.seen(key)
    assert not recent.seen(7)


def test_false_alarms_are_few() -> None:
    recent = RecentFetches()
    alarms = sum(recent.seen(key) for key in range(60_000))
    assert alarms < 60_000 // 8
