"""A file cache as a program has it: blocks of a file, kept while there is room for them.

Covers: the same cache over an ephemeral pool (the store drops what it likes) and over a block
device (nothing may vanish there, so the program drops blocks itself); the file and its disk. Does
not cover: in which order blocks are read (``cache_doublemem.py``).
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import OrderedDict
from pathlib import Path
from typing import Protocol, Self

from ramster.bench.device_pages import DevicePages, PagesRefusedError
from ramster.store import PageStore
from zcache import PAGE_SIZE, Buffer, GetFree, PoolKind

__all__ = ["DeviceFileCache", "FileCache", "SlowFile", "StoreFileCache"]


class FileCache(Protocol):
    """Blocks of ``block_pages`` pages by number; any of them may be gone at any time."""

    async def get(self, block: int) -> Buffer | None:
        """The block, if all of it is there."""

    async def put(self, block: int, data: Buffer) -> None:
        """Keep a block, if there is room or room can be made."""


class StoreFileCache:
    """Over an ephemeral pool of a page store, as cleancache is used.

    Unlike cleancache's, a get leaves the page where it is: there is no page cache in front of this
    one that would put it again.
    """

    def __init__(self, store: PageStore, block_pages: int) -> None:
        self._store = store
        self._block_pages = block_pages
        self._pool = store.create_pool(PoolKind.EPHEMERAL)

    async def get(self, block: int) -> Buffer | None:
        """See ``FileCache``."""
        into = bytearray(self._block_pages * PAGE_SIZE)
        present = await self._store.get_many(
            self._pool, 1, self._pages(block), into, free=GetFree.NEVER
        )
        return into if all(present) else None

    async def put(self, block: int, data: Buffer) -> None:
        """See ``FileCache``."""
        await self._store.put_many(self._pool, 1, self._pages(block), data)

    def _pages(self, block: int) -> range:
        return range(block * self._block_pages, (block + 1) * self._block_pages)


class DeviceFileCache:
    """Over a block device, as a cache on a disk is used: what was written stays until discarded.

    The program keeps the list of what is there, and discards the least recently used blocks when
    the device has no room. Clients share one cache.
    """

    _DISCARDED_AT_ONCE = 8

    def __init__(self, device: DevicePages, block_pages: int) -> None:
        self._device = device
        self._block_pages = block_pages
        self._kept: OrderedDict[int, None] = OrderedDict()
        """Blocks on the device, the least recently used first."""
        self.blocks_dropped = 0

    async def get(self, block: int) -> Buffer | None:
        """See ``FileCache``."""
        if block not in self._kept:
            return None
        self._kept.move_to_end(block)
        data = await self._device.read(block * self._block_pages, self._block_pages)
        return data if block in self._kept else None  # another client's put made room meanwhile

    async def put(self, block: int, data: Buffer) -> None:
        """See ``FileCache``."""
        while True:
            try:
                await self._device.write(block * self._block_pages, data)
            except PagesRefusedError:
                self._kept.pop(block, None)  # of another client, perhaps; its content goes as well
                await self._discard(block)
                if not self._kept:
                    return
                for _ in range(min(self._DISCARDED_AT_ONCE, len(self._kept))):
                    oldest, _none = self._kept.popitem(last=False)
                    self.blocks_dropped += 1
                    await self._discard(oldest)
            else:
                self._kept[block] = None
                self._kept.move_to_end(block)
                return

    async def _discard(self, block: int) -> None:
        await self._device.discard(block * self._block_pages, self._block_pages)


class SlowFile:
    """A file on a disk that answers ``delay_s`` after it was asked, however fast it is in truth.

    A file that was just written is in the kernel's page cache, and may be in a tmpfs: the delay
    stands for the disk. While it lasts others have their turn on the event loop.
    """

    def __init__(self, path: Path, delay_s: float) -> None:
        self._fd = os.open(path, os.O_RDONLY)
        self._delay_s = delay_s
        self.reads = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)

    async def read(self, offset: int, length: int) -> bytes:
        """Bytes of the file."""
        ready = time.perf_counter() + self._delay_s
        self.reads += 1
        data = os.pread(self._fd, length, offset)
        # A timer of the event loop is no finer than 1 ms, ten times what a fast disk takes.
        while time.perf_counter() < ready:  # noqa: ASYNC110  there is no event to wait for
            await asyncio.sleep(0)
        return data
