"""The page store with peers: puts that wait, gets that fetch, and the same answers as without."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

import pytest

from ramster.errors import ConfigurationError, StoreClosedError, StoreFullError
from ramster.store import LocalStore, PageStore
from tests.support.fake_cluster import MIB, FakeCluster, Node, fill, make_page
from tests.support.fake_network import FakeNetwork
from tests.support.virtual_time import run, until
from zcache import (
    PAGE_SIZE,
    BadHandleError,
    Cache,
    CacheConfig,
    CorruptPageError,
    GetFree,
    NoSuchPoolError,
    PoolKind,
)
from zcache.cache import Cache as PythonCache


def pair(**knobs: Any) -> FakeCluster:
    return FakeCluster(only_b={"pool_bytes": 4 * MIB}, **knobs)


def test_more_than_the_pool_holds_is_stored_and_read_back() -> None:
    """Checklist 48, 49: local first, elsewhere when full, and the same bytes from there."""

    async def main() -> None:
        async with pair() as cluster:
            a = cluster["a"]
            pool = a.pool()
            await fill(a, pool, 1200)
            stats = a.cache.stats()
            assert stats.frames_used <= stats.frames_max
            for index in range(1200):
                assert await a.get(pool, index) == make_page(index)
            assert a.counters.local_hits + a.counters.remote_hits == 1200
            assert a.counters.puts_refused == 0

    run(main())


def test_a_put_at_the_limit_waits_for_a_spill() -> None:
    async def main() -> None:
        async with pair() as cluster:
            a, loop = cluster["a"], asyncio.get_running_loop()
            cluster.network.delay_s = (0.5, 0.5)
            pool = a.pool()
            began = loop.time()
            await fill(a, pool, 700)
            assert a.counters.puts_waited > 0
            assert loop.time() - began >= 1.0
            assert a.away > 0

    run(main())


def test_a_put_waits_no_longer_than_configured() -> None:
    async def main() -> None:
        async with pair(put_wait_s=2.0, call_deadline_s=60.0) as cluster:
            a, loop = cluster["a"], asyncio.get_running_loop()
            pool = a.pool()

            def stall(source: str, to: str, call: str, message: Any) -> Any:
                return None if call == "spill" else message

            cluster.network.tamper_request = stall
            with pytest.raises(StoreFullError, match="within 2 s"):
                await fill(a, pool, 700)
            full_at = loop.time()
            with pytest.raises(StoreFullError):
                await a.put(pool, 9999, make_page(9999))
            assert loop.time() - full_at == pytest.approx(2.0)

    run(main())


def test_without_a_lender_that_has_room_a_put_waits_for_its_word_only() -> None:
    async def main() -> None:
        async with FakeCluster(only_b={"lend_bytes": 0}, put_wait_s=60.0) as cluster:
            a, loop = cluster["a"], asyncio.get_running_loop()
            pool, began = a.pool(), loop.time()
            with pytest.raises(StoreFullError, match="no peer that answers has room"):
                await fill(a, pool, 700)
            assert loop.time() - began < 0.1
            assert a.away == 0

    run(main())


async def fill_up(node: Node, pool: int) -> list[int]:
    """Put pages until one is refused; the indexes of those that are away."""
    with pytest.raises(StoreFullError):
        await fill(node, pool, 2000)
    return list(node.cache.peek_away(pool, 1, range(2000)).positions)


def test_room_that_a_writer_gave_up_at_lenders_is_there_for_its_next_put() -> None:
    """No heartbeat tells of it by itself for long."""

    async def main() -> None:
        async with FakeCluster(
            heartbeat_interval_s=60.0, suspect_after_s=60.0, dead_after_s=60.0
        ) as cluster:
            a, loop = cluster["a"], asyncio.get_running_loop()
            pool = a.pool()
            away = await fill_up(a, pool)
            assert len(away) > 100
            for index in away:
                await a.store.flush(pool, 1, index)
            began = loop.time()
            await fill(a, pool, len(away) // 2, first=2000)
            assert loop.time() - began < 1.0
            await until(cluster.accounts_agree)
            cluster.verify()

    run(main())


def test_room_that_a_lender_gained_since_its_last_word_is_used() -> None:
    async def main() -> None:
        async with FakeCluster(
            heartbeat_interval_s=60.0,
            suspect_after_s=60.0,
            dead_after_s=60.0,
            only_a={"lend_bytes": 0},
        ) as cluster:
            a, b = cluster["a"], cluster["b"]
            pool, other = a.pool(), b.pool()
            await fill(b, other, 450)
            with pytest.raises(StoreFullError):
                await fill(a, pool, 2000)
            await b.store.flush_object(other, 1)
            assert b.cache.foreign_room_bytes() > MIB // 4
            await fill(a, pool, 50, first=2000)
            assert a.away > 0

    run(main())


def test_a_target_that_is_not_there_is_named() -> None:
    async def main() -> None:
        cluster = FakeCluster("a b", spill_target="c", dead_after_s=3.0)
        async with cluster:
            with pytest.raises(StoreFullError, match="the spill target c does not answer"):
                await fill(cluster["a"], cluster["a"].pool(), 700)

    run(main())


def test_when_nothing_can_leave_a_put_does_not_wait() -> None:
    """All room is taken by pages of another node: they are not this node's to spill."""

    async def main() -> None:
        async with FakeCluster(
            "a b", put_wait_s=60.0, only_a={"cache_knobs": {"high_watermark": 1.0}}
        ) as cluster:
            a, loop = cluster["a"], asyncio.get_running_loop()
            pool, began = a.pool(PoolKind.EPHEMERAL), loop.time()
            persistent = a.pool()
            foreign = a.cache.create_pool(PoolKind.PERSISTENT, foreign=True)
            ticket_source = Cache(CacheConfig(pool_bytes_max=8 * MIB))
            source_pool = ticket_source.create_pool(PoolKind.PERSISTENT)
            payload = Random(3).randbytes(256 * PAGE_SIZE)
            ticket_source.put_many(source_pool, 1, range(256), payload)
            ticket = ticket_source.begin_spill(MIB)
            assert ticket is not None
            a.cache.reconfigure(foreign_bytes_max=MIB)
            a.cache.adopt(foreign, 0, ticket.blobs)
            assert a.cache.excess_bytes(0.98) > 0
            with pytest.raises(StoreFullError, match="no page is left"):
                await a.put(persistent, 0, Random(4).randbytes(PAGE_SIZE))
            assert loop.time() - began < 1.0
            a.cache.destroy_pool(pool)

    run(main())


def test_a_put_waits_for_peers_that_are_just_being_found() -> None:
    async def main() -> None:
        cluster = pair()
        cluster.network.delay_s = (0.2, 0.3)
        for node in cluster.nodes.values():
            await node.start()
        a = cluster["a"]
        pool = a.pool()
        await fill(a, pool, 700)
        assert a.away > 0
        for node in cluster.nodes.values():
            await node.stop()

    run(main())


def test_writers_at_the_limit_are_served_in_their_order() -> None:
    async def main() -> None:
        async with pair() as cluster:
            a = cluster["a"]
            cluster.network.delay_s = (0.05, 0.05)
            pool, done = a.pool(), list[int]()
            incompressible = Random(1)

            async def writer(index: int) -> None:
                await a.put(pool, index, incompressible.randbytes(PAGE_SIZE))
                done.append(index)

            await asyncio.gather(*(writer(index) for index in range(400)))
            assert done == sorted(done)
            assert a.counters.puts_waited > 0

    run(main())


def test_a_flush_lets_a_waiting_writer_in() -> None:
    async def main() -> None:
        async with pair(put_wait_s=10.0, call_deadline_s=60.0) as cluster:
            a, loop = cluster["a"], asyncio.get_running_loop()
            cluster.network.tamper_request = lambda source, to, call, message: (
                None if call == "spill" else message
            )
            pool = a.pool()
            count = 0
            while a.cache.stats().frames_used < a.cache.stats().frames_max:
                await a.put(pool, count, Random(count).randbytes(PAGE_SIZE))
                count += 1
            late = asyncio.create_task(a.put(pool, 999, Random(9).randbytes(PAGE_SIZE)))
            await asyncio.sleep(1)
            assert not late.done()
            began = loop.time()
            # Of pages in transit too, whose blobs stay until the ticket ends.
            await a.store.flush_object(pool, 1)
            await late
            assert loop.time() == began

    run(main())


def test_ephemeral_pages_are_dropped_before_a_put_waits() -> None:
    async def main() -> None:
        async with pair() as cluster:
            a, loop = cluster["a"], asyncio.get_running_loop()
            await fill(a, a.pool(PoolKind.EPHEMERAL), 600)
            began = loop.time()
            await fill(a, a.pool(), 300)
            assert loop.time() == began
            assert a.counters.puts_waited == 0

    run(main())


def test_flushing_and_destroying_reach_pages_elsewhere() -> None:
    """Checklist 50, 65: the copies go, and the lender's count returns to 0."""

    async def main() -> None:
        async with pair() as cluster:
            a, b = cluster["a"], cluster["b"]
            pool, other = a.pool(), a.pool()
            await fill(a, pool, 600)
            await fill(a, other, 300)
            await until(cluster.accounts_agree)
            index = a.cache.peek_away(pool, 1, range(600)).positions[0]
            assert await a.store.flush(pool, 1, index)
            assert not await a.store.flush(pool, 1, index)
            assert await a.get(pool, index) is None
            assert index < 100
            assert await a.store.flush_range(pool, 1, 0, 100) == 99
            assert a.store.extents(pool, 1, 90, 110) == [(90, 10, False), (100, 10, True)]
            await until(cluster.accounts_agree)
            assert await a.store.destroy_pool(pool) > 0
            assert await a.store.destroy_pool(other) == 300
            await until(lambda: b.foreign == 0, within_s=2)
            cluster.verify()

    run(main())


def test_a_page_that_is_corrupt_at_home_is_an_error() -> None:
    async def main() -> None:
        async with pair(make_cache=PythonCache) as cluster:
            a = cluster["a"]
            assert isinstance(a.cache, PythonCache)
            pool = a.pool()
            await a.put(pool, 0, make_page(0))
            await a.put(pool, 1, make_page(1))
            entries = a.cache._entries
            entries.table.checksums[entries.find(entries.index.pool(pool), 1, 0)] ^= 1
            with pytest.raises(CorruptPageError, match="page 0"):
                await a.get(pool, 0)
            assert await a.get(pool, 1) == make_page(1)

    run(main())


def test_wrong_sizes_and_unknown_pools_are_refused() -> None:
    async def main() -> None:
        async with pair() as cluster:
            store = cluster["a"].store
            pool = store.create_pool(PoolKind.PERSISTENT)
            with pytest.raises(BadHandleError):
                await store.put_many(pool, 1, [0], b"short")
            with pytest.raises(BadHandleError):
                await store.get_many(pool, 1, [0, 1], bytearray(PAGE_SIZE))
            with pytest.raises(NoSuchPoolError):
                await store.put_many(77, 1, [0], bytes(PAGE_SIZE))

    run(main())


def test_a_stopped_store_refuses_and_sends_waiting_writers_away() -> None:
    async def main() -> None:
        async with pair(put_wait_s=60.0, call_deadline_s=60.0) as cluster:
            a = cluster["a"]
            cluster.network.tamper_request = lambda source, to, call, message: (
                None if call == "spill" else message
            )
            pool = a.pool()
            writer = asyncio.create_task(fill(a, pool, 700))
            await until(lambda: a.cluster.snapshot().writers_waiting > 0)
            await a.stop()
            with pytest.raises(StoreClosedError):
                await writer
            with pytest.raises(StoreClosedError):
                await a.store.get_many(pool, 1, [0], bytearray(PAGE_SIZE))
            with pytest.raises(StoreClosedError):
                a.store.extents(pool, 1, 0, 1)

    run(main())


async def exercise(store: PageStore, seed: int) -> list[object]:
    """Operations that fit a small pool, and all that was answered."""
    random, answers = Random(seed), list[object]()
    pools = [
        store.create_pool(PoolKind.PERSISTENT),
        store.create_pool(PoolKind.EPHEMERAL),
        store.create_pool(PoolKind.PERSISTENT, exclusive_gets=True),
    ]
    for _ in range(400):
        pool, first = random.choice(pools), random.randrange(20)
        indexes = [first + i for i in range(random.randrange(1, 5))]
        kind = random.randrange(6)
        if kind < 3:
            payload = b"".join(make_page(index, random.randrange(9)) for index in indexes)
            await store.put_many(pool, 1, indexes, payload)
        elif kind < 5:
            into = bytearray(len(indexes) * PAGE_SIZE)
            free = random.choice(list(GetFree))
            answers.append(await store.get_many(pool, 1, indexes, into, free=free))
            answers.append(bytes(into))
        else:
            answers.append(await store.flush(pool, 1, first))
            answers.append(await store.flush_range(pool, 1, first, first + 2))
            answers.append(store.extents(pool, 1, 0, 30))
    answers.append(store.cache.stats().as_dict())
    return answers


@pytest.mark.parametrize("seed", range(5))
def test_without_peers_the_answers_are_those_of_the_local_store(seed: int) -> None:
    """Checklist 67: with nobody to spill to, a node behaves as zcache alone."""

    async def main() -> None:
        config = CacheConfig(pool_bytes_max=MIB)
        local = await exercise(LocalStore(Cache(config)), seed)
        async with FakeCluster("a") as cluster:
            assert await exercise(cluster["a"].store, seed) == local
            assert cluster.network.calls == []

    run(main())


def test_a_network_without_nodes_is_no_obstacle() -> None:
    """R10: a node starts, works and stops with none of its peers there."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        cluster = FakeCluster("a b c", put_wait_s=1.0)
        a = cluster["a"]
        await a.start()
        pool = a.pool()
        began = loop.time()
        await fill(a, pool, 300)
        assert loop.time() == began
        with pytest.raises(StoreFullError):
            await fill(a, pool, 400, first=300)
        await a.stop()
        assert loop.time() - began <= 1.0
        assert isinstance(cluster.network, FakeNetwork)

    run(main())


@pytest.mark.parametrize(("frames", "seed"), [(40, 29), (64, 3), (200, 1), (333, 8)])
def test_writers_crowding_a_tiny_pool_are_not_refused_while_a_lender_has_room(
    frames: int, seed: int
) -> None:
    """Pages of every size, so that the pool is full long before its bytes are: all of it is in
    tickets at times, and batches overtake each other.
    """

    async def main() -> None:
        small = {"pool_bytes": frames * PAGE_SIZE, "lend_bytes": 0}
        async with FakeCluster(seed=seed, only_a=small, only_b={"pool_bytes": 64 * MIB}) as cluster:
            a = cluster["a"]
            pool = a.pool()
            random = Random(seed)

            async def write() -> None:
                for _ in range(12):
                    indexes = [random.randrange(2000) for _ in range(32)]
                    sizes = [random.randrange(20, PAGE_SIZE) for _ in indexes]
                    pages = b"".join(random.randbytes(n) + bytes(PAGE_SIZE - n) for n in sizes)
                    await a.store.put_many(pool, 1, indexes, pages, keep_old=True)

            await asyncio.gather(*(write() for _ in range(8)))
            await until(cluster.accounts_agree)
            cluster.verify()

    run(main())


# -- a pool's own number of copies
# ------------------------------------------------------------------------------


def several(**knobs: Any) -> FakeCluster:
    common = {"pool_bytes": 4 * MIB, "repatriate_bytes_per_s": 0}
    return FakeCluster("a b c d", only_a={"pool_bytes": MIB}, **(common | knobs))


async def copies_of(node: Node, pool: int, count: int) -> set[int]:
    """Fill a pool until pages leave; how many copies those have."""
    await fill(node, pool, count)
    await until(lambda: node.places(pool, count) and idle(node))
    return {len(place.lenders) for place in node.places(pool, count).values()}


def idle(node: Node) -> bool:
    return bool(node.cluster.snapshot().spill_bytes_in_flight == 0)


@pytest.mark.parametrize(("replicas", "copies"), [(None, 2), (1, 1), (3, 3)])
def test_a_pool_may_ask_for_its_own_number_of_copies(replicas: int | None, copies: int) -> None:
    async def main() -> None:
        async with several(replicas=2) as cluster:
            a = cluster["a"]
            pool = a.pool(replicas=replicas)
            assert await copies_of(a, pool, 600) == {copies}
            assert a.cluster.snapshot().pages_under_replicated == 0
            await until(cluster.accounts_agree)

    run(main())


@pytest.mark.parametrize("replicas", [0, -1, 9])
def test_an_impossible_number_of_copies_is_refused_and_makes_no_pool(replicas: int) -> None:
    async def main() -> None:
        async with several() as cluster:
            a = cluster["a"]
            before = a.cache.stats().as_dict()
            with pytest.raises(ConfigurationError, match="replicas") as error:
                a.pool(replicas=replicas)
            assert error.value.accepted == "1 to 8"
            assert a.cache.stats().as_dict() == before
            next_pool = a.pool()
            assert await copies_of(a, next_pool, 600) == {1}

    run(main())


@pytest.mark.parametrize("store", ["local", "cluster"])
def test_an_unknown_codec_is_refused_and_makes_no_pool(store: str) -> None:
    async def main() -> None:
        async with several() as cluster:
            a = cluster["a"]
            pages: PageStore = a.store if store == "cluster" else LocalStore(a.cache)
            before = a.cache.stats().as_dict()
            with pytest.raises(ConfigurationError, match="codec") as error:
                pages.create_pool(PoolKind.PERSISTENT, codec="lzo")
            assert error.value.accepted == "one of: lz4, zstd, none"
            assert a.cache.stats().as_dict() == before

    run(main())


@pytest.mark.parametrize("writeback_bytes", [0, 4 * MIB])
def test_pages_of_every_codec_leave_and_come_back(writeback_bytes: int) -> None:
    """To lenders, or to the write-back file where no lender has room."""

    async def main() -> None:
        lend = 0 if writeback_bytes else 4 * MIB
        async with FakeCluster(
            "a b",
            lend_bytes=lend,
            pool_bytes=4 * MIB,
            repatriate_bytes_per_s=0,
            only_a={"pool_bytes": MIB, "lend_bytes": 0, "writeback_bytes": writeback_bytes},
        ) as cluster:
            a, b = cluster["a"], cluster["b"]
            pools = {codec: a.pool(codec=codec) for codec in ("lz4", "zstd", "none")}
            for index in range(300):
                for pool in pools.values():
                    await a.put(pool, index, make_page(index))
            await until(lambda: idle(a))
            for codec, encoding in (("lz4", 1), ("zstd", 3), ("none", 0)):
                away = a.cache.peek_away(pools[codec], 1, range(300))
                assert len(away) > 50
                assert set(away.encodings) == {encoding}
            assert (b.foreign == 0) == (writeback_bytes > 0)
            await until(cluster.accounts_agree)
            for index in range(300):
                for pool in pools.values():
                    assert await a.get(pool, index) == make_page(index)
            cluster.verify()

    run(main())


def test_no_page_goes_to_a_lender_of_an_older_protocol(monkeypatch: pytest.MonkeyPatch) -> None:
    """Version 2 knows no frame of Zstandard; it is not asked to take any."""
    monkeypatch.setattr("ramster.foreign.PROTOCOL_VERSION", 2)

    async def main() -> None:
        cluster = FakeCluster("a b", pool_bytes=MIB, put_wait_s=0.1)
        a, b = cluster["a"], cluster["b"]
        for node in (a, b):
            await node.start()
        pool = a.pool(codec="zstd")
        with pytest.raises(StoreFullError):
            await fill(a, pool, 2000)
        await until(lambda: a.peer("b").state == "refused")
        assert "protocol version 3 offered: accepted is 2" in a.peer("b").reason
        assert (a.away, b.foreign, b.counters.messages_refused) == (0, 0, 0)
        assert b.counters.hellos_refused > 0
        for node in (a, b):
            await node.stop()
            node.cache.verify()

    run(main())


def test_the_next_pool_with_a_destroyed_ones_id_does_not_inherit_its_number() -> None:
    async def main() -> None:
        async with several() as cluster:
            a = cluster["a"]
            pool = a.pool(replicas=3)
            await a.store.destroy_pool(pool)
            assert a.pool() == pool
            assert await copies_of(a, pool, 600) == {1}

    run(main())


def test_a_number_for_an_ephemeral_pool_changes_nothing() -> None:
    async def main() -> None:
        async with several(spill_ephemeral=True) as cluster:
            a = cluster["a"]
            pool = a.pool(PoolKind.EPHEMERAL, replicas=3)
            assert await copies_of(a, pool, 480) == {1}

    run(main())


def test_a_writer_waits_for_guests_that_leave_and_no_longer_than_they_do() -> None:
    """Node b lends and has no one to spill to; it asks a for room when its own program writes."""

    async def main() -> None:
        async with FakeCluster(
            "a b c",
            pool_bytes=4 * MIB,
            only_a={"pool_bytes": MIB, "spill_target": "auto"},
            only_b={"pool_bytes": MIB, "spill_target": "none", "lend_bytes": MIB // 2},
            put_wait_s=10.0,
            repatriate_bytes_per_s=0,
        ) as cluster:
            a, b = cluster["a"], cluster["b"]
            pool, own = a.pool(), b.pool()
            a.cluster.set_spill_target("b")
            await fill(a, pool, 600)
            await until(cluster.accounts_agree)
            assert b.foreign > 50
            a.cluster.set_spill_target("auto")
            await fill(b, own, 400)
            assert b.counters.puts_refused == 0
            await until(lambda: a.counters.pages_evacuated > 0)
            with pytest.raises(StoreFullError, match="switched off"):
                await fill(b, own, 400, first=400)
            began = asyncio.get_running_loop().time()
            with pytest.raises(StoreFullError):
                await b.put(own, 999, Random(1).randbytes(PAGE_SIZE))
            assert asyncio.get_running_loop().time() - began <= 2.5
            for index in range(600):
                assert await a.get(pool, index) == make_page(index)

    run(main())
