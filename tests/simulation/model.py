"""What the pages of one program may contain, and the contents themselves.

Covers: contents that say which page and version they are, and the set of versions that each page
may have after each operation, with every change on record for readers beside the writer. Does not
cover: operations (``workload.py``).
"""

from __future__ import annotations

from random import Random

from zcache import PAGE_SIZE

_RANDOM_BYTES = Random("contents of pages").randbytes(1 << 16)
_SIZES = (200, 900, 1500, 2048, 2048, 3000, 4096)
"""Bytes of a page that do not compress; the rest is zeros."""

Versions = frozenset[int | None]
"""What a page may be; None: absent."""

ABSENT: Versions = frozenset((None,))
ROT_PERIOD = 11
"""One version in so many is a page that repeats one byte."""


def page_of(program: str, index: int, version: int) -> bytes:
    """The content of a page."""
    if version % ROT_PERIOD == 0:
        return bytes((version % 255 + 1,)) * PAGE_SIZE
    head = f"{program} page {index} version {version};".encode()
    mix = index * 7919 + version * 104729 + len(head)
    size = _SIZES[mix % len(_SIZES)]
    start = mix * 31 % ((1 << 16) - size)
    return (head + _RANDOM_BYTES[start : start + size] + bytes(PAGE_SIZE))[:PAGE_SIZE]


class PageModel:
    """The pages of one program that is alone in writing them."""

    def __init__(self, program: str) -> None:
        self.program = program
        self._may_be: dict[int, Versions] = {}
        self._stored_at: dict[int, float] = {}
        self._version = 0
        self.changes: list[tuple[int, Versions]] = []
        """Every change so far."""

    def next_version(self) -> int:
        """A version that no page had before."""
        self._version += 1
        return self._version

    def versions(self, index: int) -> Versions:
        """What a page may be now."""
        return self._may_be.get(index, ABSENT)

    def set(self, index: int, versions: Versions) -> None:
        """From now on a page is one of these."""
        if self.versions(index) != versions:
            self._may_be[index] = versions
            self.changes.append((index, versions))

    def stored(self, index: int, version: int, at: float) -> None:
        """A put was accepted."""
        self.set(index, frozenset((version,)))
        self._stored_at[index] = at

    def stored_at(self, index: int) -> float:
        """When the page was last stored for certain; minus infinity if never."""
        return self._stored_at.get(index, -float("inf"))

    def clear(self) -> None:
        """No page is there any more."""
        for index in list(self._may_be):
            self.set(index, ABSENT)

    def indexes(self) -> list[int]:
        """Pages that may be there."""
        return sorted(i for i, versions in self._may_be.items() if versions != ABSENT)

    def changed_since(self, mark: int, index: int) -> list[Versions]:
        """What a page became after ``changes`` had ``mark`` entries."""
        return [versions for at, versions in self.changes[mark:] if at == index]

    def match(self, index: int, page: bytes, versions: Versions) -> Versions:
        """Those of the versions that a page can be."""
        return frozenset(
            version
            for version in versions
            if version is not None and page_of(self.program, index, version) == page
        )
