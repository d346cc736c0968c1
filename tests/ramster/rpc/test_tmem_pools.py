"""The pools of programs: names, ids, owners."""

from __future__ import annotations

import asyncio

import pytest

from ramster.errors import (
    PeerRefusedError,
    StoreFullError,
)
from ramster.rpc import TmemClient, tmem_pools
from ramster.store import LocalStore
from tests.support.grpc_peers import run
from tests.support.tmem_programs import PAGES, served, with_client
from zcache import (
    Cache,
    CacheConfig,
    NoSuchPoolError,
    PoolKind,
)


def test_a_pool_outlives_its_program_and_is_found_by_name() -> None:
    async def both() -> None:
        store = LocalStore(Cache(CacheConfig(pool_bytes_max=2**20)))

        def first(address: str) -> int:
            with TmemClient(address) as client:
                pool = client.pool("kept", PoolKind.PERSISTENT)
                pool.put(1, 1, PAGES[1])
                return pool.pool_id

        def second(address: str, pool_id: int) -> None:
            with TmemClient(address) as client:
                assert [pool.name for pool in client.pools()] == ["kept"]
                pool = client.pool("kept", PoolKind.PERSISTENT)
                assert pool.pool_id == pool_id
                assert pool.get(1, 1) == PAGES[1]
                with pytest.raises(PeerRefusedError, match="'kept' exists: persistent"):
                    client.pool("kept", PoolKind.EPHEMERAL)
                with pytest.raises(PeerRefusedError, match="exclusive_gets false"):
                    client.pool("kept", PoolKind.PERSISTENT, exclusive_gets=True)
                with pytest.raises(PeerRefusedError, match="codec as configured"):
                    client.pool("kept", PoolKind.PERSISTENT, codec="zstd")
                assert client.pools()[0].destroy() == 1
                assert client.pools() == []

        async with served(store) as address:
            pool_id = await asyncio.to_thread(first, address)
            await asyncio.to_thread(second, address, pool_id)

    run(both())


def test_programs_reach_no_pool_but_their_own() -> None:
    store = LocalStore(Cache(CacheConfig(pool_bytes_max=2**20, foreign_bytes_max=2**19)))
    export = store.create_pool(PoolKind.PERSISTENT)
    foreign = store.cache.create_pool(PoolKind.PERSISTENT, foreign=True)
    store.cache.put(export, 1, 1, PAGES[1])

    def work(client: TmemClient) -> None:
        own = client.pool("own", PoolKind.PERSISTENT)
        for number in (export, foreign, own.pool_id ^ 1, 0, 2**64 - 1):
            stranger = type(own)(client, "guess", PoolKind.PERSISTENT, False, number)
            for call in (
                lambda pool=stranger: pool.get(1, 1),
                lambda pool=stranger: pool.put(1, 1, PAGES[2]),
                lambda pool=stranger: pool.flush(1, 1),
                lambda pool=stranger: pool.flush_range(1, 0, 9),
                lambda pool=stranger: pool.flush_object(1),
                lambda pool=stranger: pool.destroy(),
            ):
                with pytest.raises(NoSuchPoolError):
                    call()
        assert [pool.name for pool in client.pools()] == ["own"]

    with_client(work, store=store)
    assert store.cache.get(export, 1, 1) == PAGES[1]


def test_an_id_of_a_destroyed_pool_never_names_its_successor() -> None:
    def work(client: TmemClient) -> None:
        old = client.pool("same", PoolKind.PERSISTENT)
        old.put(1, 1, PAGES[1])
        old.destroy()
        new = client.pool("same", PoolKind.PERSISTENT)
        assert new.get(1, 1) is None
        with pytest.raises(NoSuchPoolError):
            old.put(1, 1, PAGES[2])
        assert new.get(1, 1) is None

    with_client(work)


def test_the_number_of_pools_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tmem_pools, "POOLS_MAX", 3)

    def work(client: TmemClient) -> None:
        for name in "abc":
            client.pool(name, PoolKind.EPHEMERAL)
        client.pool("a", PoolKind.EPHEMERAL)
        with pytest.raises(StoreFullError, match="pool ids are taken"):
            client.pool("d", PoolKind.EPHEMERAL)
        client.pool("a", PoolKind.EPHEMERAL).destroy()
        client.pool("d", PoolKind.EPHEMERAL)

    store = with_client(work)
    assert store.cache.stats().pools == 3
