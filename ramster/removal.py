"""Removing many pages without holding up the event loop.

Covers: ranges, objects and pools, in slices with others in between. Does not cover: what follows
from a removal (copies to flush, writers who wait for room): that is handed in.

A page takes a few microseconds to remove, so a million of them in one call would stop everything
else for seconds, heartbeats included.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from zcache import INDEX_MAX, CacheContract

__all__ = ["SLICE_PAGES", "remove_object", "remove_pool", "remove_range"]

SLICE_PAGES = 512
"""Pages removed in one go: about 2 ms with the Python cache."""


async def _in_slices(remove: Callable[[int], int], removed_some: Callable[[], None]) -> int:
    total = 0
    while True:
        removed = remove(SLICE_PAGES)
        total += removed
        removed_some()
        if removed < SLICE_PAGES:
            return total
        await asyncio.sleep(0)


async def remove_range(
    cache: CacheContract,
    pool_id: int,
    object_id: int,
    start: int,
    stop: int,
    removed_some: Callable[[], None],
) -> int:
    """``CacheContract.flush_range``, lowest pages first; ``removed_some`` is called after each
    slice.
    """
    return await _in_slices(
        lambda pages: cache.flush_range(pool_id, object_id, start, stop, pages_max=pages),
        removed_some,
    )


async def remove_object(
    cache: CacheContract, pool_id: int, object_id: int, removed_some: Callable[[], None]
) -> int:
    """``CacheContract.flush_object``. A page put meanwhile may be removed or not."""
    removed = await remove_range(cache, pool_id, object_id, 0, INDEX_MAX + 1, removed_some)
    removed += cache.flush_object(pool_id, object_id)
    removed_some()
    return removed


async def remove_pool(cache: CacheContract, pool_id: int, removed_some: Callable[[], None]) -> int:
    """``CacheContract.destroy_pool``; the pool stays usable until its last slice."""
    removed = await _in_slices(lambda pages: cache.empty_pool(pool_id, pages), removed_some)
    removed += cache.destroy_pool(pool_id)
    removed_some()
    return removed
