"""What programs of any language are told by the Tmem service."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest

from ramster.errors import (
    PageLostError,
    PeerRefusedError,
    PeerTimeoutError,
    PeerUnreachableError,
)
from ramster.rpc import PeerServer, TmemClient
from ramster.rpc.tmem_service import tmem_path
from ramster.store import LocalStore
from ramster.wire.v1 import tmem_pb2
from tests.support.grpc_peers import PATIENCE_S, lender, run, until
from tests.support.tmem_programs import PAGES, served, with_client
from zcache import (
    Cache,
    CacheConfig,
    GetFree,
    PoolKind,
)


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
        (
            "CreatePool",
            tmem_pb2.CreatePoolRequest(pool={"name": "c", "kind": 2, "codec": "lzo"}),
            "pool.codec: 'lzo', accepted is one of: lz4, zstd, none",
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
