"""Removing many pages in slices."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from itertools import pairwise
from typing import Any

import pytest

from ramster.removal import SLICE_PAGES, remove_object, remove_pool, remove_range
from zcache import Cache, CacheConfig, NoSuchPoolError, PoolKind

PAGES = 2 * SLICE_PAGES + 5


def filled() -> tuple[Cache, int]:
    cache = Cache(CacheConfig(pool_bytes_max=2**20))
    pool = cache.create_pool(PoolKind.PERSISTENT)
    for object_id in (1, 2):
        cache.put_many(pool, object_id, range(PAGES), bytes(4096) * PAGES)
    return cache, pool


Removal = Callable[[Cache, int, Callable[[], None]], Coroutine[Any, Any, int]]

REMOVALS: dict[str, tuple[Removal, int]] = {
    "range": (lambda c, p, told: remove_range(c, p, 1, 1, PAGES, told), PAGES - 1),
    "object": (lambda c, p, told: remove_object(c, p, 1, told), PAGES),
    "pool": (lambda c, p, told: remove_pool(c, p, told), 2 * PAGES),
}


@pytest.mark.parametrize("what", REMOVALS)
def test_others_get_their_turn_between_slices(what: str) -> None:
    remove, expected = REMOVALS[what]

    async def scenario() -> None:
        cache, pool = filled()
        left_at_each_turn = []

        async def other() -> None:
            while True:
                left_at_each_turn.append(cache.stats().pages_same_filled)
                await asyncio.sleep(0)

        beside = asyncio.create_task(other())
        assert await remove(cache, pool, lambda: None) == expected
        beside.cancel()
        assert 2 * PAGES - cache.stats().pages_same_filled == expected
        steps = [before - after for before, after in pairwise(left_at_each_turn)]
        assert max(steps) == SLICE_PAGES
        cache.verify()

    asyncio.run(scenario())


@pytest.mark.parametrize("what", REMOVALS)
def test_whoever_waits_is_told_after_each_slice(what: str) -> None:
    remove, expected = REMOVALS[what]

    async def scenario() -> None:
        cache, pool = filled()
        seen: list[int] = []
        await remove(cache, pool, lambda: seen.append(cache.stats().pages_same_filled))
        assert seen[0] == 2 * PAGES - SLICE_PAGES
        assert seen[-1] == 2 * PAGES - expected

    asyncio.run(scenario())


def test_a_removed_pool_is_refused() -> None:
    async def scenario() -> None:
        cache, pool = filled()
        await remove_pool(cache, pool, lambda: None)
        with pytest.raises(NoSuchPoolError):
            await remove_pool(cache, pool, lambda: None)

    asyncio.run(scenario())
