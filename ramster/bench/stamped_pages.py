"""Pages that can be told apart and checked: made ones with a stamp in front.

Covers: the content of page N in version V, and the check of what came back. Does not cover: what
pages look like behind the stamp (``pages.py``).

The stamp takes the first 16 bytes, so no two pages are equal and a page of another place or of an
older version is found out; the rest is one of a few hundred made pages, compared byte for byte.
"""

from __future__ import annotations

from struct import Struct

from ramster.bench.pages import made
from zcache import PAGE_SIZE, Buffer

__all__ = ["StampedPages", "stamped"]

_STAMP = Struct("<QQ")
_DISTINCT = 512


def stamped(ratio: float, seed: int, distinct: int = _DISTINCT) -> StampedPages:
    """Stamped pages that compress ``ratio`` to 1 (a little less with the stamp)."""
    return StampedPages(made(distinct, ratio, seed=seed))


class StampedPages:
    """The content of pages by number and version; ``pages``: what they look like, in turns."""

    def __init__(self, pages: bytes) -> None:
        self._rest = [
            pages[at + _STAMP.size : at + PAGE_SIZE] for at in range(0, len(pages), PAGE_SIZE)
        ]

    def page(self, number: int, version: int = 0) -> bytes:
        """4096 bytes."""
        return _STAMP.pack(number, version) + self._rest[number % len(self._rest)]

    def run(self, first: int, count: int, version: int = 0) -> bytes:
        """The pages first .. first + count - 1, back to back."""
        return b"".join([self.page(number, version) for number in range(first, first + count)])

    def check(self, number: int, version: int, page: Buffer) -> None:
        """Raises AssertionError, with what came instead, unless ``page`` is just this one."""
        got = bytes(page)
        if got != self.page(number, version):
            raise AssertionError(
                f"page {number} version {version} came back wrong: {self._describe(got)}"
            )

    def check_run(self, first: int, count: int, version: int, pages: Buffer) -> None:
        """``check`` for pages back to back."""
        if bytes(pages) != self.run(first, count, version):
            for at in range(count):
                self.check(first + at, version, pages[at * PAGE_SIZE : (at + 1) * PAGE_SIZE])
            raise AssertionError(f"{len(pages)} bytes came for {count} pages")

    def _describe(self, got: bytes) -> str:
        if len(got) != PAGE_SIZE:
            return f"{len(got)} bytes"
        if not any(got):
            return "zeros"
        number, version = _STAMP.unpack_from(got)
        if got == self.page(number, version):
            return f"it is page {number} version {version}"
        return "its bytes are no page's"
