"""Copies elsewhere that are no longer wanted, until the layer above fetches their names.

Covers: one queue for every cause, as columns. Not safe for threads: the cache's lock is held.
"""

from __future__ import annotations

import sys
from collections.abc import MutableSequence

from zcache.page import AwayPages

__all__ = ["DisplacedQueue"]


class DisplacedQueue:
    """First in, first out; each copy is handed out once."""

    def __init__(self) -> None:
        self._pages = AwayPages()

    def __len__(self) -> int:
        return len(self._pages)

    def append(
        self, key: int, generation: int, length: int, encoding: int, checksum: int, where: int
    ) -> None:
        """Queue one copy."""
        pages = self._pages
        pages.positions.append(0)
        pages.keys.append(key)
        pages.generations.append(generation)
        pages.lengths.append(length)
        pages.encodings.append(encoding)
        pages.checksums.append(checksum)
        pages.wheres.append(where)

    def drain(self, pages_max: int) -> AwayPages:
        """Take out up to that many, oldest first."""
        pages = self._pages
        if len(pages) <= pages_max:
            self._pages = AwayPages()
            return pages
        taken = AwayPages(
            positions=pages.positions[:pages_max],
            keys=pages.keys[:pages_max],
            generations=pages.generations[:pages_max],
            lengths=pages.lengths[:pages_max],
            encodings=pages.encodings[:pages_max],
            checksums=pages.checksums[:pages_max],
            wheres=pages.wheres[:pages_max],
        )
        for column in self._columns():
            del column[:pages_max]
        return taken

    def metadata_bytes(self) -> int:
        """Bytes of the columns."""
        return sum(sys.getsizeof(column) for column in self._columns())

    def _columns(self) -> tuple[MutableSequence[int], ...]:
        pages = self._pages
        return (
            pages.positions, pages.keys, pages.generations, pages.lengths, pages.encodings,
            pages.checksums, pages.wheres,
        )  # fmt: skip
