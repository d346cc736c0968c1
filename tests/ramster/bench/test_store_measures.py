"""Percentiles, rates and memory."""

from __future__ import annotations

import mmap
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ramster.bench.store_measures import (
    anonymous_bytes,
    expect,
    frames_over_blobs,
    latencies,
    latency_figures,
    page_views,
    rates,
)
from zcache import PAGE_SIZE, CacheStats


def test_percentiles_are_nearest_ranks_in_microseconds() -> None:
    times = [1000 * number for number in range(1, 101)]
    random.Random(1).shuffle(times)
    assert latencies("put", times) == {"put_p50_us": 50.0, "put_p99_us": 99.0}
    assert latencies("get", [7000]) == {"get_p50_us": 7.0, "get_p99_us": 7.0}


def test_no_calls_have_no_latency() -> None:
    assert latencies("put", []) == {}


def test_each_latency_has_its_figure() -> None:
    names = [figure.name for figure in latency_figures("flush")]
    assert names == list(latencies("flush", [1]))


def test_rates_are_of_quarters() -> None:
    assert rates([10**9] * 4 + [2 * 10**9] * 4) == [1.0, 1.0, 0.5, 0.5]
    assert rates([10**9] * 4, 64) == [64.0] * 4
    assert rates([10**9]) == [1.0]
    assert rates([]) == []


@given(st.lists(st.integers(1, 10**9), min_size=1, max_size=50))
def test_rates_cover_all_calls(times: list[int]) -> None:
    assert len(rates(times)) == min(4, len(times))
    slowest = 1e9 / max(times)
    fastest = 1e9 / min(times)
    assert all(slowest * 0.999 <= rate <= fastest * 1.001 for rate in rates(times))


def test_anonymous_memory_grows_by_what_is_written() -> None:
    before = anonymous_bytes()
    with mmap.mmap(-1, 2**24, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        untouched = anonymous_bytes()
        for at in range(0, len(memory), 4096):
            memory[at] = 1
        assert untouched - before < 2**22
        assert 2**23 < anonymous_bytes() - untouched < 2**25


def test_pages_are_views() -> None:
    data = bytearray(2 * PAGE_SIZE)
    first, second = page_views(data)
    data[PAGE_SIZE] = 7
    assert (first[0], second[0], len(second)) == (0, 7, PAGE_SIZE)


def test_a_wrong_page_is_an_assertion_failure() -> None:
    expect(memoryview(b"ab"), b"ab", "page 1")
    with pytest.raises(AssertionError, match="page 1"):
        expect(b"ab", b"ac", "page 1")
    with pytest.raises(AssertionError):
        expect(None, b"ac", "page 1")


def test_frames_over_blobs_is_of_bytes() -> None:
    assert frames_over_blobs(CacheStats(frames_used=3, bytes_local=2 * PAGE_SIZE)) == {
        "frames_over_blobs": 1.5
    }
    assert frames_over_blobs(CacheStats()) == {}
