"""The page store: what front-ends call. ``LocalStore``: zcache alone; ``ClusterStore``: with peers.

Covers: the interface and the store without peers. Does not cover: peers (``cluster_store.py``),
protocols of clients (``nbd/``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from time import perf_counter
from typing import Protocol

from ramster.errors import (
    ConfigurationError,
    PageLostError,
    StoreClosedError,
    StoreFullError,
)
from ramster.limits import REPLICAS_MAX
from ramster.removal import remove_object, remove_pool, remove_range
from ramster.room import BATCH_PAGES_MAX, RoomQueue, pending_puts
from ramster.timings import Timings
from zcache import (
    PAGE_SIZE,
    BadHandleError,
    Buffer,
    CacheContract,
    CacheFullError,
    ConfigError,
    CorruptPageError,
    GetFree,
    PageState,
    PoolKind,
)

__all__ = ["LocalStore", "PageStore", "check_payload", "check_target", "make_pool"]


class PageStore(Protocol):
    """Pages by (pool id, object id, index), with waiting where waiting can help.

    Pages are 4096 bytes; a batch's payload holds them back to back. All raise zcache's
    NoSuchPoolError and BadHandleError, and StoreClosedError while stopping.
    """

    @property
    def cache(self) -> CacheContract:
        """The node's own cache, for figures."""

    def create_pool(
        self,
        kind: PoolKind,
        *,
        exclusive_gets: bool = False,
        replicas: int | None = None,
        codec: str | None = None,
    ) -> int:
        """See ``CacheContract.create_pool``. ``replicas``: copies of each page that leaves for
        peers (None: as configured); without peers none leaves. ``codec``: of its pages (None: as
        configured). Raises ConfigurationError.
        """

    async def destroy_pool(self, pool_id: int) -> int:
        """See ``CacheContract.destroy_pool``; copies at peers are flushed."""

    async def put_many(
        self,
        pool_id: int,
        object_id: int,
        indexes: Sequence[int],
        payload: Buffer,
        *,
        keep_old: bool = False,
    ) -> None:
        """Store pages, waiting for room up to the configured deadline.

        Raises StoreFullError: no room; with ``keep_old`` each page is then either stored or as it
        was, else absent where not stored. Raises zcache's PoorCompressionError where so
        configured.
        """

    async def get_many(
        self,
        pool_id: int,
        object_id: int,
        indexes: Sequence[int],
        into: bytearray | memoryview,
        *,
        free: GetFree = GetFree.BY_KIND,
    ) -> bytes:
        """Write page i to ``into[i * 4096:]``, fetched from a peer where it is away.

        Returns one byte a page, 1 present, 0 absent; bytes of absent pages stay as they were.
        Raises PageLostError for persistent pages whose copies are gone or unreachable within the
        deadline (other pages of the batch may have been written by then), zcache's
        CorruptPageError.
        """

    async def flush(self, pool_id: int, object_id: int, index: int) -> bool:
        """Remove one page; True if there was one."""

    async def flush_range(self, pool_id: int, object_id: int, start: int, stop: int) -> int:
        """Remove pages with start <= index < stop; returns how many."""

    async def flush_object(self, pool_id: int, object_id: int) -> int:
        """Remove an object; returns how many pages it had."""

    def extents(
        self, pool_id: int, object_id: int, start: int, stop: int
    ) -> list[tuple[int, int, bool]]:
        """See ``CacheContract.extents``."""


def make_pool(
    cache: CacheContract, kind: PoolKind, *, exclusive_gets: bool, codec: str | None
) -> int:
    """A new pool of a cache. Raises ConfigurationError for a codec that this node has not."""
    try:
        return cache.create_pool(kind, exclusive_gets=exclusive_gets, codec=codec)
    except ConfigError as error:
        raise ConfigurationError(
            error.key, str(error.value), "create_pool", error.accepted
        ) from None


def check_payload(indexes: Sequence[int], payload: Buffer) -> memoryview:
    """The payload as bytes. Raises BadHandleError unless it holds one page per index."""
    view = memoryview(payload)
    if view.nbytes != len(indexes) * PAGE_SIZE:
        raise BadHandleError(
            f"{view.nbytes} bytes for {len(indexes)} pages: accepted is {PAGE_SIZE} bytes a page"
        )
    return view if view.format == "B" and view.ndim == 1 else view.cast("B")


def check_target(indexes: Sequence[int], into: bytearray | memoryview) -> memoryview:
    """The buffer as bytes. Raises BadHandleError unless it is writable and has a page per index."""
    view = memoryview(into)
    if view.readonly or view.nbytes < len(indexes) * PAGE_SIZE:
        raise BadHandleError(
            f"a buffer of {view.nbytes} bytes for {len(indexes)} pages: accepted is a writable one "
            f"of {PAGE_SIZE} bytes a page"
        )
    return view if view.format == "B" and view.ndim == 1 else view.cast("B")


class LocalStore:
    """The store of a node without peers: a ``PageStore`` over one cache.

    ``put_wait_s``: how long a put that finds the pool full waits for flushes of others to make
    room; 0 answers at once. Room that is made behind the store's back wakes nobody.
    ``timings``: where batches are measured.
    """

    def __init__(
        self, cache: CacheContract, *, put_wait_s: float = 0.0, timings: Timings | None = None
    ) -> None:
        self._cache = cache
        self._put_wait_s = put_wait_s
        self._room = RoomQueue()
        self._timings = timings or Timings()
        self._closed = False

    def close(self) -> None:
        """Refuse every operation from now on; puts that wait end with StoreClosedError."""
        self._closed = True
        self._room.close()

    def _check_open(self) -> None:
        if self._closed:
            raise StoreClosedError("the store is closed")

    @property
    def cache(self) -> CacheContract:
        """See ``PageStore``."""
        return self._cache

    def create_pool(
        self,
        kind: PoolKind,
        *,
        exclusive_gets: bool = False,
        replicas: int | None = None,
        codec: str | None = None,
    ) -> int:
        """See ``PageStore``."""
        self._check_open()
        if replicas is not None and not 1 <= replicas <= REPLICAS_MAX:
            raise ConfigurationError("replicas", replicas, "create_pool", f"1 to {REPLICAS_MAX}")
        return make_pool(self._cache, kind, exclusive_gets=exclusive_gets, codec=codec)

    async def destroy_pool(self, pool_id: int) -> int:
        """See ``PageStore``."""
        self._check_open()
        return await remove_pool(self._cache, pool_id, self._room.wake)

    async def put_many(
        self,
        pool_id: int,
        object_id: int,
        indexes: Sequence[int],
        payload: Buffer,
        *,
        keep_old: bool = False,
    ) -> None:
        """See ``PageStore``."""
        self._check_open()
        view = check_payload(indexes, payload)
        began = perf_counter()
        try:
            refusal: CacheFullError | None = None
            if len(indexes) <= BATCH_PAGES_MAX and not len(self._room):
                # The usual put: there is room, and it waits for nothing.
                try:
                    self._cache.put_many(pool_id, object_id, indexes, view, keep_old=keep_old)
                    return
                except CacheFullError as full:
                    refusal = full
            await self._put_waiting(pool_id, object_id, indexes, view, refusal, keep_old=keep_old)
        finally:
            self._timings.put.observe(perf_counter() - began, len(indexes))

    async def _put_waiting(
        self,
        pool_id: int,
        object_id: int,
        indexes: Sequence[int],
        view: memoryview,
        refusal: CacheFullError | None,
        *,
        keep_old: bool,
    ) -> None:
        """Put what is left after ``refusal``, or all."""
        deadline = asyncio.get_running_loop().time() + self._put_wait_s
        for first, put in pending_puts(
            self._cache, pool_id, object_id, indexes, view, keep_old=keep_old
        ):
            if first:
                await asyncio.sleep(0)
            if refusal is not None:
                put.refused(refusal)
            if not await self._room.until(put, deadline, tried=refusal is not None):
                raise StoreFullError(
                    f"no room for {len(indexes) - first - put.stored} of {len(indexes)} pages: "
                    f"{put.refusal}"
                ) from put.refusal

    async def get_many(
        self,
        pool_id: int,
        object_id: int,
        indexes: Sequence[int],
        into: bytearray | memoryview,
        *,
        free: GetFree = GetFree.BY_KIND,
    ) -> bytes:
        """See ``PageStore``."""
        self._check_open()
        view = check_target(indexes, into)
        began = perf_counter()
        present = bytearray()
        try:
            for first in range(0, len(indexes), BATCH_PAGES_MAX):
                if first:
                    await asyncio.sleep(0)
                some = indexes[first : first + BATCH_PAGES_MAX]
                present += self._get_some(
                    pool_id, object_id, some, view[first * PAGE_SIZE :], free=free
                )
        finally:
            self._timings.get_local.observe(perf_counter() - began, len(indexes))
        if free is not GetFree.NEVER:
            self._room.wake()
        return bytes(present)

    def _get_some(
        self,
        pool_id: int,
        object_id: int,
        indexes: Sequence[int],
        into: memoryview,
        *,
        free: GetFree,
    ) -> bytes | bytearray:
        states, away = self._cache.get_many(pool_id, object_id, indexes, into, free=free)
        if len(away):
            raise PageLostError(
                [indexes[i] for i in away.positions], "away at a peer, and this node has no peers"
            )
        if PageState.CORRUPT in states:
            bad = indexes[states.index(PageState.CORRUPT)]
            raise CorruptPageError(f"page {bad} of object {object_id:#x} fails its checksum")
        return states

    async def flush(self, pool_id: int, object_id: int, index: int) -> bool:
        """See ``PageStore``."""
        self._check_open()
        found = self._cache.flush(pool_id, object_id, index)
        self._room.wake()
        return found

    async def flush_range(self, pool_id: int, object_id: int, start: int, stop: int) -> int:
        """See ``PageStore``."""
        self._check_open()
        return await remove_range(self._cache, pool_id, object_id, start, stop, self._room.wake)

    async def flush_object(self, pool_id: int, object_id: int) -> int:
        """See ``PageStore``."""
        self._check_open()
        return await remove_object(self._cache, pool_id, object_id, self._room.wake)

    def extents(
        self, pool_id: int, object_id: int, start: int, stop: int
    ) -> list[tuple[int, int, bool]]:
        """See ``PageStore``."""
        self._check_open()
        return self._cache.extents(pool_id, object_id, start, stop)
