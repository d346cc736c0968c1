"""Programs at a node: the Tmem service over a real store, through the client and bare gRPC."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import grpc
import pytest

from ramster.errors import (
    ConfigurationError,
    PageLostError,
    PeerRefusedError,
    PeerTimeoutError,
    PeerUnreachableError,
    StoreFullError,
)
from ramster.rpc import PeerServer, TmemClient, tmem_pools
from ramster.rpc.tmem_service import tmem_path
from ramster.store import LocalStore
from ramster.wire.v1 import tmem_pb2
from tests.support.grpc_peers import PATIENCE_S, lender, run, until
from zcache import (
    OBJECT_ID_INVALID,
    PAGE_SIZE,
    BadHandleError,
    Cache,
    CacheConfig,
    GetFree,
    NoSuchPoolError,
    PoolKind,
)

PAGES = [Random(number).randbytes(PAGE_SIZE // 2) + bytes(PAGE_SIZE // 2) for number in range(8)]


@asynccontextmanager
async def served(store: Any) -> AsyncIterator[str]:
    server = PeerServer(lender(), store)
    try:
        yield await server.start("127.0.0.1:0")
    finally:
        await server.stop(PATIENCE_S)


def with_client(
    work: Callable[[TmemClient], object], *, store: Any = None, **cache: Any
) -> LocalStore:
    """Run a synchronous program beside a node; returns the node's store."""
    store = store or LocalStore(Cache(CacheConfig(**({"pool_bytes_max": 4 * 2**20} | cache))))

    async def both() -> None:
        async with served(store) as address:

            def program() -> None:
                with TmemClient(address, deadline_s=PATIENCE_S) as client:
                    work(client)

            await asyncio.to_thread(program)

    run(both())
    return store  # type: ignore[no-any-return]


def test_pages_are_put_got_and_flushed() -> None:
    def work(client: TmemClient) -> None:
        pool = client.pool("notes", PoolKind.PERSISTENT)
        big, small = 2**192 - 2, 0
        pool.put(big, 2**64 - 1, PAGES[0])
        pool.put(small, 0, PAGES[1])
        assert pool.get(big, 2**64 - 1) == PAGES[0]
        assert pool.get(small, 0) == PAGES[1]
        assert pool.get(small, 1) is None
        pool.put(small, 0, PAGES[2])
        assert pool.get(small, 0) == PAGES[2]
        assert pool.flush(small, 0)
        assert not pool.flush(small, 0)
        assert pool.get(small, 0) is None
        assert pool.flush_object(big) == 1
        assert pool.destroy() == 0

    with_client(work)


def test_batches_of_any_size_are_cut_into_calls() -> None:
    def work(client: TmemClient) -> None:
        pool = client.pool("big", PoolKind.PERSISTENT)
        indexes = list(range(0, 6000, 10))
        payload = b"".join(PAGES[number % 8] for number in range(len(indexes)))
        pool.put_many(7, indexes, memoryview(payload))
        found = pool.get_many(7, [*indexes, 5, 15])
        assert found[-2:] == [None, None]
        assert b"".join(page or b"" for page in found) == payload
        assert pool.flush_range(7, 0, 1000) == 100
        assert pool.flush_many(7, range(6000)) == 500
        assert pool.get_many(7, []) == []

    with_client(work)


def test_absent_pages_leave_no_bytes_in_a_reply() -> None:
    """Never a zero page in place of an absent one."""

    def work(client: TmemClient) -> None:
        pool = client.pool("p", PoolKind.PERSISTENT)
        for index in (1, 3, 4):
            pool.put(1, index, PAGES[index])
        assert pool.get_many(1, [0, 1, 2, 3, 4, 5]) == [
            None,
            PAGES[1],
            None,
            PAGES[3],
            PAGES[4],
            None,
        ]

    with_client(work)


def test_what_a_get_frees_is_as_the_pool_or_the_call_says() -> None:
    def work(client: TmemClient) -> None:
        ephemeral = client.pool("e", PoolKind.EPHEMERAL)
        exclusive = client.pool("x", PoolKind.PERSISTENT, exclusive_gets=True)
        plain = client.pool("p", PoolKind.PERSISTENT)
        for pool, stays in ((ephemeral, False), (exclusive, False), (plain, True)):
            pool.put(1, 1, PAGES[1])
            assert pool.get(1, 1, free=GetFree.NEVER) == PAGES[1]
            assert pool.get(1, 1) == PAGES[1]
            assert (pool.get(1, 1) is not None) == stays
            pool.put(1, 1, PAGES[1])
            assert pool.get(1, 1, free=GetFree.ALWAYS) == PAGES[1]
            assert pool.get(1, 1) is None

    with_client(work)


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


def test_a_full_store_is_told_and_keep_old_is_kept() -> None:
    noise = [Random(number).randbytes(PAGE_SIZE) for number in range(64)]

    def work(client: TmemClient) -> None:
        pool = client.pool("p", PoolKind.PERSISTENT)
        pool.put(1, 0, bytes(PAGE_SIZE))
        with pytest.raises(StoreFullError, match="RESOURCE_EXHAUSTED"):
            pool.put_many(2, range(64), b"".join(noise))
        with pytest.raises(StoreFullError):
            pool.put(1, 0, noise[0], keep_old=True)
        assert pool.get(1, 0) == bytes(PAGE_SIZE)
        with pytest.raises(StoreFullError):
            pool.put(1, 0, noise[0])
        assert pool.get(1, 0) is None
        for index, page in enumerate(pool.get_many(2, range(64))):
            assert page in (None, noise[index])

    with_client(work, pool_bytes_max=16 * PAGE_SIZE)


def test_pages_that_do_not_compress_are_refused_where_so_configured() -> None:
    def work(client: TmemClient) -> None:
        pool = client.pool("p", PoolKind.PERSISTENT)
        with pytest.raises(PeerRefusedError, match="FAILED_PRECONDITION"):
            pool.put(1, 0, Random(1).randbytes(PAGE_SIZE))

    with_client(work, incompressible="refuse")


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


def test_handles_and_pages_of_wrong_sizes_are_refused_before_they_are_sent() -> None:
    def work(client: TmemClient) -> None:
        pool = client.pool("p", PoolKind.PERSISTENT)
        for object_id, index in ((OBJECT_ID_INVALID, 0), (-1, 0), (0, 2**64), (0, -1)):
            with pytest.raises(BadHandleError):
                pool.put(object_id, index, PAGES[0])
            with pytest.raises(BadHandleError):
                pool.get(object_id, index)
        with pytest.raises(BadHandleError, match="4096"):
            pool.put(0, 0, b"short")
        with pytest.raises(BadHandleError, match="printable"):
            client.pool("", PoolKind.PERSISTENT)

    with_client(work)


OBJECT = (1).to_bytes(24, "big")


@pytest.mark.parametrize(
    ("method", "request_", "named"),
    [
        ("CreatePool", tmem_pb2.CreatePoolRequest(), "pool.name: ''"),
        (
            "CreatePool",
            tmem_pb2.CreatePoolRequest(pool=tmem_pb2.TmemPool(name="x")),
            "pool.kind: 0, accepted is KIND_EPHEMERAL or KIND_PERSISTENT",
        ),
        ("Put", tmem_pb2.PutRequest(object_id=b"short"), "object_id: 5 bytes, accepted is 24"),
        (
            "Put",
            tmem_pb2.PutRequest(object_id=OBJECT, indexes=[1], payload=b"x"),
            "payload: 1 bytes, accepted is 4096 for each of 1",
        ),
        (
            "Put",
            tmem_pb2.PutRequest(object_id=b"\xff" * 24, indexes=[1], payload=bytes(4096)),
            "object id",
        ),
        (
            "Get",
            tmem_pb2.GetRequest(object_id=OBJECT, indexes=range(257)),
            "indexes: 257, accepted is at most 256",
        ),
        ("Get", tmem_pb2.GetRequest(object_id=OBJECT, indexes=[4, 4]), "each once"),
        ("Get", tmem_pb2.GetRequest(object_id=OBJECT, indexes=[4], free=9), "free: 9"),
        ("FlushPages", tmem_pb2.FlushPagesRequest(object_id=OBJECT, indexes=range(4097)), "4096"),
        ("FlushRange", tmem_pb2.FlushRangeRequest(object_id=OBJECT, start=3, stop=2), "start: 3"),
        ("FlushObject", tmem_pb2.FlushObjectRequest(), "object_id: 0 bytes"),
    ],
)
def test_each_bad_field_is_named_to_programs_of_any_language(
    method: str, request_: Any, named: str
) -> None:
    def work(client: TmemClient) -> None:
        if "pool_id" in request_.DESCRIPTOR.fields_by_name:
            request_.pool_id = client.pool("p", PoolKind.PERSISTENT).pool_id
        with grpc.insecure_channel(client._address) as channel:
            call = channel.unary_unary(tmem_path(method))
            with pytest.raises(grpc.RpcError) as raised:
                call(request_.SerializeToString(), timeout=PATIENCE_S)
            assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT  # type: ignore[attr-defined]
            assert named in raised.value.details()  # type: ignore[attr-defined]
            with pytest.raises(grpc.RpcError) as raised:
                call(b"\xff\xff", timeout=PATIENCE_S)
            assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT  # type: ignore[attr-defined]

    with_client(work)


class _Troubled(LocalStore):
    """A store whose operations end as they are told to; the rest is real."""

    def __init__(self) -> None:
        super().__init__(Cache(CacheConfig(pool_bytes_max=2**20)))
        self.trouble: Exception | None = None
        self.waiting = asyncio.Event()

    async def get_many(self, *arguments: Any, **options: Any) -> bytes:
        if self.trouble is None:
            self.waiting.set()
            await asyncio.Event().wait()
        assert self.trouble is not None
        raise self.trouble


def test_lost_pages_and_bugs_are_told_apart() -> None:
    store = _Troubled()

    def work(client: TmemClient) -> None:
        pool = client.pool("p", PoolKind.PERSISTENT)
        store.trouble = PageLostError([4], "its lender died")
        with pytest.raises(PageLostError, match="its lender died") as raised:
            pool.get(1, 4)
        assert raised.value.indexes == [4]
        store.trouble = ZeroDivisionError("secret")
        with pytest.raises(Exception, match="failed inside with ZeroDivisionError") as bug:
            pool.get(1, 4)
        assert "secret" not in str(bug.value)

    with_client(work, store=store)


def test_a_call_ends_at_its_deadline_and_stopping_ends_it_after_the_grace() -> None:
    async def both() -> None:
        store = _Troubled()
        server = PeerServer(lender(), store)
        address = await server.start("127.0.0.1:0")

        def late() -> None:
            with TmemClient(address, deadline_s=0.05) as client:
                pool = client.pool("p", PoolKind.PERSISTENT)
                with pytest.raises(PeerTimeoutError):
                    pool.get(1, 1)

        def stopped() -> None:
            with TmemClient(address, deadline_s=PATIENCE_S) as client:
                pool = client.pool("p", PoolKind.PERSISTENT)
                with pytest.raises(PeerUnreachableError):
                    pool.get(1, 1)

        await asyncio.to_thread(late)
        store.waiting.clear()
        program = asyncio.create_task(asyncio.to_thread(stopped))
        await until(store.waiting.is_set)
        await asyncio.wait_for(server.stop(0.05), PATIENCE_S)
        await program

    run(both())


def test_a_closed_store_and_a_node_without_one_are_told() -> None:
    store = LocalStore(Cache(CacheConfig(pool_bytes_max=2**20)))

    def closed(client: TmemClient) -> None:
        pool = client.pool("p", PoolKind.PERSISTENT)
        store.close()
        with pytest.raises(PeerUnreachableError, match="closed"):
            pool.get(1, 1)

    with_client(closed, store=store)

    async def without() -> None:
        async with served(None) as address:

            def program() -> None:
                with TmemClient(address) as client, pytest.raises(PeerRefusedError):
                    client.pools()

            await asyncio.to_thread(program)

    run(without())


def test_nobody_there_and_no_address_are_told() -> None:
    client = TmemClient("127.0.0.1:1", deadline_s=PATIENCE_S)
    with client, pytest.raises(PeerUnreachableError, match=r"127\.0\.0\.1:1"):
        client.pools()
    with pytest.raises(ConfigurationError, match="HOST:PORT"):
        TmemClient("no address")


def test_the_example_does_what_it_says() -> None:
    example = Path(__file__).resolve().parents[3] / "examples" / "tmem_client.py"

    async def both() -> None:
        async with served(LocalStore(Cache(CacheConfig(pool_bytes_max=4 * 2**20)))) as address:
            program = await asyncio.create_subprocess_exec(
                sys.executable,
                str(example),
                address,
                stdout=asyncio.subprocess.PIPE,
                env=os.environ | {"PYTHONPATH": str(example.parents[1])},
            )
            output, _ = await program.communicate()
            assert program.returncode == 0
            assert b"500 pages flushed, 500 destroyed" in output

    run(both())
