"""How many copies a page should have, and how many it has.

Covers: the number wanted by each pool, and what counts as a copy. Does not cover: making the
missing ones (``relocator.py``), where the first ones go (``spiller.py``).

Ephemeral pages have one copy: they may be lost anyway. A copy in the write-back file counts as all
of them: no lender's death can take it. With ``writeback_safety`` a page without one lacks it.
"""

from __future__ import annotations

from collections.abc import Callable

from ramster.cluster_config import ClusterConfig
from ramster.errors import ConfigurationError
from ramster.lenders import Lender, Place
from ramster.limits import REPLICAS_MAX
from zcache import PoolKind

__all__ = ["Replication"]


class Replication:
    """The rule of one node. ``holds``: whether a lender is believed to have what it was given."""

    def __init__(self, config: ClusterConfig, holds: Callable[[Lender], bool]) -> None:
        self._config = config
        self._holds = holds
        self._own: dict[int, int] = {}
        """Pools that have a number of their own."""

    def set_pool(self, pool_id: int, copies: int) -> None:
        """Let a pool's pages have so many copies. Raises ConfigurationError."""
        if not 1 <= copies <= REPLICAS_MAX:
            raise ConfigurationError("replicas", copies, "create_pool", f"1 to {REPLICAS_MAX}")
        self._own[pool_id] = copies

    def forget_pool(self, pool_id: int) -> None:
        """A pool is gone, and its number may be given to another one."""
        self._own.pop(pool_id, None)

    def copies(self, pool_id: int, kind: PoolKind) -> int:
        """Copies that a page of the pool should have when it leaves."""
        if kind is PoolKind.EPHEMERAL:
            return 1
        return self._own.get(pool_id, self._config.replicas)

    def least(self, copies: int) -> int:
        """Copies with which a page may leave when there are not lenders enough for all."""
        return min(copies, self._config.replicas_min)

    @property
    def most(self) -> int:
        """The largest number that any pool asks for."""
        return max(self._config.replicas, *self._own.values(), 1)

    def held(self, place: Place) -> tuple[Lender, ...]:
        """The lenders of a place that are believed to have their copies."""
        return tuple(lender for lender in place.lenders if self._holds(lender))

    def missing(self, place: Place) -> int:
        """Copies that pages of a place lack; of one that is lost altogether, all."""
        if place.disk:
            return 0
        missing = max(0, place.copies - len(self.held(place)))
        if self._config.writeback_safety and place.kind is PoolKind.PERSISTENT:
            return max(1, missing)
        return missing
