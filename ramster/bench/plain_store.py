"""Pages in plain memory, as they are: what "nothing" means in the benchmarks.

Covers: the interface of a page store (``ramster.store.PageStore``) over a budget of uncompressed
pages; refusing persistent pages and dropping the least recently used ephemeral ones when it is
full. Does not cover: compression, peers, waiting; that is the point.

It answers as a node does, so that a workload and a front-end cannot tell it from one but by how
much fits and how fast it is.
"""

from __future__ import annotations

import mmap
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from ramster.errors import StoreFullError
from ramster.store import check_payload, check_target
from zcache import (
    PAGE_SIZE,
    BadHandleError,
    Buffer,
    CacheContract,
    GetFree,
    NoSuchPoolError,
    PoolKind,
)

__all__ = ["PlainStore"]

_Place = tuple[int, int, int]
"""Pool id, object id, index."""


class PlainStore:
    """A ``PageStore`` of at most ``budget_bytes`` of pages, 4096 bytes each.

    Memory is taken as pages come, and kept. Not for use from several threads.
    """

    def __init__(self, budget_bytes: int) -> None:
        self._frames_max = budget_bytes // PAGE_SIZE
        if not self._frames_max:
            raise BadHandleError(f"a budget of {budget_bytes} bytes: accepted is 4096 or more")
        size = self._frames_max * PAGE_SIZE
        self._frames = memoryview(mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
        self._free: list[int] = []
        self._untouched = 0
        """Frames from here on were never used."""
        self._pools: dict[int, tuple[PoolKind, bool]] = {}
        """By id: kind, and whether a get frees the page."""
        self._objects: dict[tuple[int, int], dict[int, int]] = {}
        """By pool and object: index -> frame."""
        self._recency: OrderedDict[_Place, None] = OrderedDict()
        """Ephemeral pages, the least recently used first."""
        self._puts = self._stored = self._refused = self._evicted = self._hits = self._misses = 0

    @property
    def cache(self) -> CacheContract:
        """There is none. Raises AttributeError."""
        raise AttributeError("plain memory has no cache of zcache's")

    @property
    def pages(self) -> int:
        """Pages stored."""
        return self._untouched - len(self._free)

    def figures(self) -> dict[str, Any]:
        """A node's figures (``ramster.figures``), as far as they mean something here."""
        used = self.pages * PAGE_SIZE
        return {
            "name": "plain",
            "pool": {"limit_bytes": self._frames_max * PAGE_SIZE, "used_bytes": used},
            "pages": {"own": self.pages, "local": self.pages, "away": 0},
            "bytes": {"logical": used, "compressed_here": used, "frames": used},
            "cache": {
                "puts": self._puts,
                "puts_stored": self._stored,
                "puts_refused_full": self._refused,
                "get_hits": self._hits,
                "get_misses": self._misses,
                "ephemeral_evicted": self._evicted,
                "pages_spilled": 0,
                "pages_restored": 0,
            },
            "cluster": None,
        }

    # -- pools -------------------------------------------------------------------------------------

    def create_pool(
        self,
        kind: PoolKind,
        *,
        exclusive_gets: bool = False,
        replicas: int | None = None,
        codec: str | None = None,
    ) -> int:
        """See ``PageStore``; copies and codecs mean nothing here."""
        del replicas, codec
        pool_id = next(n for n in range(len(self._pools) + 1) if n not in self._pools)
        self._pools[pool_id] = (kind, exclusive_gets or kind is PoolKind.EPHEMERAL)
        return pool_id

    async def destroy_pool(self, pool_id: int) -> int:
        """See ``PageStore``."""
        self._pool(pool_id)
        objects = [object_id for pool, object_id in self._objects if pool == pool_id]
        removed = sum([await self.flush_object(pool_id, object_id) for object_id in objects])
        del self._pools[pool_id]
        return removed

    def _pool(self, pool_id: int) -> tuple[PoolKind, bool]:
        if pool_id not in self._pools:
            raise NoSuchPoolError(pool_id)
        return self._pools[pool_id]

    # -- pages -------------------------------------------------------------------------------------

    async def put_many(
        self,
        pool_id: int,
        object_id: int,
        indexes: Sequence[int],
        payload: Buffer,
        *,
        keep_old: bool = False,
    ) -> None:
        """See ``PageStore``. Waits for nothing; a page that is there can always be written anew."""
        del keep_old
        view = check_payload(indexes, payload)
        ephemeral = self._pool(pool_id)[0] is PoolKind.EPHEMERAL
        for number, index in enumerate(indexes):
            self._puts += 1
            frame = self._objects.get((pool_id, object_id), {}).get(index)
            if frame is None:
                frame = self._take_frame()
                if frame is None:
                    self._refused += 1
                    raise StoreFullError(
                        f"no room for {len(indexes) - number} of {len(indexes)} pages: "
                        f"{self._frames_max} pages are stored, and that is the budget"
                    )
                # After the frame was taken: making room may have emptied and removed the object.
                self._objects.setdefault((pool_id, object_id), {})[index] = frame
            at = frame * PAGE_SIZE
            self._frames[at : at + PAGE_SIZE] = view[number * PAGE_SIZE : (number + 1) * PAGE_SIZE]
            self._stored += 1
            if ephemeral:
                self._recency[pool_id, object_id, index] = None
                self._recency.move_to_end((pool_id, object_id, index))

    def _take_frame(self) -> int | None:
        if not self._free and self._untouched == self._frames_max:
            if not self._recency:
                return None
            self._evicted += 1
            self._remove(next(iter(self._recency)))
        if self._free:
            return self._free.pop()
        self._untouched += 1
        return self._untouched - 1

    def _remove(self, place: _Place) -> None:
        pool_id, object_id, index = place
        pages = self._objects[pool_id, object_id]
        self._free.append(pages.pop(index))
        self._recency.pop(place, None)
        if not pages:
            del self._objects[pool_id, object_id]

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
        view = check_target(indexes, into)
        kind, by_kind = self._pool(pool_id)
        frees = free is GetFree.ALWAYS or (free is GetFree.BY_KIND and by_kind)
        present = bytearray(len(indexes))
        for number, index in enumerate(indexes):
            frame = self._objects.get((pool_id, object_id), {}).get(index)
            if frame is None:
                self._misses += 1
                continue
            self._hits += 1
            present[number] = 1
            at = frame * PAGE_SIZE
            view[number * PAGE_SIZE : (number + 1) * PAGE_SIZE] = self._frames[at : at + PAGE_SIZE]
            if frees:
                self._remove((pool_id, object_id, index))
            elif kind is PoolKind.EPHEMERAL:
                self._recency.move_to_end((pool_id, object_id, index))
        return bytes(present)

    async def flush(self, pool_id: int, object_id: int, index: int) -> bool:
        """See ``PageStore``."""
        return await self.flush_range(pool_id, object_id, index, index + 1) == 1

    async def flush_range(self, pool_id: int, object_id: int, start: int, stop: int) -> int:
        """See ``PageStore``."""
        self._pool(pool_id)
        found = self._within(pool_id, object_id, start, stop)
        for index in found:
            self._remove((pool_id, object_id, index))
        return len(found)

    async def flush_object(self, pool_id: int, object_id: int) -> int:
        """See ``PageStore``."""
        self._pool(pool_id)
        found = list(self._objects.get((pool_id, object_id), {}))
        for index in found:
            self._remove((pool_id, object_id, index))
        return len(found)

    def extents(
        self, pool_id: int, object_id: int, start: int, stop: int
    ) -> list[tuple[int, int, bool]]:
        """See ``PageStore``."""
        self._pool(pool_id)
        runs: list[tuple[int, int, bool]] = []
        at = start
        for index in sorted(self._within(pool_id, object_id, start, stop)):
            if index > at:
                runs.append((at, index - at, False))
            if runs and runs[-1][2]:
                first, length, _ = runs.pop()
                runs.append((first, length + 1, True))
            else:
                runs.append((index, 1, True))
            at = index + 1
        if at < stop:
            runs.append((at, stop - at, False))
        return runs

    def _within(self, pool_id: int, object_id: int, start: int, stop: int) -> list[int]:
        """Stored indexes of a range, by looking at the shorter of the two."""
        pages = self._objects.get((pool_id, object_id), {})
        if stop - start <= len(pages):
            return [index for index in range(start, stop) if index in pages]
        return [index for index in pages if start <= index < stop]
