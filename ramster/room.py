"""Writers that wait for room in the cache, in the order in which they came.

Covers: one put of a batch that continues after each refusal (``PendingPut``) and the queue of
those that wait (``RoomQueue``). Does not cover: who makes room (flushes, the ``spiller``). Read
next: ``store.py`` and ``cluster_store.py``, which use both.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence

from ramster.errors import StoreClosedError
from zcache import PAGE_SIZE, Buffer, CacheContract, CacheFullError, PutRefusedError

__all__ = ["BATCH_PAGES_MAX", "PendingPut", "RoomQueue", "pending_puts"]

BATCH_PAGES_MAX = 256
"""Pages handed to the cache in one call: one large request must not hold up the event loop."""


class PendingPut:
    """A put of some pages that remembers how far it came; call it until it answers True."""

    def __init__(
        self,
        cache: CacheContract,
        pool_id: int,
        object_id: int,
        indexes: Sequence[int],
        payload: Buffer,
        *,
        keep_old: bool,
    ) -> None:
        self._cache = cache
        self._pool_id = pool_id
        self._object_id = object_id
        self._indexes = indexes
        self._payload = memoryview(payload)
        self._keep_old = keep_old
        self.stored = 0
        """Pages stored so far; they are the first ones."""
        self.refusal: CacheFullError | None = None
        """Why the last attempt ended early."""

    def refused(self, refusal: CacheFullError) -> None:
        """An attempt ended early; its stored pages count from where it began."""
        self.stored += refusal.stored
        self.refusal = refusal

    def __call__(self) -> bool:
        """Store what is left; False when there was no room for all. Raises as the cache does."""
        done = self.stored
        try:
            self._cache.put_many(
                self._pool_id,
                self._object_id,
                self._indexes[done:] if done else self._indexes,
                self._payload[done * PAGE_SIZE :] if done else self._payload,
                keep_old=self._keep_old,
            )
        except CacheFullError as refusal:
            self.refused(refusal)
            return False
        except PutRefusedError as refusal:
            refusal.stored += done
            raise
        self.stored = len(self._indexes)
        return True


def pending_puts(
    cache: CacheContract,
    pool_id: int,
    object_id: int,
    indexes: Sequence[int],
    payload: memoryview,
    *,
    keep_old: bool,
) -> Iterator[tuple[int, PendingPut]]:
    """A put in batches of ``BATCH_PAGES_MAX`` pages, each with the number of pages before it."""
    for first in range(0, len(indexes), BATCH_PAGES_MAX):
        stop = first + BATCH_PAGES_MAX
        yield (
            first,
            PendingPut(
                cache,
                pool_id,
                object_id,
                indexes[first:stop],
                payload[first * PAGE_SIZE : stop * PAGE_SIZE],
                keep_old=keep_old,
            ),
        )


class RoomQueue:
    """Attempts wait here, first come first served, to be made again when room may have appeared.

    A newcomer tries at once only while nobody waits: otherwise small pages would slip past a
    writer that needs a whole frame, for ever. The one at the head is called again by ``wake``;
    when it leaves (stored, out of time or cancelled) the next one has its turn at once.
    """

    def __init__(self) -> None:
        self._turns: deque[asyncio.Future[None]] = deque()
        self._closed = False

    def __len__(self) -> int:
        return len(self._turns)

    async def until(
        self, attempt: Callable[[], bool], deadline: float, *, tried: bool = False
    ) -> bool:
        """Make the attempt, in turn, until it answers True or the deadline (loop time) has passed.

        ``tried``: it was made a moment ago, in vain, while nobody waited. Returns the last answer.
        Raises what the attempt raises, and StoreClosedError after ``close``.
        """
        if self._closed:
            raise StoreClosedError("the store is closed")
        loop = asyncio.get_running_loop()
        late = deadline <= loop.time()
        if not tried and (late or not self._turns) and attempt():
            return True
        if late:
            return False
        turn: asyncio.Future[None] = loop.create_future()
        self._turns.append(turn)
        try:
            while True:
                async with asyncio.timeout_at(deadline):
                    await turn
                if self._closed:
                    raise StoreClosedError("the store was closed while a put waited for room")
                if attempt():
                    return True
                replaced, turn = turn, loop.create_future()
                self._turns[self._turns.index(replaced)] = turn
        except TimeoutError:
            return False
        finally:
            self._turns.remove(turn)
            self.wake()

    def wake(self) -> None:
        """Room may have appeared: the one at the head tries again."""
        if self._turns and not self._turns[0].done():
            self._turns[0].set_result(None)

    def close(self) -> None:
        """Send everybody away with StoreClosedError."""
        self._closed = True
        for turn in self._turns:
            if not turn.done():
                turn.set_result(None)
