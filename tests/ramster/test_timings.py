"""What a node measures: durations and sizes of batches, where they happen."""

from __future__ import annotations

import asyncio

import pytest

from ramster.config import NodeConfig
from ramster.embed import EmbeddedNode
from ramster.errors import StoreFullError
from ramster.histograms import BatchHistogram
from ramster.nbd.protocol import Command
from ramster.store import LocalStore
from ramster.timings import NBD_KINDS, Timings
from tests.support.fake_cluster import MIB, FakeCluster, make_page
from tests.support.virtual_time import run, until
from zcache import PAGE_SIZE, BadHandleError, Cache, CacheConfig, PoolKind


def count(batches: BatchHistogram) -> int:
    return sum(batches.durations.counts)


def test_the_kinds_of_requests_are_those_of_the_protocol() -> None:
    named = {command.value: command.name.lower() for command in Command}
    assert named == {**NBD_KINDS, 2: "disc"}


def test_parts_that_do_not_run_have_no_figures() -> None:
    latency = Timings().latency(peers=False, nbd=False)
    assert {key for key, value in latency.items() if value is None} == {
        "get_remote",
        "fetch",
        "spill",
        "nbd",
    }
    assert Timings().batches(peers=False)["spill"] is None
    full = Timings().latency(peers=True, nbd=True)
    assert set(full["nbd"]) == set(NBD_KINDS.values())
    assert None not in full.values()


def test_a_lone_store_measures_batches_and_their_sizes() -> None:
    timings = Timings()
    store = LocalStore(Cache(CacheConfig(pool_bytes_max=MIB)), timings=timings)

    async def work() -> None:
        pool = store.create_pool(PoolKind.PERSISTENT)
        await store.put_many(pool, 1, range(4), b"".join(map(make_page, range(4))))
        await store.get_many(pool, 1, [0, 9], bytearray(2 * PAGE_SIZE))
        await store.get_many(pool, 1, [1], bytearray(PAGE_SIZE))

    asyncio.run(work())
    assert (count(timings.put), timings.put.sizes.sum) == (1, 4)
    assert (count(timings.get_local), timings.get_local.sizes.sum) == (2, 3)
    assert 0 < timings.put.durations.sum < 60
    assert count(timings.get_remote) == 0


def test_a_put_that_fails_for_want_of_room_is_measured_and_a_wrong_one_is_not() -> None:
    timings = Timings()
    store = LocalStore(Cache(CacheConfig(pool_bytes_max=4 * PAGE_SIZE)), timings=timings)

    async def work() -> None:
        pool = store.create_pool(PoolKind.PERSISTENT)
        with pytest.raises(BadHandleError):
            await store.put_many(pool, 1, [0], b"short")
        with pytest.raises(StoreFullError):
            await store.put_many(pool, 1, range(64), b"".join(map(make_page, range(64))))

    asyncio.run(work())
    assert count(timings.put) == 1


def test_gets_of_pages_that_are_away_are_told_from_those_that_are_here() -> None:
    async def work() -> None:
        async with FakeCluster(only_a={"pool_bytes": MIB // 2}, pool_bytes=4 * MIB) as cluster:
            a = cluster["a"]
            pool = a.pool()
            for index in range(300):
                await a.put(pool, index, make_page(index))
            await until(lambda: a.away > 0)
            away = set(a.places(pool, 300))
            here = next(index for index in range(299, 0, -1) if index not in away)
            timings = a.cluster.timings
            await a.get(pool, here)
            assert (count(timings.get_local), count(timings.get_remote)) == (1, 0)
            await a.get(pool, min(away))
            assert (count(timings.get_local), count(timings.get_remote)) == (1, 1)
            assert count(timings.put) == 300
            counters = a.counters
            assert count(timings.fetch) == counters.fetches > 0
            assert timings.fetch.sizes.sum >= counters.pages_fetched > 0
            assert count(timings.spill) >= counters.spills > 0
            assert timings.spill.sizes.sum >= counters.spill_pages > 0
            assert timings.spill.durations.sum > 0  # simulated seconds

    run(work())


def test_a_nodes_figures_have_them() -> None:
    with EmbeddedNode(NodeConfig(name="n", http=None)) as node:
        pool = node.create_pool(PoolKind.PERSISTENT)
        node.put(pool, 1, 0, make_page(0))
        node.get(pool, 1, 0)
        figures = node.figures()
    assert figures["latency"]["put"]["count"] == figures["batches"]["put"]["count"] == 1
    assert figures["latency"]["get_local"]["count"] == figures["batches"]["get_local"]["sum"] == 1
    assert figures["latency"]["fetch"] is figures["latency"]["nbd"] is None
