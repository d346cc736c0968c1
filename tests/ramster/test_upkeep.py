"""Housekeeping: compaction in slices, only when it is worth it."""

from __future__ import annotations

import asyncio
import os

import pytest

from ramster.upkeep import COMPACT_SLICE_FRAMES, Upkeep
from zcache import Cache, CacheConfig, PoolKind

PAGES = 2000


class StepClock:
    """A clock that lets a number of waits pass at once, then stops the coroutine."""

    def __init__(self, waits: int) -> None:
        self.waits: list[float] = []
        self._left = waits

    def now(self) -> float:
        return sum(self.waits)

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self._left -= 1
        if self._left < 0:
            raise asyncio.CancelledError


def fragmented_cache() -> Cache:
    """A cache whose frames are half empty: every other page was flushed."""
    cache = Cache(CacheConfig(pool_bytes_max=64 * 2**20))
    pool = cache.create_pool(PoolKind.PERSISTENT)
    for index in range(PAGES):
        cache.put(pool, 1, index, os.urandom(1024) + bytes(3072))
    for index in range(0, PAGES, 2):
        cache.flush(pool, 1, index)
    return cache


def test_a_slice_gives_frames_back_and_is_bounded() -> None:
    cache = fragmented_cache()
    used = cache.stats().frames_used
    freed = Upkeep(cache, StepClock(0), 1.0).compact_once()
    assert 0 < freed <= COMPACT_SLICE_FRAMES + 8  # the last zspage of a slice may have 8 frames
    assert cache.stats().frames_used == used - freed


def test_slices_follow_each_other_until_nothing_is_gained() -> None:
    cache = fragmented_cache()
    used = cache.stats().frames_used
    clock = StepClock(1000)
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(Upkeep(cache, clock, 7.0).run())
    assert cache.stats().frames_used < 0.6 * used
    assert cache.compact() == 0
    first_rest = clock.waits.index(7.0, 1)
    assert set(clock.waits[1:first_rest]) == {0}
    assert set(clock.waits[first_rest:]) == {7.0}


def test_a_round_without_gain_is_not_repeated_before_use_changes() -> None:
    cache = fragmented_cache()
    upkeep = Upkeep(cache, StepClock(0), 1.0)
    while upkeep.compact_once():
        pass
    moved = cache.stats().objects_moved
    assert upkeep.compact_once() == 0
    assert cache.stats().objects_moved == moved


def test_a_dense_or_empty_pool_is_left_alone() -> None:
    cache = Cache(CacheConfig(pool_bytes_max=2**20))
    upkeep = Upkeep(cache, StepClock(0), 1.0)
    assert upkeep.compact_once() == 0
    pool = cache.create_pool(PoolKind.PERSISTENT)
    for index in range(100):
        cache.put(pool, 1, index, os.urandom(4096))
    assert upkeep.compact_once() == 0
