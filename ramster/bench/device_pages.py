"""A device of pages as one client sees it, the same over the Python API and over NBD.

Covers: reading, writing and discarding pages by number, and one exception for "no room". Does not
cover: opening what is behind it (``targets.py``).
"""

from __future__ import annotations

import errno
from typing import Protocol

from ramster.errors import RamsterError, StoreFullError
from ramster.nbd.client import NbdClient
from ramster.store import PageStore
from zcache import PAGE_SIZE, Buffer

__all__ = ["DevicePages", "NbdPages", "PagesRefusedError", "StorePages"]


class PagesRefusedError(RamsterError):
    """There is no room: of the pages that were to be written, some are stored and some are not."""


class DevicePages(Protocol):
    """Pages 0, 1, ... of 4096 bytes; a page that was not written, or was discarded, is zeros."""

    async def write(self, first: int, payload: Buffer) -> None:
        """Write pages from ``first`` on. Raises PagesRefusedError; a page that was not stored is
        absent or as it was."""

    async def read(self, first: int, count: int) -> Buffer:
        """``count`` pages from ``first`` on."""

    async def discard(self, first: int, count: int) -> None:
        """Say that pages are no longer needed."""


class StorePages:
    """Pages of one object of a page store: the Python API."""

    def __init__(self, store: PageStore, pool_id: int, object_id: int) -> None:
        self._store = store
        self._pool = pool_id
        self._object = object_id

    async def write(self, first: int, payload: Buffer) -> None:
        """See ``DevicePages``."""
        indexes = range(first, first + len(payload) // PAGE_SIZE)
        try:
            await self._store.put_many(self._pool, self._object, indexes, payload)
        except StoreFullError as error:
            raise PagesRefusedError(str(error)) from error

    async def read(self, first: int, count: int) -> Buffer:
        """See ``DevicePages``."""
        into = bytearray(count * PAGE_SIZE)
        await self._store.get_many(self._pool, self._object, range(first, first + count), into)
        return into

    async def discard(self, first: int, count: int) -> None:
        """See ``DevicePages``."""
        await self._store.flush_range(self._pool, self._object, first, first + count)


class NbdPages:
    """Pages of an export, over one connection."""

    def __init__(self, client: NbdClient) -> None:
        self._client = client

    async def write(self, first: int, payload: Buffer) -> None:
        """See ``DevicePages``."""
        try:
            await self._client.write(first * PAGE_SIZE, payload)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            raise PagesRefusedError(str(error)) from error

    async def read(self, first: int, count: int) -> Buffer:
        """See ``DevicePages``."""
        return await self._client.read(first * PAGE_SIZE, count * PAGE_SIZE)

    async def discard(self, first: int, count: int) -> None:
        """See ``DevicePages``."""
        await self._client.trim(first * PAGE_SIZE, count * PAGE_SIZE)
