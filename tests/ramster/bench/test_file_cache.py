"""A file cache over a page store and over a device."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import cast

import pytest

from ramster.bench.device_pages import DevicePages, PagesRefusedError, StorePages
from ramster.bench.file_cache import DeviceFileCache, FileCache, SlowFile, StoreFileCache
from ramster.bench.plain_store import PlainStore
from zcache import PAGE_SIZE, PoolKind

BLOCKS = [bytes([n]) * 2 * PAGE_SIZE for n in range(64)]


def over_store(pages: int) -> FileCache:
    return StoreFileCache(PlainStore(pages * PAGE_SIZE), 2)


def over_device(pages: int) -> FileCache:
    store = PlainStore(pages * PAGE_SIZE)
    return DeviceFileCache(StorePages(store, store.create_pool(PoolKind.PERSISTENT), 1), 2)


@pytest.mark.parametrize("made", [over_store, over_device])
def test_blocks_stay_while_there_is_room_and_the_least_recently_used_go_first(
    made: type[FileCache],
) -> None:
    async def run() -> None:
        cache = made(32)
        for block in range(16):
            await cache.put(block, BLOCKS[block])
        for block in range(16):
            assert bytes(await cache.get(block) or b"") == BLOCKS[block]
        assert await cache.get(0)  # the most recently used one
        await cache.put(16, BLOCKS[16])
        assert await cache.get(0)
        assert bytes(await cache.get(16) or b"") == BLOCKS[16]
        assert await cache.get(1) is None
        assert await cache.get(63) is None

    asyncio.run(run())


def test_a_cache_without_room_for_one_block_keeps_nothing() -> None:
    async def run() -> None:
        cache = over_device(1)
        await cache.put(3, BLOCKS[3])
        assert await cache.get(3) is None

    asyncio.run(run())


def test_a_block_of_which_a_page_is_gone_is_a_miss() -> None:
    async def run() -> None:
        cache = over_store(3)
        await cache.put(0, BLOCKS[0])
        await cache.put(1, BLOCKS[1])
        assert await cache.get(0) is None
        assert await cache.get(1) is not None

    asyncio.run(run())


def test_a_slow_file_takes_its_time_and_lets_others_work_meanwhile(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"".join(BLOCKS))
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def run() -> float:
        other = asyncio.create_task(count())
        with SlowFile(path, 0.01) as file:
            start = time.perf_counter()
            assert await file.read(3 * 2 * PAGE_SIZE, 2 * PAGE_SIZE) == BLOCKS[3]
            took = time.perf_counter() - start
            assert file.reads == 1
        other.cancel()
        return took

    took = asyncio.run(run())
    assert took >= 0.01
    assert turns > 1


class _Device:
    """One write is refused; each step lets others run."""

    def __init__(self) -> None:
        self.pages: dict[int, bytes] = {}
        self.refuse = 0

    async def write(self, first: int, data: bytes) -> None:
        await asyncio.sleep(0)
        if self.refuse:
            self.refuse -= 1
            raise PagesRefusedError("full")
        self.pages[first] = bytes(data)

    async def read(self, first: int, _count: int) -> bytes:
        await asyncio.sleep(0)
        return self.pages.get(first, bytes(PAGE_SIZE))

    async def discard(self, first: int, _count: int) -> None:
        await asyncio.sleep(0)
        self.pages.pop(first, None)
        await asyncio.sleep(0)


def test_a_refused_write_of_a_block_that_another_one_kept_is_no_block_of_zeros() -> None:
    async def main() -> None:
        device = _Device()
        cache = DeviceFileCache(cast("DevicePages", device), 1)
        page = b"x" * PAGE_SIZE
        await cache.put(5, b"o" * PAGE_SIZE)
        await cache.put(7, page)
        device.refuse = 1
        late = asyncio.create_task(cache.put(7, page))
        while not late.done():
            found = await cache.get(7)
            assert found is None or bytes(found) == page
            await asyncio.sleep(0)

    asyncio.run(main())
