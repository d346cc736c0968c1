"""Which versions each page of the region may hold, whatever ran at the same time.

Covers: versions of writes and trims under way, done and failed; the check of what was read.
Does not cover: doing it (``workload.py``), which errors are allowed (``verdict.py``).

A page's versions are numbered as they are issued, one write or trim at a time. A read that overlaps
a write may see the page before or after it; after a failed one either content is allowed until a
read has shown which it is.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.chaos.contents import PAGE_BYTES, ZEROS, content, describe

__all__ = ["ReadMark", "RegionModel", "WrongPage"]

_BLANK = 0
"""The version of a page that was never written."""


@dataclass(frozen=True, slots=True)
class ReadMark:
    """What was allowed, issued, and under way when a read began."""

    first: int
    allowed: tuple[tuple[int, ...], ...]
    issued: tuple[int, ...]
    changing: frozenset[int]


@dataclass(frozen=True, slots=True)
class WrongPage:
    """A page whose content is none of those allowed."""

    page: int
    allowed: tuple[int, ...]
    found: str

    def __str__(self) -> str:
        versions = " or ".join(map(str, self.allowed))
        return f"page {self.page}: {self.found}, instead of version {versions}"


class RegionModel:
    """Pages 0 to ``pages`` of one export."""

    def __init__(self, seed: int, pages: int) -> None:
        self.seed = seed
        self.pages = pages
        self._issued = [_BLANK] * pages
        self._allowed: list[tuple[int, ...]] = [(_BLANK,)] * pages
        self._changing: set[int] = set()
        self._zeros: set[tuple[int, int]] = set()
        self._settled_at = [0.0] * pages

    def is_changing(self, first: int, count: int) -> bool:
        """Whether a write or trim of any of these pages is under way."""
        return not self._changing.isdisjoint(range(first, first + count))

    def settled_at(self, page: int) -> float:
        """When the last write or trim of the page that succeeded had begun."""
        return self._settled_at[page]

    def begin_write(self, first: int, count: int) -> bytes:
        """The payload of a write of fresh versions; end it with ``end_change``."""
        return b"".join(
            content(self.seed, page, self._issue(page)) for page in range(first, first + count)
        )

    def begin_trim(self, first: int, count: int) -> None:
        """The pages will be zeros; end it with ``end_change``."""
        for page in range(first, first + count):
            self._zeros.add((page, self._issue(page)))

    def _issue(self, page: int) -> int:
        if page in self._changing:
            raise ValueError(f"page {page} is being changed already")
        self._changing.add(page)
        self._issued[page] += 1
        self._allowed[page] += (self._issued[page],)
        return self._issued[page]

    def end_change(self, first: int, count: int, *, began_at: float, succeeded: bool) -> None:
        """The write or trim was answered. A failed one may have changed any of its pages."""
        for page in range(first, first + count):
            self._changing.remove(page)
            if succeeded:
                self._allowed[page] = (self._issued[page],)
                self._settled_at[page] = began_at

    def begin_read(self, first: int, count: int) -> ReadMark:
        """To be called before the request leaves."""
        stop = first + count
        return ReadMark(
            first,
            tuple(self._allowed[first:stop]),
            tuple(self._issued[first:stop]),
            frozenset(self._changing.intersection(range(first, stop))),
        )

    def check_read(self, mark: ReadMark, data: bytes) -> list[WrongPage]:
        """Compare what came with what may have come."""
        wrong = []
        for index, before in enumerate(mark.allowed):
            page = mark.first + index
            found = data[index * PAGE_BYTES : (index + 1) * PAGE_BYTES]
            allowed = (*before, *range(mark.issued[index] + 1, self._issued[page] + 1))
            # The latest first: most pages have one version only, and then this is it.
            for version in reversed(allowed):
                if found == self.expected(page, version):
                    if page not in mark.changing:
                        self._learn(page, mark.issued[index], version)
                    break
            else:
                wrong.append(WrongPage(page, allowed, describe(found)))
        return wrong

    def _learn(self, page: int, issued: int, version: int) -> None:
        """A read that nothing overlapped has shown what a failed write left behind."""
        overlapped = page in self._changing or self._issued[page] != issued
        if not overlapped and version in self._allowed[page]:
            self._allowed[page] = (version,)

    def expected(self, page: int, version: int) -> bytes:
        """The bytes of a version of a page."""
        if version == _BLANK or (page, version) in self._zeros:
            return ZEROS
        return content(self.seed, page, version)
