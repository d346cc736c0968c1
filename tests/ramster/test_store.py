"""The store of a node without peers."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from ramster.errors import PageLostError, StoreClosedError, StoreFullError
from ramster.room import BATCH_PAGES_MAX
from ramster.store import LocalStore
from tests.support.fake_cluster import make_page
from tests.support.virtual_time import run
from zcache import (
    PAGE_SIZE,
    BadHandleError,
    Cache,
    CacheConfig,
    CacheFullError,
    GetFree,
    NoSuchPoolError,
    PoolKind,
)


def make_store(frames: int = 4096, *, put_wait_s: float = 0.0) -> LocalStore:
    return LocalStore(Cache(CacheConfig(pool_bytes_max=frames * PAGE_SIZE)), put_wait_s=put_wait_s)


def incompressible(seed: int) -> bytes:
    return Random(seed).randbytes(PAGE_SIZE)


def test_a_batch_larger_than_one_call_comes_back_whole() -> None:
    async def main() -> None:
        store = make_store()
        pool = store.create_pool(PoolKind.PERSISTENT)
        count = BATCH_PAGES_MAX * 2 + 3
        payload = b"".join(make_page(i) for i in range(count))
        await store.put_many(pool, 7, range(count), payload)
        into = bytearray(len(payload))
        assert await store.get_many(pool, 7, range(count), into) == b"\1" * count
        assert into == payload

    run(main())


def test_absent_pages_are_zero_in_the_answer_and_untouched_in_the_buffer() -> None:
    async def main() -> None:
        store = make_store()
        pool = store.create_pool(PoolKind.PERSISTENT)
        await store.put_many(pool, 1, [5], make_page(5))
        into = bytearray(b"\xee" * (3 * PAGE_SIZE))
        assert await store.get_many(pool, 1, [4, 5, 6], into) == b"\0\1\0"
        assert into == b"\xee" * PAGE_SIZE + make_page(5) + b"\xee" * PAGE_SIZE

    run(main())


def test_flushes_and_extents() -> None:
    async def main() -> None:
        store = make_store()
        pool = store.create_pool(PoolKind.PERSISTENT)
        await store.put_many(pool, 1, range(10), b"".join(make_page(i) for i in range(10)))
        assert await store.flush(pool, 1, 0)
        assert not await store.flush(pool, 1, 0)
        assert await store.flush_range(pool, 1, 3, 5) == 2
        assert store.extents(pool, 1, 0, 10) == [
            (0, 1, False),
            (1, 2, True),
            (3, 2, False),
            (5, 5, True),
        ]
        assert await store.flush_object(pool, 1) == 7
        await store.put_many(pool, 2, [0], make_page(1))
        assert await store.destroy_pool(pool) == 1
        with pytest.raises(NoSuchPoolError):
            await store.flush(pool, 2, 0)

    run(main())


def test_a_destructive_get_frees_its_page() -> None:
    async def main() -> None:
        store = make_store()
        pool = store.create_pool(PoolKind.PERSISTENT, exclusive_gets=True)
        await store.put_many(pool, 1, [0], make_page(0))
        into = bytearray(PAGE_SIZE)
        assert await store.get_many(pool, 1, [0], into, free=GetFree.NEVER) == b"\1"
        assert await store.get_many(pool, 1, [0], into) == b"\1"
        assert await store.get_many(pool, 1, [0], into) == b"\0"

    run(main())


def test_a_full_pool_answers_at_once_without_a_wait() -> None:
    async def main() -> None:
        store = make_store(frames=4)
        pool = store.create_pool(PoolKind.PERSISTENT)
        pages = [incompressible(i) for i in range(5)]
        with pytest.raises(StoreFullError, match="no room for 1 of 5 pages") as error:
            await store.put_many(pool, 1, range(5), b"".join(pages))
        assert isinstance(error.value.__cause__, CacheFullError)
        into = bytearray(5 * PAGE_SIZE)
        assert await store.get_many(pool, 1, range(5), into) == b"\1\1\1\1\0"

    run(main())


def test_a_put_waits_for_the_room_that_a_flush_makes() -> None:
    async def main() -> None:
        store = make_store(frames=4, put_wait_s=5.0)
        pool = store.create_pool(PoolKind.PERSISTENT)
        for i in range(4):
            await store.put_many(pool, 1, [i], incompressible(i))
        late = asyncio.create_task(store.put_many(pool, 1, [9], incompressible(9)))
        await asyncio.sleep(1)
        assert not late.done()
        await store.flush(pool, 1, 2)
        await late
        into = bytearray(PAGE_SIZE)
        assert await store.get_many(pool, 1, [9], into) == b"\1"
        assert into == incompressible(9)

    run(main())


def test_a_put_that_waited_in_vain_says_so_when_the_time_is_up() -> None:
    async def main() -> None:
        store = make_store(frames=4, put_wait_s=5.0)
        pool = store.create_pool(PoolKind.PERSISTENT)
        for i in range(4):
            await store.put_many(pool, 1, [i], incompressible(i))
        began = asyncio.get_running_loop().time()
        with pytest.raises(StoreFullError):
            await store.put_many(pool, 1, [9], incompressible(9))
        assert asyncio.get_running_loop().time() - began == pytest.approx(5.0)

    run(main())


def test_a_refused_put_that_keeps_the_old_page_keeps_it() -> None:
    async def main() -> None:
        store = make_store(frames=4)
        pool = store.create_pool(PoolKind.PERSISTENT)
        old = bytes(PAGE_SIZE)  # same-filled: takes no frame
        await store.put_many(pool, 1, [0], old)
        for i in range(1, 5):
            await store.put_many(pool, 1, [i], incompressible(i))
        with pytest.raises(StoreFullError):
            await store.put_many(pool, 1, [0], incompressible(0), keep_old=True)
        into = bytearray(b"\1" * PAGE_SIZE)
        assert await store.get_many(pool, 1, [0], into) == b"\1"
        assert into == old
        with pytest.raises(StoreFullError):
            await store.put_many(pool, 1, [0], incompressible(0))
        assert await store.get_many(pool, 1, [0], into) == b"\0"

    run(main())


@pytest.mark.parametrize("size", [0, PAGE_SIZE - 1, PAGE_SIZE + 1, 2 * PAGE_SIZE])
def test_a_payload_of_another_size_is_refused(size: int) -> None:
    async def main() -> None:
        store = make_store()
        pool = store.create_pool(PoolKind.PERSISTENT)
        with pytest.raises(BadHandleError, match=f"{size} bytes for 1 pages"):
            await store.put_many(pool, 1, [0], bytes(size))

    run(main())


def test_a_buffer_that_is_too_small_or_not_writable_is_refused() -> None:
    async def main() -> None:
        store = make_store()
        pool = store.create_pool(PoolKind.PERSISTENT)
        for into in (bytearray(PAGE_SIZE - 1), memoryview(bytes(PAGE_SIZE))):
            with pytest.raises(BadHandleError, match="for 1 pages"):
                await store.get_many(pool, 1, [0], into)

    run(main())


def test_a_page_that_is_away_is_a_loss_without_peers() -> None:
    async def main() -> None:
        store = make_store()
        pool = store.create_pool(PoolKind.PERSISTENT)
        await store.put_many(pool, 1, [3], make_page(3))
        ticket = store.cache.begin_spill(PAGE_SIZE)
        assert ticket is not None
        store.cache.finish_spill(ticket, 77)
        with pytest.raises(PageLostError) as error:
            await store.get_many(pool, 1, [2, 3], bytearray(2 * PAGE_SIZE))
        assert error.value.indexes == [3]

    run(main())


def test_a_closed_store_refuses_everything() -> None:
    async def main() -> None:
        store = make_store(frames=4, put_wait_s=60.0)
        pool = store.create_pool(PoolKind.PERSISTENT)
        for i in range(4):
            await store.put_many(pool, 1, [i], incompressible(i))
        waiting = asyncio.create_task(store.put_many(pool, 1, [9], incompressible(9)))
        await asyncio.sleep(0)
        store.close()
        with pytest.raises(StoreClosedError):
            await waiting
        with pytest.raises(StoreClosedError):
            await store.get_many(pool, 1, [0], bytearray(PAGE_SIZE))
        with pytest.raises(StoreClosedError):
            store.create_pool(PoolKind.PERSISTENT)

    run(main())


def test_a_put_without_room_or_time_is_tried_once_and_says_how_far_it_came() -> None:
    async def main() -> None:
        store = make_store(frames=8)
        pool = store.create_pool(PoolKind.PERSISTENT)
        payload = b"".join(incompressible(i) for i in range(12))
        with pytest.raises(StoreFullError, match="no room for 4 of 12 pages"):
            await store.put_many(pool, 1, range(12), payload)
        assert store.cache.stats().puts_refused_full == 1
        into = bytearray(len(payload))
        assert await store.get_many(pool, 1, range(12), into) == b"\1" * 8 + b"\0" * 4
        assert into[: 8 * PAGE_SIZE] == payload[: 8 * PAGE_SIZE]

    run(main())
