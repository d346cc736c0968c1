"""Programs beside a node, for tests of the Tmem API."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import Any

from ramster.rpc import PeerServer, TmemClient
from ramster.store import LocalStore
from tests.support.grpc_peers import PATIENCE_S, lender, run
from zcache import (
    PAGE_SIZE,
    Cache,
    CacheConfig,
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
