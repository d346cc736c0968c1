"""Pages of 4 KiB by key in Redis, memcached and diskcache, each with its own client's best calls.

Covers: the interface ``KeyValue`` over redis-py, pymemcache and diskcache. Does not cover: the
servers (``key_value_servers.py``).
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ramster.bench.key_value import KeyValue
from ramster.bench.key_value_servers import KeyValueServer
from ramster.bench.model import WorkloadUnavailable
from ramster.bench.server_process import file_bytes

__all__ = ["DiskcachePages", "MemcachedPages", "RedisPages", "load_client"]


class RedisPages(KeyValue):
    """Redis over redis-py (with hiredis where it is installed)."""

    def __init__(self, server: KeyValueServer) -> None:
        redis = load_client("redis")
        where = server.address
        self._client = (
            redis.Redis(unix_socket_path=where)
            if isinstance(where, str)
            else redis.Redis(host=where[0], port=where[1])
        )
        self._server = server

    def set(self, key: int, page: bytes) -> None:
        """See ``KeyValue``."""
        self._client.set(key, page)

    def get(self, key: int) -> bytes | None:
        """See ``KeyValue``."""
        found: bytes | None = self._client.get(key)
        return found

    def set_many(self, first: int, pages: Sequence[bytes]) -> None:
        """See ``KeyValue``."""
        self._client.mset(dict(enumerate(pages, first)))

    def get_many(self, first: int, count: int) -> Sequence[bytes | None]:
        """See ``KeyValue``."""
        found: list[bytes | None] = self._client.mget(range(first, first + count))
        return found

    def held(self) -> int:
        """See ``KeyValue``."""
        return self._server.held()

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


class MemcachedPages(KeyValue):
    """memcached over pymemcache."""

    def __init__(self, server: KeyValueServer) -> None:
        load_client("pymemcache")
        base = importlib.import_module("pymemcache.client.base")
        self._client = base.Client(server.address, default_noreply=False, no_delay=True)
        self._server = server

    def set(self, key: int, page: bytes) -> None:
        """See ``KeyValue``."""
        stored = self._client.set(str(key), page)
        assert stored, f"memcached did not store page {key}"

    def get(self, key: int) -> bytes | None:
        """See ``KeyValue``."""
        found: bytes | None = self._client.get(str(key))
        return found

    def set_many(self, first: int, pages: Sequence[bytes]) -> None:
        """See ``KeyValue``."""
        failed = self._client.set_many({str(n): page for n, page in enumerate(pages, first)})
        assert not failed, f"memcached did not store pages {failed}"

    def get_many(self, first: int, count: int) -> Sequence[bytes | None]:
        """See ``KeyValue``."""
        keys = [str(key) for key in range(first, first + count)]
        found: dict[str, bytes] = self._client.get_many(keys)
        return [found.get(key) for key in keys]

    def held(self) -> int:
        """See ``KeyValue``."""
        return self._server.held()

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


class DiskcachePages(KeyValue):
    """diskcache: files and SQLite in the scratch folder, a tmpfs where there is one."""

    def __init__(self, folder: Path, data_bytes: int) -> None:
        diskcache = load_client("diskcache")
        self._folder = folder
        self._cache = diskcache.Cache(
            str(folder), size_limit=16 * data_bytes, eviction_policy="none"
        )

    def set(self, key: int, page: bytes) -> None:
        """See ``KeyValue``."""
        self._cache.set(key, page)

    def get(self, key: int) -> bytes | None:
        """See ``KeyValue``."""
        found: bytes | None = self._cache.get(key)
        return found

    def set_many(self, first: int, pages: Sequence[bytes]) -> None:
        """See ``KeyValue``."""
        with self._cache.transact():
            for key, page in enumerate(pages, first):
                self._cache.set(key, page)

    def get_many(self, first: int, count: int) -> Sequence[bytes | None]:
        """See ``KeyValue``."""
        with self._cache.transact():
            return [self._cache.get(key) for key in range(first, first + count)]

    def held(self) -> int:
        """See ``KeyValue``."""
        return file_bytes(self._folder)

    def close(self) -> None:
        """Close the database."""
        self._cache.close()


def load_client(name: str) -> Any:
    """A client's module. Raises WorkloadUnavailable, which says how to get it."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise WorkloadUnavailable(
            f"{name} cannot be loaded ({error}): pip install 'ramster[bench-peers]'"
        ) from error
