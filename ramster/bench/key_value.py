"""Pages of 4 KiB by key behind one small interface, and the stores of this project behind it.

Covers: a dictionary, zcache in process, a node on a thread, a node over NBD. Does not cover: other
stores (``key_value_clients.py``), opening one (``key_value_stores.py``).
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence

from ramster.bench.server_process import held_bytes
from ramster.embed import EmbeddedNode
from ramster.nbd.client import NbdClient
from zcache import PAGE_SIZE, Cache, CacheConfig, PoolKind

__all__ = ["CachePages", "Dictionary", "EmbeddedPages", "KeyValue", "NbdPages"]

_OBJECT = 1


class KeyValue(ABC):
    """Pages of 4096 bytes by a number. A call that fails raises what its client raises."""

    @abstractmethod
    def set(self, key: int, page: bytes) -> None:
        """Store one page."""

    @abstractmethod
    def get(self, key: int) -> bytes | None:
        """One page; None: it is not there."""

    @abstractmethod
    def set_many(self, first: int, pages: Sequence[bytes]) -> None:
        """Store pages under consecutive keys."""

    @abstractmethod
    def get_many(self, first: int, count: int) -> Sequence[bytes | None]:
        """Pages of consecutive keys."""

    def held(self) -> int:
        """Bytes of memory outside of this process that hold pages."""
        return 0


class Dictionary(KeyValue):
    """Pages as they are, each a copy."""

    def __init__(self) -> None:
        self._pages: dict[int, bytes] = {}

    def set(self, key: int, page: bytes) -> None:
        """See ``KeyValue``."""
        self._pages[key] = bytes(memoryview(page))

    def get(self, key: int) -> bytes | None:
        """See ``KeyValue``."""
        return self._pages.get(key)

    def set_many(self, first: int, pages: Sequence[bytes]) -> None:
        """See ``KeyValue``."""
        for number, page in enumerate(pages, first):
            self._pages[number] = bytes(memoryview(page))

    def get_many(self, first: int, count: int) -> Sequence[bytes | None]:
        """See ``KeyValue``."""
        return [self._pages.get(key) for key in range(first, first + count)]


class CachePages(KeyValue):
    """zcache's cache in this process."""

    def __init__(self, data_bytes: int) -> None:
        self._cache = Cache(CacheConfig(pool_bytes_max=2 * data_bytes))
        self._pool = self._cache.create_pool(PoolKind.PERSISTENT)

    def set(self, key: int, page: bytes) -> None:
        """See ``KeyValue``."""
        self._cache.put(self._pool, _OBJECT, key, page)

    def get(self, key: int) -> bytes | None:
        """See ``KeyValue``."""
        found = self._cache.get(self._pool, _OBJECT, key)
        assert found is None or isinstance(found, bytes)  # without peers nothing is away
        return found

    def set_many(self, first: int, pages: Sequence[bytes]) -> None:
        """See ``KeyValue``."""
        indexes = range(first, first + len(pages))
        self._cache.put_many(self._pool, _OBJECT, indexes, b"".join(pages))

    def get_many(self, first: int, count: int) -> Sequence[bytes | None]:
        """See ``KeyValue``."""
        into = bytearray(count * PAGE_SIZE)
        found, _ = self._cache.get_many(self._pool, _OBJECT, range(first, first + count), into)
        return _apart(into, found)


class EmbeddedPages(KeyValue):
    """A node on a thread of this process."""

    def __init__(self, node: EmbeddedNode) -> None:
        self._node = node
        self._pool = node.create_pool(PoolKind.PERSISTENT)

    def set(self, key: int, page: bytes) -> None:
        """See ``KeyValue``."""
        self._node.put(self._pool, _OBJECT, key, page)

    def get(self, key: int) -> bytes | None:
        """See ``KeyValue``."""
        return self._node.get(self._pool, _OBJECT, key)

    def set_many(self, first: int, pages: Sequence[bytes]) -> None:
        """See ``KeyValue``."""
        indexes = range(first, first + len(pages))
        self._node.put_many(self._pool, _OBJECT, indexes, b"".join(pages))

    def get_many(self, first: int, count: int) -> Sequence[bytes | None]:
        """See ``KeyValue``."""
        into = bytearray(count * PAGE_SIZE)
        found = self._node.get_many(self._pool, _OBJECT, range(first, first + count), into)
        return _apart(into, found)


class NbdPages(KeyValue):
    """A node in a process of its own, as a block device: a key is a place there."""

    def __init__(self, loop: asyncio.AbstractEventLoop, client: NbdClient, pid: int) -> None:
        self._run = loop.run_until_complete
        self._client = client
        self._pid = pid

    def set(self, key: int, page: bytes) -> None:
        """See ``KeyValue``."""
        self._run(self._client.write(key * PAGE_SIZE, page))

    def get(self, key: int) -> bytes:
        """See ``KeyValue``."""
        return self._run(self._client.read(key * PAGE_SIZE, PAGE_SIZE))

    def set_many(self, first: int, pages: Sequence[bytes]) -> None:
        """See ``KeyValue``."""
        self._run(self._client.write(first * PAGE_SIZE, b"".join(pages)))

    def get_many(self, first: int, count: int) -> Sequence[bytes | None]:
        """See ``KeyValue``."""
        data = self._run(self._client.read(first * PAGE_SIZE, count * PAGE_SIZE))
        return _apart(data, b"\x01" * count)

    def held(self) -> int:
        """See ``KeyValue``."""
        return held_bytes(self._pid)


def _apart(data: bytes | bytearray, found: bytes) -> list[bytes | None]:
    return [
        bytes(data[n * PAGE_SIZE : (n + 1) * PAGE_SIZE]) if there else None
        for n, there in enumerate(found)
    ]
