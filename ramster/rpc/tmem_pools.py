"""The pools of programs: named, found again by name, and never another's.

Covers: names, ids, and which pools of the store belong to the Tmem API. Does not cover: pages.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass

from ramster.store import PageStore
from zcache import NoSuchPoolError, PoolKind, PoolTableFullError

__all__ = ["PoolExistsError", "ProgramPool", "ProgramPools"]

POOLS_MAX = 4096
"""Upper bound of pools of programs at one node."""


class PoolExistsError(Exception):
    """The name belongs to a pool of other properties; the text says which."""


@dataclass(frozen=True, slots=True)
class ProgramPool:
    """One pool of programs."""

    pool_id: int
    """Known to programs: random, so that an id kept from before never names a newer pool."""
    name: str
    kind: PoolKind
    exclusive_gets: bool
    codec: str | None
    """None: as the node is configured."""
    store_pool_id: int
    """The store's own number; ids of destroyed pools are given out again, so it stays inside."""


class ProgramPools:
    """All pools of programs at one node."""

    def __init__(self, store: PageStore) -> None:
        self._store = store
        self._by_id: dict[int, ProgramPool] = {}
        self._by_name: dict[str, ProgramPool] = {}

    def obtain(
        self, name: str, kind: PoolKind, exclusive_gets: bool, codec: str | None = None
    ) -> tuple[ProgramPool, bool]:
        """The pool of this name, and whether it was made now.

        Raises PoolExistsError, zcache's PoolTableFullError, and what ``PageStore.create_pool``
        raises.
        """
        known = self._by_name.get(name)
        if known is not None:
            properties = (known.kind, known.exclusive_gets, known.codec)
            if properties != (kind, exclusive_gets, codec):
                raise PoolExistsError(
                    f"pool {name!r} exists: {known.kind.name.lower()}, "
                    f"exclusive_gets {str(known.exclusive_gets).lower()}, "
                    f"codec {known.codec or 'as configured'}"
                )
            return known, False
        if len(self._by_id) >= POOLS_MAX:
            raise PoolTableFullError(POOLS_MAX)
        store_pool_id = self._store.create_pool(kind, exclusive_gets=exclusive_gets, codec=codec)
        pool = ProgramPool(secrets.randbits(64), name, kind, exclusive_gets, codec, store_pool_id)
        self._by_id[pool.pool_id] = self._by_name[name] = pool
        return pool, True

    def find(self, pool_id: int) -> ProgramPool:
        """Raises zcache's NoSuchPoolError."""
        try:
            return self._by_id[pool_id]
        except KeyError:
            raise NoSuchPoolError(pool_id) from None

    def __iter__(self) -> Iterator[ProgramPool]:
        return iter(tuple(self._by_id.values()))

    async def destroy(self, pool_id: int) -> int:
        """Remove a pool; returns how many pages it had. From the first moment on it is not found
        any more.
        """
        pool = self.find(pool_id)
        del self._by_id[pool_id], self._by_name[pool.name]
        return await self._store.destroy_pool(pool.store_pool_id)
