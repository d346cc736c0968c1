"""Plain memory with the interface of a page store."""

from __future__ import annotations

import asyncio
from collections import OrderedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ramster.bench.plain_store import PlainStore
from ramster.errors import StoreFullError
from zcache import PAGE_SIZE, BadHandleError, GetFree, NoSuchPoolError, PoolKind

PAGES = [bytes([n]) * PAGE_SIZE for n in range(256)]


def test_a_budget_below_one_page_is_refused() -> None:
    with pytest.raises(BadHandleError, match="accepted is 4096 or more"):
        PlainStore(4095)


def test_a_full_store_refuses_new_persistent_pages_and_takes_old_ones_anew() -> None:
    async def run() -> None:
        store = PlainStore(2 * PAGE_SIZE)
        pool = store.create_pool(PoolKind.PERSISTENT)
        with pytest.raises(StoreFullError, match="no room for 1 of 3 pages"):
            await store.put_many(pool, 1, range(3), b"".join(PAGES[:3]))
        await store.put_many(pool, 1, [1], PAGES[9])
        into = bytearray(3 * PAGE_SIZE)
        assert await store.get_many(pool, 1, range(3), into) == b"\1\1\0"
        assert bytes(into) == PAGES[0] + PAGES[9] + PAGES[0]
        assert await store.flush(pool, 1, 0)
        await store.put_many(pool, 1, [2], PAGES[2])
        figures = store.figures()
        assert (figures["pages"]["own"], figures["cache"]["puts_refused_full"]) == (2, 1)

    asyncio.run(run())


def test_extents_show_what_is_stored() -> None:
    async def run() -> None:
        store = PlainStore(8 * PAGE_SIZE)
        pool = store.create_pool(PoolKind.PERSISTENT)
        await store.put_many(pool, 1, [2, 3, 5], b"".join(PAGES[:3]))
        assert store.extents(pool, 1, 0, 7) == [
            (0, 2, False),
            (2, 2, True),
            (4, 1, False),
            (5, 1, True),
            (6, 1, False),
        ]
        assert store.extents(pool, 2, 0, 7) == [(0, 7, False)]

    asyncio.run(run())


def test_gets_free_pages_where_the_pool_says_so() -> None:
    async def run() -> None:
        store = PlainStore(8 * PAGE_SIZE)
        kept = store.create_pool(PoolKind.PERSISTENT)
        taken = store.create_pool(PoolKind.PERSISTENT, exclusive_gets=True)
        vanishing = store.create_pool(PoolKind.EPHEMERAL)
        into = bytearray(PAGE_SIZE)
        for pool, left in ((kept, b"\1"), (taken, b"\0"), (vanishing, b"\0")):
            await store.put_many(pool, 1, [0], PAGES[1])
            await store.get_many(pool, 1, [0], into, free=GetFree.NEVER)
            assert await store.get_many(pool, 1, [0], into) == b"\1"
            assert await store.get_many(pool, 1, [0], into) == left

    asyncio.run(run())


def test_a_pool_that_is_gone_is_refused_and_its_room_is_free() -> None:
    async def run() -> None:
        store = PlainStore(PAGE_SIZE)
        pool = store.create_pool(PoolKind.PERSISTENT)
        await store.put_many(pool, 1, [0], PAGES[1])
        assert await store.destroy_pool(pool) == 1
        with pytest.raises(NoSuchPoolError):
            await store.put_many(pool, 1, [0], PAGES[1])
        assert store.pages == 0

    asyncio.run(run())


STEP = st.tuples(st.sampled_from(["put", "get", "flush"]), st.integers(0, 2), st.integers(0, 5))


@given(st.lists(STEP, max_size=60))
def test_ephemeral_pages_leave_in_the_order_of_their_last_use(
    steps: list[tuple[str, int, int]],
) -> None:
    async def run() -> None:
        store = PlainStore(4 * PAGE_SIZE)
        pool = store.create_pool(PoolKind.EPHEMERAL)
        model: OrderedDict[tuple[int, int], bytes] = OrderedDict()
        for number, (what, object_id, index) in enumerate(steps):
            place = (object_id, index)
            if what == "put":
                page = PAGES[number % 256]
                await store.put_many(pool, object_id, [index], page)
                model[place] = page
                model.move_to_end(place)
                if len(model) > 4:
                    model.popitem(last=False)
            elif what == "get":
                into = bytearray(PAGE_SIZE)
                present = await store.get_many(pool, object_id, [index], into, free=GetFree.NEVER)
                assert present[0] == (place in model)
                if place in model:
                    assert bytes(into) == model[place]
                    model.move_to_end(place)
            else:
                assert await store.flush(pool, object_id, index) == (place in model)
                model.pop(place, None)
            assert store.pages == len(model)

    asyncio.run(run())
