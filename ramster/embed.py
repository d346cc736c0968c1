"""A node inside a program that has no event loop: plain blocking calls.

Covers: a thread with the node's loop, and the page store's operations as functions. Does not cover:
programs with an event loop of their own (``ramster.Node`` runs on it).

Calls may come from any thread. Each waits for its answer; a cluster's own deadlines bound it.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Sequence
from concurrent.futures import CancelledError, Future
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from ramster.config import NodeConfig
from ramster.errors import StoreClosedError
from ramster.figures import Figures
from ramster.node import Node
from zcache import PAGE_SIZE, Buffer, GetFree, PoolKind

if TYPE_CHECKING:
    from ramster.drain import DrainReport

__all__ = ["EmbeddedNode"]

T = TypeVar("T")


class EmbeddedNode:
    """A node on a thread of its own.

    >>> with EmbeddedNode(NodeConfig(pool_limit=64 * 2**20, http=None)) as node:
    ...     pool = node.create_pool(PoolKind.PERSISTENT)
    ...     node.put(pool, 1, 0, bytes(4096))
    ...     page = node.get(pool, 1, 0)

    Starting raises as ``Node.start`` does. After ``close`` every call raises StoreClosedError.
    """

    def __init__(self, config: NodeConfig) -> None:
        self._lock = threading.Lock()
        """Held to hand work to the loop, and to say that there will be no more."""
        self._closed = False
        self._failure: BaseException | None = None
        started: Future[Node] = Future()
        self._thread = threading.Thread(
            target=self._run, args=(config, started), name=f"ramster-{config.name}", daemon=True
        )
        self._thread.start()
        try:
            self.node = started.result()
        except BaseException:
            self._thread.join()
            raise

    def _run(self, config: NodeConfig, started: Future[Node]) -> None:
        try:
            asyncio.run(self._serve(config, started))
        except BaseException as error:  # noqa: BLE001  raised again by close()
            self._failure = error

    async def _serve(self, config: NodeConfig, started: Future[Node]) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        node = Node(config)
        try:
            await node.start()
        except BaseException as error:  # noqa: BLE001  raised again where the node is made
            started.set_exception(error)
            return
        started.set_result(node)
        await self._stop.wait()
        await node.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop the node and its thread; pages are gone. Harmless when repeated."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        if self._failure is not None:
            raise self._failure

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        with self._lock:
            if self._closed:
                work.close()
                raise StoreClosedError("the node is closed")
            answer = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return answer.result()
        except CancelledError as error:
            raise StoreClosedError("the node was closed meanwhile") from error

    def drain(self, limit_s: float) -> DrainReport | None:
        """Hand pages of other nodes over to them, before ``close``; see ``Node.drain``."""
        return self._call(self.node.drain(limit_s))

    def create_pool(
        self,
        kind: PoolKind,
        *,
        exclusive_gets: bool = False,
        replicas: int | None = None,
        codec: str | None = None,
    ) -> int:
        """A new pool's id; see ``PageStore.create_pool``."""

        async def create() -> int:
            return self.node.store.create_pool(
                kind, exclusive_gets=exclusive_gets, replicas=replicas, codec=codec
            )

        return self._call(create())

    def destroy_pool(self, pool_id: int) -> int:
        """Remove a pool; returns how many pages it had."""
        return self._call(self.node.store.destroy_pool(pool_id))

    def put(self, pool_id: int, object_id: int, index: int, page: Buffer) -> None:
        """Store one page of 4096 bytes. Raises StoreFullError."""
        self.put_many(pool_id, object_id, [index], page)

    def put_many(
        self,
        pool_id: int,
        object_id: int,
        indexes: Sequence[int],
        payload: Buffer,
        *,
        keep_old: bool = False,
    ) -> None:
        """Store pages that ``payload`` holds back to back; see ``PageStore.put_many``."""
        self._call(
            self.node.store.put_many(pool_id, object_id, indexes, payload, keep_old=keep_old)
        )

    def get(
        self, pool_id: int, object_id: int, index: int, *, free: GetFree = GetFree.BY_KIND
    ) -> bytes | None:
        """One page, fetched from a peer where it is away; None if there is none.

        Raises PageLostError, CorruptPageError.
        """
        into = bytearray(PAGE_SIZE)
        found = self.get_many(pool_id, object_id, [index], into, free=free)
        return bytes(into) if found[0] else None

    def get_many(
        self,
        pool_id: int,
        object_id: int,
        indexes: Sequence[int],
        into: bytearray | memoryview,
        *,
        free: GetFree = GetFree.BY_KIND,
    ) -> bytes:
        """Write page i to ``into[i * 4096:]``; one byte a page, 1 present, 0 absent."""
        return self._call(self.node.store.get_many(pool_id, object_id, indexes, into, free=free))

    def flush(self, pool_id: int, object_id: int, index: int) -> bool:
        """Remove one page; True if there was one."""
        return self._call(self.node.store.flush(pool_id, object_id, index))

    def flush_range(self, pool_id: int, object_id: int, start: int, stop: int) -> int:
        """Remove pages with start <= index < stop; returns how many."""
        return self._call(self.node.store.flush_range(pool_id, object_id, start, stop))

    def flush_object(self, pool_id: int, object_id: int) -> int:
        """Remove an object; returns how many pages it had."""
        return self._call(self.node.store.flush_object(pool_id, object_id))

    def figures(self) -> Figures:
        """What /stats shows."""

        async def read() -> Figures:
            return self.node.figures()

        return self._call(read())
