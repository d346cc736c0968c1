"""The page store of a node with peers.

Covers: puts that wait for the spiller, gets that wait for the fetcher, and that copies elsewhere
are flushed after every operation that gives one up. Does not cover: spilling (``spiller.py``),
fetching (``fetcher.py``), peers (``cluster.py`` wires them).

Every put goes to the node's own cache first and never waits for a peer while there is room.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

from ramster.clock import Clock
from ramster.cluster_config import ClusterConfig
from ramster.counters import ClusterCounters
from ramster.errors import ConfigurationError, StoreClosedError, StoreFullError
from ramster.fetcher import Fetcher, PendingGet
from ramster.flusher import Flusher
from ramster.peers import Peers
from ramster.removal import remove_object, remove_pool, remove_range
from ramster.replication import Replication
from ramster.room import BATCH_PAGES_MAX, PendingPut, RoomQueue, pending_puts
from ramster.spiller import ROOM_BYTES_MIN, Spiller
from ramster.store import check_payload, check_target, make_pool
from ramster.timings import Timings
from zcache import (
    PAGE_SIZE,
    AwayPages,
    Buffer,
    CacheContract,
    CacheFullError,
    CorruptPageError,
    GetFree,
    PageState,
    PoolKind,
)

__all__ = ["ClusterStore"]


class ClusterStore:
    """A ``PageStore`` whose pages may be at peers. Made by ``Cluster``.

    ``guests_may_leave``: whether owners of pages held here were asked to take them back, and may.
    """

    def __init__(
        self,
        cache: CacheContract,
        config: ClusterConfig,
        room: RoomQueue,
        spiller: Spiller,
        fetcher: Fetcher,
        flusher: Flusher,
        peers: Peers,
        replication: Replication,
        clock: Clock,
        counters: ClusterCounters,
        timings: Timings,
        *,
        guests_may_leave: Callable[[], bool],
    ) -> None:
        self._cache = cache
        self._config = config
        self._room = room
        self._spiller = spiller
        self._fetcher = fetcher
        self._flusher = flusher
        self._peers = peers
        self._replication = replication
        self._guests_may_leave = guests_may_leave
        self._clock = clock
        self._counters = counters
        self._timings = timings
        self._closed = False

    @property
    def cache(self) -> CacheContract:
        """See ``PageStore``."""
        return self._cache

    @property
    def counters(self) -> ClusterCounters:
        """What the peer layer has counted; live."""
        return self._counters

    def close(self) -> None:
        """Refuse every operation from now on; puts that wait end with StoreClosedError."""
        self._closed = True
        self._room.close()

    def _check_open(self) -> None:
        if self._closed:
            raise StoreClosedError("the store is closed")

    def _gave_up_copies(self) -> None:
        """Pages went away for good: flush their copies, and let a writer have their room."""
        self._flusher.drain()
        self._room.wake()

    # -- pools
    # -----------------------------------------------------------------------------------------

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
        pool = make_pool(self._cache, kind, exclusive_gets=exclusive_gets, codec=codec)
        if replicas is not None:
            try:
                self._replication.set_pool(pool, replicas)
            except ConfigurationError:
                self._cache.destroy_pool(pool)
                raise
        return pool

    async def destroy_pool(self, pool_id: int) -> int:
        """See ``PageStore``."""
        self._check_open()
        removed = await remove_pool(self._cache, pool_id, self._gave_up_copies)
        self._replication.forget_pool(pool_id)
        return removed

    # -- put
    # -------------------------------------------------------------------------------------------

    async def put_many(
        self,
        pool_id: int,
        object_id: int,
        indexes: Sequence[int],
        payload: Buffer,
        *,
        keep_old: bool = False,
    ) -> None:
        """See ``PageStore``. Waits only when the pool is full and the spiller can make room."""
        self._check_open()
        view = check_payload(indexes, payload)
        timings, began = self._timings.put, self._clock.now()
        try:
            await self._put_all(pool_id, object_id, indexes, view, began, keep_old=keep_old)
        finally:
            timings.observe(self._clock.now() - began, len(indexes))

    async def _put_all(
        self,
        pool_id: int,
        object_id: int,
        indexes: Sequence[int],
        view: memoryview,
        began: float,
        *,
        keep_old: bool,
    ) -> None:
        refusal: CacheFullError | None = None
        if len(indexes) <= BATCH_PAGES_MAX and not len(self._room):
            # The usual put: there is room, and it waits for nothing.
            try:
                self._cache.put_many(pool_id, object_id, indexes, view, keep_old=keep_old)
            except CacheFullError as full:
                refusal = full
            finally:
                self._flusher.drain()
                due = self._spiller.poke()
            if refusal is None:
                if due:
                    await asyncio.sleep(0)
                return
        deadline = asyncio.get_running_loop().time() + self._config.put_wait_s
        for first, put in pending_puts(
            self._cache, pool_id, object_id, indexes, view, keep_old=keep_old
        ):
            if first:
                await asyncio.sleep(0)
            attempt = partial(self._try, put, began)
            try:
                if refusal is None:
                    stored = await self._room.until(attempt, deadline)
                else:
                    put.refused(refusal)
                    self._put_refused(put, began, progress=True, first=True)
                    stored = await self._room.until(attempt, deadline, tried=True)
            finally:
                self._flusher.drain()  # a put gives up the old page's copy, and a refused one too
                due = self._spiller.poke()
            if not stored:
                left = len(indexes) - first - put.stored
                self._counters.puts_refused += 1
                raise StoreFullError(
                    f"no room for {left} of {len(indexes)} pages: {put.refusal}; none was made "
                    f"within {self._config.put_wait_s:g} s"
                ) from put.refusal
            if due:
                # A writer that never waits for anything else must let the spiller begin.
                await asyncio.sleep(0)

    def _try(self, put: PendingPut, began: float) -> bool:
        """One attempt of a put. Raises StoreFullError when no room can be made."""
        first, stored = put.refusal is None, put.stored
        if put():
            return True
        self._put_refused(put, began, progress=first or put.stored > stored, first=first)
        return False

    def _put_refused(self, put: PendingPut, began: float, *, progress: bool, first: bool) -> None:
        """A put found no room. Raises StoreFullError when none can be made.

        That no lender has room counts only from what lenders said since the put ``began``, and
        after the flushes that they are owed.
        """
        if progress:
            self._spiller.put_refused()
        if first:
            self._counters.puts_waited += 1
        self._flusher.drain()
        self._peers.ask_for_room(ROOM_BYTES_MIN, since=began)
        if (
            not self._spiller.may_make_room()
            and not self._flusher.frees_room
            and not self._guests_may_leave()
        ):
            self._counters.puts_refused += 1
            raise StoreFullError(f"{put.refusal}; {self._spiller.why_not()}") from put.refusal

    # -- get
    # -------------------------------------------------------------------------------------------

    async def get_many(
        self,
        pool_id: int,
        object_id: int,
        indexes: Sequence[int],
        into: bytearray | memoryview,
        *,
        free: GetFree = GetFree.BY_KIND,
    ) -> bytes:
        """See ``PageStore``. Pages that are here cost no call; the rest is fetched within the
        deadline.
        """
        self._check_open()
        view = check_target(indexes, into)
        began = self._clock.now()
        deadline = began + self._config.fetch_deadline_s
        timing = self._timings.get_local
        parts: list[bytes] = []
        try:
            for first in range(0, len(indexes), BATCH_PAGES_MAX):
                some, rest = indexes, view
                if len(indexes) > BATCH_PAGES_MAX:
                    some, rest = indexes[first : first + BATCH_PAGES_MAX], view[first * PAGE_SIZE :]
                if first:
                    await asyncio.sleep(0)
                states, away = self._cache.get_many(pool_id, object_id, some, rest, free=free)
                self._counters.local_hits += states.count(PageState.PRESENT)
                if len(away):
                    timing = self._timings.get_remote
                    get = PendingGet(
                        cache=self._cache,
                        pool_id=pool_id,
                        object_id=object_id,
                        indexes=some,
                        into=rest,
                        free=free,
                        states=bytearray(states),
                        deadline=deadline,
                    )
                    await self._complete(get, away)
                    states = bytes(get.states)
                _check_states(states, object_id, some)
                parts.append(states)
        finally:
            timing.observe(self._clock.now() - began, len(indexes))
        if free is not GetFree.NEVER:
            self._room.wake()
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def _complete(self, get: PendingGet, away: AwayPages) -> None:
        try:
            await self._fetcher.complete(get, away)
        finally:
            self._spiller.poke()  # pages came home

    # -- flush
    # -------------------------------------------------------------------------------------------

    async def flush(self, pool_id: int, object_id: int, index: int) -> bool:
        """See ``PageStore``. The page is gone at once, its copy at a peer soon."""
        self._check_open()
        found = self._cache.flush(pool_id, object_id, index)
        self._gave_up_copies()
        return found

    async def flush_range(self, pool_id: int, object_id: int, start: int, stop: int) -> int:
        """See ``PageStore``."""
        self._check_open()
        return await remove_range(
            self._cache, pool_id, object_id, start, stop, self._gave_up_copies
        )

    async def flush_object(self, pool_id: int, object_id: int) -> int:
        """See ``PageStore``."""
        self._check_open()
        return await remove_object(self._cache, pool_id, object_id, self._gave_up_copies)

    def extents(
        self, pool_id: int, object_id: int, start: int, stop: int
    ) -> list[tuple[int, int, bool]]:
        """See ``PageStore``."""
        self._check_open()
        return self._cache.extents(pool_id, object_id, start, stop)


def _check_states(states: bytes, object_id: int, indexes: Sequence[int]) -> None:
    if PageState.CORRUPT in states:
        index = indexes[states.index(PageState.CORRUPT)]
        raise CorruptPageError(f"page {index} of object {object_id:#x} fails its checksum")
