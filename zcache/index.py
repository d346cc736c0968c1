"""From handles to entries: pools, objects, and leaves of 64 pages.

Covers: finding, adding, removing and walking. Does not cover: what an entry holds
(``page_table.py``).

An object is a mapping from ``index >> 6`` to a leaf: an array of 64 entry numbers (0: none) and
their count, the 64-slot node of tmem's radix tree. A leaf with a single page is that entry's number
itself, so that scattered pages do not pay for an array. An object exists only while it has a page.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterator
from typing import Final, TypeAlias
from uuid import UUID

from zcache.errors import NoSuchPoolError, PoolTableFullError
from zcache.page import INDEX_MAX, PoolKind
from zcache.page_table import FOREIGN, PERSISTENT

__all__ = ["LEAF_COUNT", "Index", "PageObject", "Pool"]

LEAF_SLOTS: Final = 64
LEAF_COUNT: Final = 64
"""Position of a leaf's count, behind its slots."""

Leaf: TypeAlias = "array[int] | int"
_EMPTY_LEAF = bytes(4 * (LEAF_SLOTS + 1))
_KEY_BYTES = sys.getsizeof(2**30 - 1)


class Pool:
    """One pool; ``flags`` are the bits that all its pages carry.

    ``blob_bytes``: bytes of the blobs of a foreign pool; 0 in own pools, where nobody asks.
    ``codec``: of new pages, or None, as configured.
    """

    __slots__ = (
        "blob_bytes",
        "codec",
        "exclusive",
        "flags",
        "foreign",
        "frees_on_get",
        "kind",
        "objects",
        "pool_id",
        "uuid",
    )

    def __init__(
        self,
        pool_id: int,
        kind: PoolKind,
        *,
        exclusive: bool,
        uuid: UUID | None,
        foreign: bool,
        codec: str | None,
    ) -> None:
        self.pool_id = pool_id
        self.blob_bytes = 0
        self.codec = codec
        self.kind = kind
        self.exclusive = exclusive
        self.uuid = uuid
        self.foreign = foreign
        self.frees_on_get = uuid is None and (kind is PoolKind.EPHEMERAL or exclusive)
        self.flags = (PERSISTENT if kind is PoolKind.PERSISTENT else 0) | (
            FOREIGN if foreign else 0
        )
        self.objects: dict[int, PageObject] = {}


class PageObject:
    """One object with at least one page; ``number`` is its place in ``Index.objects``."""

    __slots__ = ("leaves", "number", "object_id", "pages", "pool")

    def __init__(self, pool: Pool, object_id: int, number: int) -> None:
        self.pool = pool
        self.object_id = object_id
        self.number = number
        self.leaves: dict[int, Leaf] = {}
        self.pages = 0


class Index:
    """Pools by id and objects by number. ``indexes`` is the page table's column."""

    def __init__(self, pools_max: int, indexes: array[int]) -> None:
        self.pools_max = pools_max
        self.pools: list[Pool | None] = []
        self.pool_count = 0
        self.objects: list[PageObject | None] = []
        self.object_count = 0
        self.leaf_bytes = 0
        """Bytes of leaves, of the objects' mappings and of their keys."""
        self._free_numbers = array("I")
        self._indexes = indexes

    # -- pools -------------------------------------------------------------------------------------

    def create_pool(
        self,
        kind: PoolKind,
        *,
        exclusive: bool,
        uuid: UUID | None,
        foreign: bool,
        codec: str | None = None,
    ) -> Pool:
        """The shared pool of that UUID and kind, or a new pool with the lowest free id."""
        if uuid is not None:
            for pool in self.pools:
                if pool and (pool.uuid, pool.kind, pool.foreign) == (uuid, kind, foreign):
                    return pool
        if self.pool_count >= self.pools_max:
            raise PoolTableFullError(self.pools_max)
        if self.pool_count == len(self.pools):
            self.pools.append(None)
        pool_id = self.pools.index(None)
        pool = Pool(pool_id, kind, exclusive=exclusive, uuid=uuid, foreign=foreign, codec=codec)
        self.pools[pool_id] = pool
        self.pool_count += 1
        return pool

    def pool(self, pool_id: int, *, foreign: bool = False) -> Pool:
        """The pool of an id. Raises NoSuchPoolError, also where own and foreign are mixed up."""
        if 0 <= pool_id < len(self.pools):
            pool = self.pools[pool_id]
            if pool is not None and pool.foreign == foreign:
                return pool
        raise NoSuchPoolError(pool_id)

    def any_pool(self, pool_id: int) -> Pool:
        """The pool of an id, own or foreign. Raises NoSuchPoolError."""
        pool = self.pools[pool_id] if 0 <= pool_id < len(self.pools) else None
        if pool is None:
            raise NoSuchPoolError(pool_id)
        return pool

    def pool_pages(self, pool_id: int) -> int:
        """Pages of a pool, own or foreign. Raises NoSuchPoolError."""
        return sum(page_object.pages for page_object in self.any_pool(pool_id).objects.values())

    def remove_pool(self, pool_id: int) -> Pool:
        """Take a pool out of the table. Its objects are the caller's to remove."""
        pool = self.any_pool(pool_id)
        self.pools[pool_id] = None
        self.pool_count -= 1
        while self.pools and self.pools[-1] is None:
            self.pools.pop()
        return pool

    # -- pages -------------------------------------------------------------------------------------

    def lookup(self, page_object: PageObject, index: int) -> int:
        """The entry of a page of an object, or 0."""
        leaf = page_object.leaves.get(index >> 6)
        if leaf is None:
            return 0
        if type(leaf) is int:
            return leaf if self._indexes[leaf] == index else 0
        return leaf[index & 63]  # type: ignore[index]

    def insert_object(self, pool: Pool, object_id: int) -> PageObject:
        """A new object without pages; the caller inserts one at once."""
        if self._free_numbers:
            number = self._free_numbers.pop()
        else:
            number = len(self.objects)
            self.objects.append(None)
        page_object = PageObject(pool, object_id, number)
        self.objects[number] = pool.objects[object_id] = page_object
        self.object_count += 1
        self.leaf_bytes += sys.getsizeof(page_object.leaves)
        return page_object

    def insert(self, page_object: PageObject, index: int, entry: int) -> None:
        """Enter a page that is not there yet; the entry's ``indexes`` column is set already."""
        leaves = page_object.leaves
        leaf = leaves.get(index >> 6)
        page_object.pages += 1
        if leaf is None:
            before = sys.getsizeof(leaves)
            leaves[index >> 6] = entry
            self.leaf_bytes += sys.getsizeof(leaves) - before + 2 * _KEY_BYTES
            return
        if isinstance(leaf, int):
            other = leaf
            leaf = array("I", _EMPTY_LEAF)
            leaf[self._indexes[other] & 63] = other
            leaf[LEAF_COUNT] = 1
            leaves[index >> 6] = leaf
            self.leaf_bytes += sys.getsizeof(leaf) - _KEY_BYTES
        leaf[index & 63] = entry
        leaf[LEAF_COUNT] += 1

    def remove(self, page_object: PageObject, index: int) -> None:
        """Take a page out; an object that has none left goes too."""
        leaves = page_object.leaves
        leaf = leaves[index >> 6]
        page_object.pages -= 1
        if isinstance(leaf, int):
            del leaves[index >> 6]
            self.leaf_bytes -= 2 * _KEY_BYTES
        else:
            leaf[index & 63] = 0
            leaf[LEAF_COUNT] -= 1
            if not leaf[LEAF_COUNT]:
                del leaves[index >> 6]
                self.leaf_bytes -= sys.getsizeof(leaf) + _KEY_BYTES
        if not page_object.pages:
            self._remove_object(page_object)

    def walk(self, page_object: PageObject, start: int, stop: int) -> Iterator[int]:
        """Entries with start <= index < stop, in order; cost grows with pages, not range."""
        if start >= stop:
            return
        leaves = page_object.leaves
        first = start >> 6
        last = (stop - 1) >> 6
        if last - first < len(leaves):
            numbers = [number for number in range(first, last + 1) if number in leaves]
        else:
            numbers = sorted(number for number in leaves if first <= number <= last)
        for number in numbers:
            leaf = leaves[number]
            for entry in (leaf,) if isinstance(leaf, int) else leaf[:LEAF_SLOTS]:
                if entry and start <= self._indexes[entry] < stop:
                    yield entry

    def walk_pool(self, pool: Pool) -> Iterator[int]:
        """Every entry of a pool, object by object."""
        for page_object in pool.objects.values():
            yield from self.walk(page_object, 0, INDEX_MAX + 1)

    def extents(
        self, pool: Pool, object_id: int, start: int, stop: int
    ) -> list[tuple[int, int, bool]]:
        """(start, length, stored?) runs that cover start..stop, in order."""
        runs: list[tuple[int, int, bool]] = []
        at = run_start = start  # start..run_start: absent or reported; run_start..at: stored
        page_object = pool.objects.get(object_id)
        entries = self.walk(page_object, start, stop) if page_object is not None else ()
        for index in map(self._indexes.__getitem__, entries):
            if index > at:
                if at > run_start:
                    runs.append((run_start, at - run_start, True))
                runs.append((at, index - at, False))
                run_start = index
            at = index + 1
        if at > run_start:
            runs.append((run_start, at - run_start, True))
        if at < stop:
            runs.append((at, stop - at, False))
        return runs

    def metadata_bytes(self) -> int:
        """Bytes of everything kept here."""
        per_object = sys.getsizeof(PageObject.__new__(PageObject)) + 2 * _KEY_BYTES
        total = self.leaf_bytes + self.object_count * per_object
        total += sys.getsizeof(self.objects) + sys.getsizeof(self._free_numbers)
        total += sys.getsizeof(self.pools)
        return total + sum(sys.getsizeof(pool.objects) for pool in self.pools if pool is not None)

    def _remove_object(self, page_object: PageObject) -> None:
        # A pool that is being destroyed is out of the table, but its objects still point to it.
        del page_object.pool.objects[page_object.object_id]
        self.objects[page_object.number] = None
        self._free_numbers.append(page_object.number)
        self.object_count -= 1
        self.leaf_bytes -= sys.getsizeof(page_object.leaves)
