"""What readers notice of a loss: the record, and that wrong pages are not taken for lost ones."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ramster.bench.lending import OBJECT, open_owner
from ramster.bench.loss_readers import LossReaders, full_speed_after
from zcache import PAGE_SIZE

STEADY = [n / 100 for n in range(100, 1000)]
"""Ends of reads, 100 a second, from second 1 on."""


def test_speed_that_never_fell_was_full_at_once() -> None:
    assert full_speed_after(STEADY, 5.0, 9.0, 100.0) == 0.0


def test_a_stall_lasts_until_the_reads_are_as_many_as_before() -> None:
    ends = [end for end in STEADY if not 5.0 < end < 7.0]
    found = full_speed_after(ends, 5.0, 9.0, 100.0)
    # 0.8 of a window's reads fit in where at most a fifth of it lies in the stall.
    assert found == pytest.approx(2.0, abs=0.08)


def test_speed_that_does_not_come_back_counts_until_the_end() -> None:
    ends = [end for end in STEADY if end <= 5.0]
    assert full_speed_after(ends, 5.0, 9.0, 100.0) == 4.0


@given(st.lists(st.floats(0, 20), max_size=200), st.floats(0.1, 500))
def test_it_is_never_longer_than_the_reading(ends: list[float], rate: float) -> None:
    assert 0.0 <= full_speed_after(sorted(ends), 5.0, 9.0, rate) <= 4.0


def test_a_wrong_page_fails_the_readers() -> None:
    pytest.importorskip("grpc")

    async def go() -> None:
        async with open_owner(1024, 2, seed=1) as owner:
            await owner.put_all()
            await owner.settle()
            readers = LossReaders(owner, 2, seed=1)
            assert await readers.sweep() == (1024, 0)
            await owner.node.store.put_many(owner.pool, OBJECT, (9,), b"\xaa\x55" * 2048)
            with pytest.raises(AssertionError, match="came back wrong"):
                await readers.sweep()
            await owner.node.store.put_many(
                owner.pool, OBJECT, (9,), owner.data[9 * PAGE_SIZE : 10 * PAGE_SIZE]
            )
            assert await readers.sweep() == (1024, 0)

    asyncio.run(go())
