"""The cache alone, and plain memory, under the same calls: what ``store-*`` measures.

Covers: pages of one object by index, put, got and flushed in this process, one at a time and in
batches. Does not cover: nodes, sockets and everything that waits.

Plain memory is a dict of pages as they are. A get hands out a copy, as the cache does; a program
that may share the page itself has it for nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from functools import partial
from typing import Any, Protocol

from ramster.bench.model import Subject, WorkloadUnavailable
from zcache import PAGE_SIZE, Buffer, Cache, CacheConfig, GetFree, PoolKind

__all__ = ["CacheStore", "LocalStore", "MemoryStore", "RecentPages", "ample_bytes", "open_store"]

_OBJECT = 1
_UNEVEN_BYTES = 16 * 2**20
"""More than the zspages that a few pages leave open, one or two in each class of sizes."""


class LocalStore(Protocol):
    """Pages by index."""

    def put(self, index: int, page: Buffer, /) -> Any:
        """Keep a copy. Raises CacheFullError where there is a limit and it is met."""

    def get(self, index: int, /) -> Any:
        """A copy of the page, or None. It stays."""

    def flush(self, index: int, /) -> Any:
        """Forget it, if it is there."""

    def put_many(self, indexes: Sequence[int], payload: Buffer, /) -> Any:
        """Keep copies of pages that lie back to back."""

    def get_many(self, indexes: Sequence[int], into: bytearray, /) -> Any:
        """Copy pages to ``into``; all of them are there."""


class CacheStore:
    """A pool of one object in a cache of its own, of the backend that this process uses.

    The calls are the cache's own, so that nothing is measured beside them.
    """

    def __init__(
        self, pool_bytes_max: int, kind: PoolKind = PoolKind.PERSISTENT, object_id: int = _OBJECT
    ) -> None:
        self.cache = Cache(CacheConfig(pool_bytes_max=pool_bytes_max))
        self.pool = self.cache.create_pool(kind)
        self._name(object_id)

    def _name(self, object_id: int) -> None:
        where = (self.pool, object_id)
        self.put = partial(self.cache.put, *where)
        self.get = partial(self.cache.get, *where, free=GetFree.NEVER)
        self.flush = partial(self.cache.flush, *where)
        self.put_many = partial(self.cache.put_many, *where)
        self.get_many = partial(self.cache.get_many, *where, free=GetFree.NEVER)

    def another_object(self, object_id: int) -> CacheStore:
        """The same cache and pool, for the pages of another object."""
        other = object.__new__(CacheStore)
        other.cache, other.pool = self.cache, self.pool
        other._name(object_id)
        return other


class MemoryStore:
    """Pages as they are."""

    def __init__(self, pages: dict[int, bytes] | None = None) -> None:
        self.pages: dict[int, bytes] = {} if pages is None else pages

    def put(self, index: int, page: Buffer) -> None:
        """See ``LocalStore``."""
        self.pages[index] = bytes(page)

    def get(self, index: int) -> bytes | None:
        """See ``LocalStore``."""
        page = self.pages.get(index)
        return None if page is None else bytes(memoryview(page))

    def flush(self, index: int) -> bool:
        """See ``LocalStore``."""
        return self.pages.pop(index, None) is not None

    def put_many(self, indexes: Sequence[int], payload: Buffer) -> None:
        """See ``LocalStore``."""
        pages, view = self.pages, memoryview(payload)
        for at, index in zip(range(0, len(view), PAGE_SIZE), indexes, strict=True):
            pages[index] = bytes(view[at : at + PAGE_SIZE])

    def get_many(self, indexes: Sequence[int], into: bytearray) -> None:
        """See ``LocalStore``."""
        pages, view = self.pages, memoryview(into)
        for number, index in enumerate(indexes):
            view[number * PAGE_SIZE : (number + 1) * PAGE_SIZE] = pages[index]


class RecentPages(MemoryStore):
    """The ``pages_max`` pages put or got last, as they are; the others are dropped and counted."""

    def __init__(self, pages_max: int) -> None:
        self._recent: OrderedDict[int, bytes] = OrderedDict()
        super().__init__(self._recent)
        self._pages_max = pages_max
        self.dropped = 0

    def put(self, index: int, page: Buffer) -> None:
        """See ``LocalStore``."""
        super().put(index, page)
        self._recent.move_to_end(index)
        if len(self._recent) > self._pages_max:
            self._recent.popitem(last=False)
            self.dropped += 1

    def get(self, index: int) -> bytes | None:
        """See ``LocalStore``."""
        page = super().get(index)
        if page is not None:
            self._recent.move_to_end(index)
        return page


def ample_bytes(pages: int) -> int:
    """A limit that so many pages never meet, whatever they are."""
    return 2 * pages * PAGE_SIZE + _UNEVEN_BYTES


def open_store(subject: Subject, pool_bytes_max: int) -> CacheStore | MemoryStore:
    """A store of a subject; ``pool_bytes_max`` is the cache's limit, plain memory has none.

    Raises WorkloadUnavailable for subjects that are more than a store in this process.
    """
    if subject is Subject.ZCACHE:
        return CacheStore(pool_bytes_max)
    if subject is Subject.NOTHING:
        return MemoryStore()
    raise WorkloadUnavailable(f"{subject}: store-* measures nothing and zcache, in one process")
