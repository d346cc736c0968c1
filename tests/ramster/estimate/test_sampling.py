"""Reservoir sampling: how many, which, and that every page has its chance."""

from __future__ import annotations

import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from ramster.estimate.sampling import PageReservoir, Sample


def filled(size: int, runs: list[int], seed: int) -> list[int]:
    """Numbers of the pages taken of a stream that comes in runs."""
    reservoir: PageReservoir[int] = PageReservoir(size, random.Random(seed))
    start = 0
    for count in runs:
        reservoir.offer(count, lambda page, start=start: start + page)  # type: ignore[misc]
        start += count
    assert reservoir.offered == start
    return reservoir.items


@given(st.integers(1, 40), st.lists(st.integers(0, 300), max_size=20), st.integers(0, 2**32))
def test_it_takes_as_many_different_pages_as_there_are_up_to_its_size(
    size: int, runs: list[int], seed: int
) -> None:
    taken = filled(size, runs, seed)
    assert len(taken) == len(set(taken)) == min(size, sum(runs))
    assert all(0 <= page < sum(runs) for page in taken)


@given(st.integers(1, 40), st.lists(st.integers(0, 300), max_size=20), st.integers(0, 2**32))
def test_how_the_stream_is_cut_changes_nothing(size: int, runs: list[int], seed: int) -> None:
    assert filled(size, runs, seed) == filled(size, [sum(runs)], seed)


def test_every_page_has_the_same_chance() -> None:
    # 4000 seeds, 5 of 20 pages: 1000 each, with a standard deviation of 27.
    counts = Counter(page for seed in range(4000) for page in filled(5, [7, 13], seed))
    assert sorted(counts) == list(range(20))
    assert all(850 < count < 1150 for count in counts.values()), counts


def test_a_stream_of_any_length_is_passed_over_quickly() -> None:
    reservoir: PageReservoir[int] = PageReservoir(4, random.Random(1))
    asked: list[int] = []
    for _ in range(10):
        reservoir.offer(2**60, lambda page: asked.append(page) or page)  # type: ignore[func-returns-value]
    assert len(reservoir.items) == 4
    assert len(asked) < 1000


def test_a_sample_counts_its_pages() -> None:
    assert len(Sample("x", 10, bytearray(3 * 4096))) == 3
