"""Whole nodes over the real transport: nothing between them is simulated."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from random import Random

from ramster.clock import LoopClock
from ramster.cluster import Cluster
from ramster.cluster_config import ClusterConfig
from ramster.rpc import GrpcTransport, PeerServer
from tests.support.fake_cluster import MIB, make_page
from tests.support.grpc_peers import FAST, run, until
from zcache import PAGE_SIZE, Cache, CacheConfig, PoolKind


@asynccontextmanager
async def node(
    name: str, peers: tuple[str, ...] = (), *, pool_bytes: int = MIB
) -> AsyncIterator[tuple[Cluster, str]]:
    """One node and the address where it serves its peers."""
    async with AsyncExitStack() as parts:
        transport = GrpcTransport(settings=FAST)
        parts.push_async_callback(transport.close)
        cluster = Cluster(
            Cache(CacheConfig(pool_bytes_max=pool_bytes, foreign_bytes_max=pool_bytes // 2)),
            ClusterConfig(node=name, peers=peers, heartbeat_interval_s=0.05),
            transport,
            clock=LoopClock(),
            random=Random(name),
        )
        await cluster.start()
        parts.push_async_callback(cluster.stop)
        server = PeerServer(cluster.handler, cluster.store, settings=FAST)
        parts.push_async_callback(server.stop, 0)
        yield cluster, await server.start("127.0.0.1:0")


def test_a_node_keeps_three_times_what_fits_at_two_lenders_and_gets_every_page_back() -> None:
    async def work() -> None:
        async with (
            node("b", pool_bytes=4 * MIB) as (b, address_b),
            node("c", pool_bytes=4 * MIB) as (c, address_c),
            node("a", (address_b, address_c)) as (a, _),
        ):
            store, pages = a.store, 1400
            pool = store.create_pool(PoolKind.PERSISTENT)
            for index in range(pages):
                await store.put_many(pool, 1, [index], make_page(index))
            held = [lender.store.cache.stats().pages_foreign for lender in (b, c)]
            assert min(held) > 0
            assert sum(held) >= pages - 512  # about 500 compressed pages fit at home
            into = bytearray(32 * PAGE_SIZE)
            for first in range(0, pages - 31, 32):
                indexes = range(first, first + 32)
                assert await store.get_many(pool, 1, indexes, into) == b"\1" * 32
                assert into == b"".join(map(make_page, indexes))
            assert await store.flush_object(pool, 1) == pages
            caches = [lender.store.cache for lender in (b, c)]
            await until(lambda: [cache.stats().pages_foreign for cache in caches] == [0, 0])
            for cache in (*caches, store.cache):
                cache.verify()

    run(work())
