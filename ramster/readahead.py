"""Reading ahead of sequential readers, and which fetched pages come home.

Covers: recognising sequences (``SequentialStreams``), pages fetched before they are asked for
(``ReadaheadBuffer``), pages fetched more than once (``RecentFetches``). All bounded, none per page.
Does not cover: fetching (``fetcher.py``).
"""

from __future__ import annotations

from collections import OrderedDict

from ramster.blobs import Blob

__all__ = ["ReadaheadBuffer", "RecentFetches", "SequentialStreams"]

WINDOW_PAGES_MIN = 4
STREAMS_MAX = 256


class SequentialStreams:
    """Readers that go forward page by page, by (pool, object, next index).

    The window doubles with every fetch that goes on where an earlier one ended, from 4 pages to the
    limit (as the on-demand readahead of Linux mm/readahead.c does), so a random reader fetches
    nothing in vain and a sequential one soon fetches much at once. The least recently continued
    stream of too many is forgotten.
    """

    def __init__(self, pages_max: int) -> None:
        self._pages_max = pages_max
        self._windows: OrderedDict[tuple[int, int, int], int] = OrderedDict()

    def window(self, pool_id: int, object_id: int, first: int, stop: int) -> int:
        """Pages to read beyond ``stop``, for a get of away pages from ``first`` up to it."""
        if not self._pages_max:
            return 0
        before = self._windows.pop((pool_id, object_id, first), 0)
        after = min(max(WINDOW_PAGES_MIN, before * 2), self._pages_max)
        self._windows[pool_id, object_id, stop] = after
        if len(self._windows) > STREAMS_MAX:
            self._windows.popitem(last=False)
        return before


class ReadaheadBuffer:
    """Compressed pages fetched ahead, by (key, generation), oldest out first.

    A page that changed meanwhile has another generation, so an entry can be useless but never
    wrong; the cache verifies it against the stub like any other blob when it is used.
    """

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._blobs: OrderedDict[tuple[int, int], Blob] = OrderedDict()
        self._bytes = 0
        self.wasted = 0
        """Pages dropped unread."""

    def __len__(self) -> int:
        return len(self._blobs)

    @property
    def bytes_held(self) -> int:
        """Bytes of blobs held."""
        return self._bytes

    def __contains__(self, name: tuple[int, int]) -> bool:
        return name in self._blobs

    def put(self, blob: Blob) -> None:
        """Keep a page until it is asked for or newer ones need the space."""
        name = (blob.key, blob.generation)
        former = self._blobs.pop(name, None)
        if former is not None:
            self._bytes -= former.length
        self._blobs[name] = blob
        self._bytes += blob.length
        while self._bytes > self._bytes_max:
            _, dropped = self._blobs.popitem(last=False)
            self._bytes -= dropped.length
            self.wasted += 1

    def take(self, key: int, generation: int) -> Blob | None:
        """Hand out a page, once."""
        blob = self._blobs.pop((key, generation), None)
        if blob is not None:
            self._bytes -= blob.length
        return blob


class RecentFetches:
    """Whether a page was fetched lately: two bit maps that take turns, so that old marks fade.

    A page's second fetch within about ``marks`` others says that it is in use again and had better
    come home even if a colder one must leave for it. False positives (about one in eight when a
    map is full) cost one needless move.
    """

    def __init__(self, marks: int = 65536) -> None:
        self._marks = marks
        self._bits = marks * 8
        self._current = bytearray(self._bits // 8)
        self._former = bytearray(self._bits // 8)
        self._count = 0

    def seen(self, key: int) -> bool:
        """Whether the key is marked; marks it."""
        # Fibonacci hashing (Knuth, TAOCP 3, 6.4): the high bits of the product are well mixed.
        bit = ((key * 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF) * self._bits >> 64
        byte, mask = bit >> 3, 1 << (bit & 7)
        before = bool((self._current[byte] | self._former[byte]) & mask)
        if not self._current[byte] & mask:
            self._current[byte] |= mask
            self._count += 1
            if self._count >= self._marks:
                self._former, self._current = self._current, bytearray(self._bits // 8)
                self._count = 0
        return before
