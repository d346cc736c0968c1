"""The reference implementation of a cache, in Python.

Covers: the operations of ``contract.py``, the lock, gets and flushes; the rest is delegated.
Read next: ``entries.py`` (what is kept), ``put.py``, ``reclaim.py``, ``spill.py``,
``repatriation.py``,
``lending.py``.

Locking: one lock over everything that is kept. Pages are encoded before it is taken and decoded
after it was released; only gets that free their pages decode under it, because a page that turns
out corrupt is to stay. A batch is stored in runs of ``_RUN`` pages a lock, so that other threads
get in between.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import islice
from uuid import UUID

from zcache import gauges, verify, zstd
from zcache.codec import ENCODINGS, decode, encode_many, encode_page, pages_view
from zcache.config import CacheConfig, check_codec
from zcache.entries import Entries
from zcache.errors import BadHandleError, ConfigError, CorruptPageError, PutRefusedError
from zcache.get import (
    count_corrupt,
    decode_into,
    frees,
    read_freeing,
    read_one,
    read_run,
)
from zcache.lending import Lending
from zcache.page import (
    INDEX_MAX,
    PAGE_SIZE,
    AwayPage,
    AwayPages,
    Buffer,
    GetFree,
    PackedBlobs,
    PoolKind,
    SpillTicket,
    check_handle,
)
from zcache.put import put_as_flush, store_page, store_pages
from zcache.reclaim import drop_above_limits
from zcache.repatriation import Repatriation
from zcache.spill import SpillDesk
from zcache.stats import CacheStats

__all__ = ["Cache"]

_RUN = 64


class Cache:
    """A compressed page cache with a hard limit; see ``CacheContract`` for every operation."""

    def __init__(self, config: CacheConfig | None = None) -> None:
        config = config or CacheConfig()
        check_codec(config.codec, zstd=zstd.INSTALLED)
        self._entries = Entries(config)
        self._lock = threading.Lock()
        self._spills = SpillDesk(self._entries)
        self._repatriation = Repatriation(self._entries, self._lock)
        self._lending = Lending(self._entries, self._lock)

    @property
    def backend(self) -> str:
        """Name of the implementation."""
        return "python"

    @property
    def config(self) -> CacheConfig:
        """The configuration in force."""
        return self._entries.config

    def reconfigure(self, **changes: object) -> CacheConfig:
        """See ``CacheContract.reconfigure``."""
        entries = self._entries
        with self._lock:
            unknown = changes.keys() - set(CacheConfig.__slots__)
            if unknown:
                raise ConfigError(min(unknown), changes[min(unknown)], "a knob of CacheConfig")
            config = replace(entries.config, **changes)  # type: ignore[arg-type]
            check_codec(config.codec, zstd=zstd.INSTALLED)
            if config.chain_frames_max != entries.config.chain_frames_max:
                raise ConfigError(
                    "chain_frames_max",
                    config.chain_frames_max,
                    "the value that the cache began with",
                )
            entries.configure(config)
            drop_above_limits(entries)
            return config

    # -- pools -------------------------------------------------------------------------------------

    def create_pool(
        self,
        kind: PoolKind,
        *,
        exclusive_gets: bool = False,
        shared_uuid: UUID | None = None,
        foreign: bool = False,
        codec: str | None = None,
    ) -> int:
        """See ``CacheContract.create_pool``."""
        if codec is not None:
            check_codec(codec, zstd=zstd.INSTALLED)
        with self._lock:
            pool = self._entries.index.create_pool(
                PoolKind(kind),
                exclusive=exclusive_gets,
                uuid=shared_uuid,
                foreign=foreign,
                codec=codec,
            )
            return pool.pool_id

    def pool_pages(self, pool_id: int) -> int:
        """See ``CacheContract.pool_pages``."""
        with self._lock:
            return self._entries.index.pool_pages(pool_id)

    def empty_pool(self, pool_id: int, pages_max: int) -> int:
        """See ``CacheContract.empty_pool``."""
        index = self._entries.index
        with self._lock:
            pool = index.any_pool(pool_id)
            return self._drop_all(islice(index.walk_pool(pool), pages_max))

    def destroy_pool(self, pool_id: int) -> int:
        """See ``CacheContract.destroy_pool``."""
        index = self._entries.index
        with self._lock:
            return self._drop_all(index.walk_pool(index.remove_pool(pool_id)))

    def _drop_all(self, found: Iterable[int]) -> int:
        """Drop entries; returns how many. The caller holds the lock."""
        self._entries.note_peaks()
        dropping = list(found)  # dropping changes what is walked over
        for entry in dropping:
            self._entries.drop(entry)
        self._entries.table.shrink_if_empty()
        return len(dropping)

    # -- pages -------------------------------------------------------------------------------------

    def put(
        self, pool_id: int, object_id: int, index: int, page: Buffer, *, keep_old: bool = False
    ) -> None:
        """See ``CacheContract.put``."""
        check_handle(object_id, index)
        entries = self._entries
        view = pages_view(page, 1)
        with self._lock:
            pool = entries.index.pool(pool_id)
            config = entries.config
        codec = pool.codec or config.codec
        blob, checksum = encode_page(
            view,
            codec,
            entries.zsmalloc.table.huge_length,
            refuse=config.incompressible == "refuse",
        )
        with self._lock:
            pool = entries.index.pool(pool_id)
            if entries.frozen:
                put_as_flush(entries, pool, object_id, (index,))
            else:
                store_page(
                    entries,
                    pool,
                    object_id,
                    index,
                    blob,
                    checksum,
                    ENCODINGS[codec],
                    keep_old=keep_old,
                )

    def put_many(
        self,
        pool_id: int,
        object_id: int,
        indexes: Sequence[int],
        payload: Buffer,
        *,
        keep_old: bool = False,
    ) -> None:
        """See ``CacheContract.put_many``."""
        _check_indexes(object_id, indexes)
        view = pages_view(payload, len(indexes))
        entries = self._entries
        huge_length = entries.zsmalloc.table.huge_length
        with self._lock:
            pool_codec = entries.index.pool(pool_id).codec
        for start in range(0, len(indexes), _RUN):
            run = indexes[start : start + _RUN]
            config = entries.config
            codec = pool_codec or config.codec
            blobs, checksums = encode_many(
                view[start * PAGE_SIZE : (start + _RUN) * PAGE_SIZE],
                codec,
                huge_length,
                refuse=config.incompressible == "refuse",
            )
            with self._lock:
                pool = entries.index.pool(pool_id)
                if entries.frozen:
                    put_as_flush(entries, pool, object_id, run)
                    continue
                try:
                    store_pages(
                        entries,
                        pool,
                        object_id,
                        run,
                        blobs,
                        checksums,
                        ENCODINGS[codec],
                        keep_old=keep_old,
                    )
                except PutRefusedError as refused:
                    refused.stored += start
                    raise

    def get(
        self, pool_id: int, object_id: int, index: int, *, free: GetFree = GetFree.BY_KIND
    ) -> bytes | AwayPage | None:
        """See ``CacheContract.get``."""
        check_handle(object_id, index)
        entries = self._entries
        with self._lock:
            pool = entries.index.pool(pool_id)
            page = read_one(entries, pool, object_id, index, free=frees(pool, free))
        if not isinstance(page, tuple) or isinstance(page, AwayPage):
            return page
        _, encoding, checksum, blob = page
        try:
            return decode(blob, encoding, checksum)
        except CorruptPageError:
            with self._lock:
                count_corrupt(entries, 1)
            raise

    def get_many(
        self,
        pool_id: int,
        object_id: int,
        indexes: Sequence[int],
        into: bytearray | memoryview,
        *,
        free: GetFree = GetFree.BY_KIND,
    ) -> tuple[bytes, AwayPages]:
        """See ``CacheContract.get_many``."""
        _check_indexes(object_id, indexes)
        into = _target(into, len(indexes))
        states = bytearray(len(indexes))
        away = AwayPages()
        entries = self._entries
        for start in range(0, len(indexes), _RUN):
            run = indexes[start : start + _RUN]
            with self._lock:
                pool = entries.index.pool(pool_id)
                if frees(pool, free):
                    read_freeing(entries, pool, object_id, run, start, into, states, away)
                    continue
                found = read_run(entries, pool, object_id, run, start, states, away)
            corrupt = decode_into(found, into, states)
            if corrupt:
                with self._lock:
                    count_corrupt(entries, corrupt)
        return bytes(states), away

    def flush(self, pool_id: int, object_id: int, index: int) -> bool:
        """See ``CacheContract.flush``."""
        check_handle(object_id, index)
        entries = self._entries
        with self._lock:
            pool = entries.index.pool(pool_id)
            entries.counters.flushes += 1
            entry = entries.find(pool, object_id, index)
            if not entry:
                return False
            entries.note_peaks()
            entries.drop(entry)
            entries.counters.flushes_found += 1
            return True

    def flush_range(
        self,
        pool_id: int,
        object_id: int,
        start: int,
        stop: int,
        *,
        pages_max: int | None = None,
    ) -> int:
        """See ``CacheContract.flush_range``."""
        check_handle(object_id, 0)
        entries = self._entries
        with self._lock:
            pool = entries.index.pool(pool_id)
            page_object = pool.objects.get(object_id)
            if page_object is None:
                return 0
            removed = self._drop_all(
                islice(entries.index.walk(page_object, start, stop), pages_max)
            )
            entries.counters.flushes += removed
            entries.counters.flushes_found += removed
            return removed

    def flush_object(self, pool_id: int, object_id: int) -> int:
        """See ``CacheContract.flush_object``."""
        check_handle(object_id, 0)
        entries = self._entries
        with self._lock:
            pool = entries.index.pool(pool_id)
            entries.counters.object_flushes += 1
            page_object = pool.objects.get(object_id)
            if page_object is None:
                return 0
            entries.counters.object_flushes_found += 1
            return self._drop_all(entries.index.walk(page_object, 0, INDEX_MAX + 1))

    def extents(
        self, pool_id: int, object_id: int, start: int, stop: int
    ) -> list[tuple[int, int, bool]]:
        """See ``CacheContract.extents``."""
        check_handle(object_id, 0)
        entries = self._entries
        with self._lock:
            pool = entries.index.pool(pool_id)
            return entries.index.extents(pool, object_id, start, stop)

    def freeze(self, frozen: bool = True) -> None:
        """See ``CacheContract.freeze``."""
        with self._lock:
            self._entries.frozen = frozen

    # -- spilling: pages leave ---------------------------------------------------------------------

    def begin_spill(
        self, bytes_max: int, *, kind: PoolKind = PoolKind.PERSISTENT, pages_max: int = 4096
    ) -> SpillTicket | None:
        """See ``CacheContract.begin_spill``."""
        with self._lock:
            return self._spills.begin(bytes_max, kind, pages_max)

    def finish_spill(
        self, ticket: SpillTicket, where: int | Sequence[int], accepted: Buffer | None = None
    ) -> int:
        """See ``CacheContract.finish_spill``."""
        with self._lock:
            return self._spills.finish(ticket, where, accepted)

    def cancel_spill(self, ticket: SpillTicket, *, warm: bool = False) -> None:
        """See ``CacheContract.cancel_spill``."""
        with self._lock:
            self._spills.cancel(ticket, warm=warm)

    def drain_displaced(self, pages_max: int = 65536) -> AwayPages:
        """See ``CacheContract.drain_displaced``."""
        with self._lock:
            return self._entries.displaced.drain(pages_max)

    # -- fetching: pages come back -----------------------------------------------------------------

    def peek_away(self, pool_id: int, object_id: int, indexes: Sequence[int]) -> AwayPages:
        """See ``CacheContract.peek_away``."""
        _check_indexes(object_id, indexes)
        return self._repatriation.peek(pool_id, object_id, indexes)

    def restore_many(
        self,
        pool_id: int,
        object_id: int,
        indexes: Sequence[int],
        blobs: PackedBlobs,
        into: bytearray | memoryview | None,
        *,
        install: bool,
        free: GetFree = GetFree.BY_KIND,
    ) -> bytes:
        """See ``CacheContract.restore_many``."""
        _check_indexes(object_id, indexes)
        if into is not None:
            into = _target(into, len(indexes))
        return self._repatriation.restore(
            pool_id, object_id, indexes, blobs, into, install=install, free=free
        )

    def forget_away(self, pool_id: int, object_id: int, index: int, generation: int) -> bool:
        """See ``CacheContract.forget_away``."""
        check_handle(object_id, index)
        return self._repatriation.forget(pool_id, object_id, index, generation)

    def forget_where(self, place: int, kind: PoolKind) -> int:
        """See ``CacheContract.forget_where``."""
        return self._repatriation.forget_where(place, kind)

    def scan_away(
        self, place: int, *, cursor: int = 0, pages_max: int = 4096
    ) -> tuple[list[tuple[int, int, int]], AwayPages, int]:
        """See ``CacheContract.scan_away``."""
        return self._repatriation.scan(place, cursor, pages_max)

    def move_away(
        self,
        keys: Sequence[int],
        generations: Sequence[int],
        wheres: Sequence[int],
        to: Sequence[int],
    ) -> bytes:
        """See ``CacheContract.move_away``."""
        return self._repatriation.move(keys, generations, wheres, to)

    # -- lending: pages of other nodes -------------------------------------------------------------

    def adopt(self, pool_id: int, object_id: int, blobs: PackedBlobs) -> bytes:
        """See ``CacheContract.adopt``."""
        check_handle(object_id, 0)
        return self._lending.adopt(pool_id, object_id, blobs)

    def read_adopted(
        self, pool_id: int, object_id: int, keys: Sequence[int], generations: Sequence[int]
    ) -> tuple[bytes, PackedBlobs]:
        """See ``CacheContract.read_adopted``."""
        check_handle(object_id, 0)
        return self._lending.read(pool_id, object_id, keys, generations)

    def flush_adopted(
        self, pool_id: int, object_id: int, keys: Sequence[int], generations: Sequence[int]
    ) -> int:
        """See ``CacheContract.flush_adopted``."""
        check_handle(object_id, 0)
        return self._lending.flush(pool_id, object_id, keys, generations)

    def foreign_room_bytes(self) -> int:
        """See ``CacheContract.foreign_room_bytes``."""
        return self._lending.room_bytes()

    def foreign_bytes(self, pool_id: int) -> int:
        """See ``CacheContract.foreign_bytes``."""
        return self._lending.bytes_of(pool_id)

    def drop_foreign_ephemeral(self, bytes_max: int) -> int:
        """See ``CacheContract.drop_foreign_ephemeral``."""
        return self._lending.drop_ephemeral(bytes_max)

    # -- memory ------------------------------------------------------------------------------------

    def excess_bytes(self, watermark: float) -> int:
        """See ``CacheContract.excess_bytes``."""
        entries = self._entries
        with self._lock:
            excess = entries.zsmalloc.frames_used - entries.frames_under(watermark)
            return max(0, excess) * PAGE_SIZE

    def compact(self, frames_max: int | None = None) -> int:
        """See ``CacheContract.compact``."""
        with self._lock:
            return self._entries.zsmalloc.compact(frames_max)

    # -- figures -----------------------------------------------------------------------------------

    def stats(self) -> CacheStats:
        """See ``CacheContract.stats``."""
        with self._lock:
            return gauges.snapshot(self._entries, self._spills)

    def class_stats(self) -> list[dict[str, int]]:
        """See ``CacheContract.class_stats``."""
        with self._lock:
            return self._entries.zsmalloc.class_stats()

    def verify(self) -> None:
        """See ``CacheContract.verify``."""
        with self._lock:
            verify.verify(self._entries, self._spills)


def _check_indexes(object_id: int, indexes: Sequence[int]) -> None:
    if indexes:
        check_handle(object_id, min(indexes))
        check_handle(object_id, max(indexes))
    else:
        check_handle(object_id, 0)


def _target(into: bytearray | memoryview, pages: int) -> bytearray | memoryview:
    """The buffer to write pages to. Raises BadHandleError if it is too short or read-only."""
    view = memoryview(into)
    if view.readonly or not view.c_contiguous:
        raise BadHandleError("pages are to be written to a buffer that is read-only or in pieces")
    if view.nbytes < pages * PAGE_SIZE:
        raise BadHandleError(f"{view.nbytes} bytes for {pages} pages of {PAGE_SIZE} bytes each")
    return view.cast("B")
