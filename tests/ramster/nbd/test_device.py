"""Bytes over pages: any alignment, several requests at a time, against a plain bytearray."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ramster.errors import StoreFullError
from ramster.nbd import device as device_module
from ramster.nbd.device import BlockDevice
from ramster.nbd.export import Export
from tests.ramster.nbd.serving import (
    GatedStore,
    assert_each_byte_was_written_by_one_of,
    make_store,
    run,
    until,
)
from zcache import PAGE_SIZE

PAGES = 12
SIZE = PAGES * PAGE_SIZE - 1000  # the last page is used in part


def make(size: int = SIZE, pool_bytes: int = 4 * 2**20) -> tuple[BlockDevice, GatedStore]:
    local, pool = make_store(pool_bytes)
    store = GatedStore(local)
    return BlockDevice(store, Export("disk", size, pool, 1)), store


async def content(device: BlockDevice, offset: int, length: int) -> bytes:
    buffer, at, _ = await device.read(offset, length, 28)
    assert at >= 28
    return bytes(buffer[at : at + length])


EDGES = st.sampled_from([0, 1, 511, 512, 4095, 4096, 4097, 8192, SIZE // 2, SIZE - 1])
OFFSETS = st.one_of(EDGES, st.integers(0, SIZE - 1))
LENGTHS = st.one_of(st.sampled_from([1, 512, 4096, 8192, SIZE]), st.integers(1, SIZE))
OPERATIONS = st.tuples(
    st.sampled_from(["write", "hole", "zero", "prefetch", "read"]),
    OFFSETS,
    LENGTHS,
    st.integers(1, 255),
)


async def apply(device: BlockDevice, kind: str, offset: int, length: int, fill: int) -> None:
    match kind:
        case "write":
            await device.write(offset, bytes([fill]) * length)
        case "hole" | "zero":
            await device.zero(offset, length, hole=kind == "hole")
        case "prefetch":
            await device.prefetch(offset, length)


@settings(deadline=None)
@given(st.lists(OPERATIONS, max_size=20))
def test_any_sequence_of_requests_equals_a_bytearray(
    steps: list[tuple[str, int, int, int]],
) -> None:
    async def scenario() -> None:
        device, store = make()
        model = bytearray(SIZE)
        for kind, offset, length, fill in steps:
            length = min(length, SIZE - offset)
            await apply(device, kind, offset, length, fill)
            if kind in ("write", "hole", "zero"):
                model[offset : offset + length] = (
                    bytes([fill]) * length if kind == "write" else bytes(length)
                )
            assert await content(device, offset, length) == model[offset : offset + length]
        assert await content(device, 0, SIZE) == model
        assert device.claims == 0
        total = sum(length for length, _ in await device.status(0, SIZE, one=False))
        assert total == SIZE
        store.cache.verify()

    run(scenario())


class ShuffledStore(GatedStore):
    """Lets other requests run before and after each operation, in an order that a seed decides."""

    def __init__(self, store: Any, seed: int) -> None:
        super().__init__(store)
        self._random = random.Random(seed)

    async def _pass(self, name: str) -> None:
        for _ in range(self._random.randrange(4)):
            await asyncio.sleep(0)


@settings(deadline=None)
@given(st.lists(OPERATIONS, min_size=2, max_size=10), st.integers(0, 2**32))
def test_requests_in_flight_together_leave_every_byte_as_one_of_them_wrote_it(
    steps: list[tuple[str, int, int, int]], seed: int
) -> None:
    """Every byte ends as the last write of *some* order: what one of the requests on it wrote."""

    async def scenario() -> None:
        local, pool = make_store(4 * 2**20)
        device = BlockDevice(ShuffledStore(local, seed), Export("disk", SIZE, pool, 1))
        changes: list[tuple[int, int, int]] = []
        work = []
        for kind, offset, length, fill in steps:
            length = min(length, SIZE - offset)
            work.append(apply(device, kind, offset, length, fill))
            if kind in ("write", "hole", "zero"):
                changes.append((offset, length, fill if kind == "write" else 0))
        await asyncio.gather(*work)
        assert_each_byte_was_written_by_one_of(await content(device, 0, SIZE), changes)
        assert device.claims == 0
        local.cache.verify()

    run(scenario())


def test_a_whole_page_write_during_a_read_modify_write_is_not_lost() -> None:
    async def scenario() -> None:
        device, store = make()
        await device.write(0, b"a" * 4096)
        store.gate.clear()
        part = asyncio.ensure_future(device.write(10, b"bb"))
        await until(lambda: store.waiting == ["get_many"])
        whole = asyncio.ensure_future(device.write(0, b"c" * 4096))
        trim = asyncio.ensure_future(device.zero(0, 8192, hole=True))
        await asyncio.sleep(0)
        assert store.waiting == ["get_many"]  # neither has reached the store
        store.gate.set()
        await part
        await whole
        await trim
        assert await content(device, 0, 4096) == bytes(4096)

    run(scenario())


def test_a_read_modify_write_waits_for_a_whole_page_write_under_way() -> None:
    async def scenario() -> None:
        device, store = make()
        await device.write(0, b"a" * 4096)
        store.gate.clear()
        whole = asyncio.ensure_future(device.write(0, b"c" * 4096))
        await until(lambda: store.waiting == ["put_many"])
        part = asyncio.ensure_future(device.write(10, b"bb"))
        await asyncio.sleep(0)
        assert store.waiting == ["put_many"]
        store.gate.set()
        await asyncio.gather(whole, part)
        assert await content(device, 0, 14) == b"c" * 10 + b"bb" + b"cc"

    run(scenario())


def test_whole_page_writes_to_the_same_pages_run_side_by_side() -> None:
    async def scenario() -> None:
        device, store = make()
        store.gate.clear()
        work = [asyncio.ensure_future(device.write(0, bytes([n]) * 8192)) for n in (1, 2)]
        await until(lambda: store.waiting == ["put_many", "put_many"])
        store.gate.set()
        await asyncio.gather(*work)

    run(scenario())


def test_a_cancelled_request_gives_its_pages_free() -> None:
    async def scenario() -> None:
        device, store = make()
        store.gate.clear()
        first = asyncio.ensure_future(device.write(1, b"x"))
        second = asyncio.ensure_future(device.write(2, b"y"))
        await until(lambda: store.waiting)
        first.cancel()
        store.gate.set()
        await second
        assert device.claims == 0
        assert await content(device, 0, 4) == b"\0\0y\0"

    run(scenario())


def test_a_refused_write_leaves_the_old_content_readable() -> None:
    async def scenario() -> None:
        noise = random.Random(4)
        device, store = make(size=2**20, pool_bytes=16 * PAGE_SIZE)
        old = (b"text that compresses well " * 400)[: 2 * PAGE_SIZE]  # two pages in one frame
        await device.write(0, old)
        with pytest.raises(StoreFullError):
            await device.write(2 * PAGE_SIZE, noise.randbytes(100 * PAGE_SIZE))
        for offset, payload in ((0, noise.randbytes(PAGE_SIZE)), (5, noise.randbytes(4000))):
            with pytest.raises(StoreFullError):
                await device.write(offset, payload)
            assert await content(device, 0, len(old)) == old
        assert device.claims == 0
        store.cache.verify()

    run(scenario())


def test_trimming_to_the_end_frees_the_last_partial_page() -> None:
    async def scenario() -> None:
        device, store = make()
        await device.write(0, b"x" * SIZE)
        assert store.cache.stats().pages_persistent == PAGES
        await device.zero(PAGE_SIZE + 1, SIZE - PAGE_SIZE - 1, hole=True)
        assert store.cache.stats().pages_persistent == 2

    run(scenario())


def test_trimming_absent_partial_pages_stores_nothing() -> None:
    async def scenario() -> None:
        device, store = make()
        await device.zero(100, 5000, hole=True)
        await device.zero(50, 10, hole=True)
        assert store.cache.stats().pages_persistent == 0

    run(scenario())


def test_prefetching_reads_the_stored_pages_and_only_those() -> None:
    async def scenario() -> None:
        device, store = make()
        await device.write(PAGE_SIZE, bytes(range(256)) * 32)
        before = store.cache.stats()
        await device.prefetch(0, SIZE)
        after = store.cache.stats()
        assert (after.gets - before.gets, after.get_misses) == (2, before.get_misses)

    run(scenario())


def test_status_starts_and_ends_where_it_was_asked_to() -> None:
    async def scenario() -> None:
        device, _ = make()
        await device.write(2 * PAGE_SIZE, b"x" * PAGE_SIZE)
        assert await device.status(100, 3 * PAGE_SIZE, one=False) == [
            (2 * PAGE_SIZE - 100, 3),
            (PAGE_SIZE, 0),
            (100, 3),
        ]
        assert await device.status(2 * PAGE_SIZE + 7, SIZE - 2 * PAGE_SIZE - 7, one=True) == [
            (PAGE_SIZE - 7, 0)
        ]

    run(scenario())


def test_status_joins_runs_over_slices_and_stops_at_its_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(device_module, "STATUS_SLICE_PAGES", 2)
    monkeypatch.setattr(device_module, "STATUS_EXTENTS_MAX", 3)

    async def scenario() -> None:
        device, _ = make()
        await device.write(0, b"x" * 5 * PAGE_SIZE)
        assert await device.status(0, SIZE, one=False) == [
            (5 * PAGE_SIZE, 0),
            (SIZE - 5 * PAGE_SIZE, 3),
        ]
        await device.zero(PAGE_SIZE, PAGE_SIZE, hole=True)
        await device.zero(3 * PAGE_SIZE, PAGE_SIZE, hole=True)
        page = PAGE_SIZE
        assert await device.status(0, SIZE, one=False) == [(page, 0), (page, 3), (page, 0)]
        assert await device.status(0, SIZE, one=True) == [(page, 0)]

    run(scenario())


def test_long_requests_let_others_run_in_between() -> None:
    async def scenario() -> None:
        device, _ = make(size=2**32)
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        counting = asyncio.ensure_future(count())
        for work in (
            device.zero(0, 2**32, hole=True),
            device.zero(0, 2**22, hole=False),
            device.status(0, 2**32, one=False),
            device.prefetch(0, 2**32),
        ):
            before = turns
            await work
            assert turns - before > 10
        counting.cancel()
        await asyncio.gather(counting, return_exceptions=True)

    run(scenario())
